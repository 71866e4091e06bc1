//! What a publisher's messages become for its readers: the bytes that a player and a destination are sent, read by `chunks`.

use std::time::Duration;

use bytes::Bytes;
use rtmp_relay::feed::{Feed, Metadata};
use rtmp_relay::ingest::Ingest;
use rtmp_relay::net::{Filled, Source};
use rtmp_relay::rtmp::Message;
use rtmp_relay::rtmp::chunk::DEFAULT_SIZE;
use rtmp_relay::stream::log::Limits;
use rtmp_relay::stream::{Directory, Hops, Join, Name};

use super::chunks::{Chunks, Said, set_chunk_size};

/// From the first frame on, and never in a hurry.
const JOIN: Join = Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX };

/// A stream with a player and a destination.
pub(crate) struct Onward {
    ingest: Ingest,
    readers: [(Feed, Vec<u8>); 2],
}

impl Onward {
    pub(crate) fn new() -> Self {
        let name = Name::new("live/show").expect("a sound name");
        let publication =
            Directory::new(Limits::default()).publish(name, Hops::default()).expect("nobody else is there");
        let reader = |chunk_size, metadata| {
            let feed = Feed::new(publication.log().clone(), JOIN, 1, chunk_size, metadata);
            (feed, set_chunk_size(chunk_size as u32, 128))
        };
        let readers = [reader(DEFAULT_SIZE, Metadata::Plain), reader(128, Metadata::SetDataFrame)];
        Onward { ingest: Ingest::new(publication), readers }
    }

    /// Takes a message, and sends what came of it at once.
    pub(crate) fn message(&mut self, message: Message) {
        self.ingest.message(message);
        for (feed, wire) in &mut self.readers {
            while feed.fill(1 << 20, &mut |bytes: Bytes| wire.extend_from_slice(&bytes)) == Filled::Some {}
        }
    }

    /// Every byte for the player, and for the destination.
    pub(crate) fn wires(self) -> [Vec<u8>; 2] {
        self.readers.map(|(_, wire)| wire)
    }

    /// The messages in them, without the chunk size that comes first.
    pub(crate) fn sent(self) -> [Vec<Said>; 2] {
        self.wires().map(|wire| {
            let said = Chunks::new(&wire, 0).messages();
            assert_eq!(said.last().map(|said| said.end), Some(wire.len()), "whole messages");
            said.into_iter().skip(1).collect()
        })
    }
}
