//! Chunks without handshake or commands: what the floor passes on.

use bytes::BytesMut;
use rtmp_relay::rtmp::chunk::{DEFAULT_SIZE, Reader};
use rtmp_relay::rtmp::session::{Output, Phase, Session};
use rtmp_relay::rtmp::{Error, Message, control};

/// Either end of such a connection.
#[derive(Debug)]
pub(super) struct Raw {
    input: BytesMut,
    chunks: Reader,
}

impl Raw {
    /// The chunk size is known from the beginning.
    pub(super) fn new() -> Self {
        let mut chunks = Reader::default();
        let size = chunks.read(&mut BytesMut::from(&control::set_chunk_size(DEFAULT_SIZE)[..]));
        size.expect("a chunk size of ours");
        Raw { input: BytesMut::new(), chunks }
    }
}

impl Session for Raw {
    type Event = Message;

    fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    fn poll(&mut self) -> Result<Option<Output<Message>>, Error> {
        Ok(self.chunks.read(&mut self.input)?.map(Output::Event))
    }

    fn phase(&self) -> Phase {
        Phase::Media
    }
}
