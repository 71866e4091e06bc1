//! A feed: a cursor on a stream's log, put into the chunks of one outgoing session.
//!
//! It is where streams and connections meet. Times start at zero with the session's first frame; messages in step with the
//! log are sent as the bytes everybody shares, and only a series' first one after a join, a jump or a preamble gets a header
//! of its own.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;

use crate::flv::{Kind, Need};
use crate::net::{Filled, Source};
use crate::rtmp::chunk::DEFAULT_SIZE;
use crate::rtmp::chunk::writer::{self, Header, Lane};
use crate::stream::cursor::Read;
use crate::stream::{Cursor, Frame, Join, Log, Merge, Preamble, Skipped};

/// Puts a log's frames on one session's message stream.
#[derive(Debug)]
pub struct Feed {
    cursor: Cursor,
    session: Session,
}

/// What one outgoing session has been sent.
#[derive(Debug)]
struct Session {
    stream: u32,
    chunk_size: usize,
    metadata: Metadata,
    /// The time of the first frame: the session's zero.
    base: Option<u64>,
    /// The time each series has reached. It never goes back.
    reached: [u64; 3],
    /// Series whose next message cannot lean on the one before.
    fresh: [bool; 3],
    preamble: Option<Arc<Preamble>>,
    messages: u64,
    /// Places to start decoding that it has been sent.
    starts: u64,
}

/// How a session wants its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    /// As a player does: `onMetaData` alone.
    Plain,
    /// As a server does, from its publisher: behind `@setDataFrame`.
    SetDataFrame,
}

/// `@setDataFrame` as an AMF0 string.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

/// What a feed has done, for status lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages put, headers and metadata among them.
    pub messages: u64,
    /// Frames jumped over.
    pub skipped: Skipped,
    /// The time of the newest frame put, on the stream's time line.
    pub reached: Option<Duration>,
    /// Positions in the log of the first frame put and of the next one to put.
    pub span: Option<(u64, u64)>,
}

impl Feed {
    /// A feed that sends `log` on message stream `stream`, in chunks of up to `chunk_size` bytes.
    pub fn new(log: Arc<Log>, join: Join, stream: u32, chunk_size: usize, metadata: Metadata) -> Self {
        let session = Session {
            stream,
            chunk_size,
            metadata,
            base: None,
            reached: [0; 3],
            fresh: [true; 3],
            preamble: None,
            messages: 0,
            starts: 0,
        };
        Feed { cursor: Cursor::new(log, join), session }
    }

    /// Lets this wait. To be said before anything else.
    pub fn merging(self, merge: Merge) -> Self {
        Feed { cursor: self.cursor.merging(merge), ..self }
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        Stats {
            messages: self.session.messages,
            skipped: self.cursor.skipped(),
            reached: self.session.reached(),
            span: self.cursor.span(),
        }
    }

    /// Places to start decoding that have been put.
    pub fn starts(&self) -> u64 {
        self.session.starts
    }

    /// What the stream asks of its receivers beyond the legacy forms.
    pub fn needs(&self) -> &[Need] {
        self.session.preamble.as_ref().map_or(&[], |preamble| preamble.needs())
    }
}

impl Source for Feed {
    fn fill(&mut self, max: usize, put: &mut dyn FnMut(Bytes)) -> Filled {
        let session = &mut self.session;
        let mut bytes = 0;
        let read = self.cursor.read(|frame, jumped| {
            session.put(frame, jumped, &mut |slice| {
                bytes += slice.len();
                put(slice);
            });
            bytes < max
        });
        match read {
            Read::More => Filled::Some,
            Read::Level => Filled::Level,
            Read::Ended => Filled::Ended,
        }
    }

    fn wake(&mut self, waker: Waker) {
        self.cursor.wake(waker);
    }
}

impl Session {
    fn reached(&self) -> Option<Duration> {
        let newest = self.base.and_then(|_| self.reached.iter().max());
        newest.map(|time| Duration::from_millis(*time))
    }

    fn put(&mut self, frame: &Frame, jumped: bool, put: &mut impl FnMut(Bytes)) {
        let base = *self.base.get_or_insert_with(|| {
            self.reached = [frame.time; 3];
            frame.time
        });
        self.starts += u64::from(frame.start);
        if jumped {
            self.fresh = [true; 3];
        }
        if !self.preamble.as_ref().is_some_and(|sent| Arc::ptr_eq(sent, &frame.preamble)) {
            let time = frame.time.max(base);
            let sent = self.preamble.replace(frame.preamble.clone());
            for item in frame.preamble.since(sent.as_deref()).filter(|_| !mutant!(NoPreamble)) {
                let payload = match (item.kind, self.metadata) {
                    (Kind::Data, Metadata::SetDataFrame) => [SET_DATA_FRAME, &item.payload].concat().into(),
                    _ => item.payload.clone(),
                };
                self.own(item.kind, Header::Start { time: wrap(time - base), stream: self.stream }, &payload, put);
                self.fresh[item.kind as usize] = true;
                self.reached[item.kind as usize] = time;
            }
        }
        // A frame older than what its series has reached (audio that follows the first key frame in the log, but not in time)
        // is sent at that time, and the series stays fresh: the shared delta of the next one would shift it for good.
        let reached = &mut self.reached[frame.kind as usize];
        let early = frame.time < *reached;
        *reached = frame.time.max(*reached);
        let fresh = std::mem::replace(&mut self.fresh[frame.kind as usize], early);
        if !fresh && self.chunk_size == DEFAULT_SIZE && !frame.wire.is_empty() {
            self.messages += 1;
            return put(frame.wire.clone());
        }
        let header = match fresh {
            true => Header::Start { time: wrap(*reached - base), stream: self.stream },
            false => Header::Delta(frame.delta),
        };
        self.own(frame.kind, header, &frame.payload, put);
    }

    /// A message that no other session sends just so.
    fn own(&mut self, kind: Kind, header: Header, payload: &Bytes, put: &mut impl FnMut(Bytes)) {
        self.messages += 1;
        writer::slices(Lane::of(kind), header, payload, self.chunk_size, put);
    }
}

/// RTMP's clock has 32 bits and starts again after 49 days (§4).
fn wrap(time: u64) -> u32 {
    time as u32
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::flv::{Codec, Role, Tag, Tracks};
    use crate::rtmp::chunk::Reader;
    use crate::rtmp::{Payload, control};
    use crate::stream::log::Limits;

    const JOIN: Join = Join { newest_if_within: Duration::MAX, lag_max: Duration::from_secs(1) };

    /// A log that is written as `V100` (a video frame at 100 ms), `K133` (a key frame), `A90`, `D7` (data).
    struct Story {
        log: Arc<Log>,
        preamble: Arc<Preamble>,
    }

    impl Story {
        fn new() -> Self {
            let story = Story { log: Arc::new(Log::new(Limits::default())), preamble: Arc::new(Preamble::new(1)) };
            story.with(Kind::Data, Role::Header, "\x02\0\nonMetaData").with(Kind::Video, Role::Header, "avcC")
        }

        fn with(mut self, kind: Kind, role: Role, payload: &'static str) -> Self {
            let tag = Tag { role, tracks: Tracks::of(0), codec: Codec::None, key: false };
            let changed = self.preamble.with(kind, &tag, payload.into()).expect("a change");
            self.preamble = Arc::new(changed);
            self
        }

        fn tell(&self, frames: &str) {
            for word in frames.split(' ') {
                let (letter, time) = word.split_at(1);
                let kind = match letter {
                    "A" => Kind::Audio,
                    "D" => Kind::Data,
                    _ => Kind::Video,
                };
                let time = time.parse().expect("milliseconds");
                let delta = self.log.delta(kind, time);
                let (wire, payload) =
                    writer::shared(Lane::of(kind), delta, Payload::from(word.as_bytes()), DEFAULT_SIZE);
                let (start, preamble) = (letter == "K", self.preamble.clone());
                self.log.append(Frame { kind, time, delta, payload, wire, start, preamble });
            }
        }

        fn feed(&self, chunk_size: usize, metadata: Metadata) -> Feed {
            Feed::new(self.log.clone(), JOIN, 1, chunk_size, metadata)
        }
    }

    /// What a peer makes of everything a feed has to send: `payload@time`.
    struct Peer(Reader);

    impl Peer {
        fn new(chunk_size: usize) -> Self {
            let mut reader = Reader::default();
            reader.read(&mut BytesMut::from(&control::set_chunk_size(chunk_size)[..])).expect("a chunk size");
            Peer(reader)
        }

        fn hears(&mut self, feed: &mut Feed) -> String {
            let mut wire = BytesMut::new();
            while feed.fill(1, &mut |bytes| wire.extend_from_slice(&bytes)) == Filled::Some {}
            let mut heard = Vec::new();
            while let Some(message) = self.0.read(&mut wire).expect("sound chunks") {
                assert_eq!(message.stream, 1);
                heard.push(format!(
                    "{}@{}",
                    String::from_utf8_lossy(&message.payload).trim_start_matches('\x02'),
                    message.timestamp
                ));
            }
            assert!(wire.is_empty());
            heard.join(" ").replace("\0\nonMetaData", "metadata").replace("\0\r@setDataFrame\x02", "@setDataFrame+")
        }
    }

    #[test]
    fn a_session_starts_at_zero_with_the_preamble_and_a_key_frame() {
        let story = Story::new();
        story.tell("K5000 A5010 V5033 A5031 K5066 A5060 A5080 V5099 V5133");
        let heard = Peer::new(DEFAULT_SIZE).hears(&mut story.feed(DEFAULT_SIZE, Metadata::Plain));
        // The first audio is older than the key frame; the next one keeps its distance to the picture all the same.
        assert_eq!(heard, "metadata@0 avcC@0 K5066@0 A5060@0 A5080@14 V5099@33 V5133@67");
    }

    #[test]
    fn a_server_is_given_its_metadata_as_an_encoder_gives_it_and_any_chunk_size_reads_the_same() {
        for chunk_size in [128, 3, 4096, DEFAULT_SIZE] {
            let story = Story::new();
            story.tell("K0 A0 V33 A23 D30 V66");
            let heard = Peer::new(chunk_size).hears(&mut story.feed(chunk_size, Metadata::SetDataFrame));
            assert_eq!(heard, "@setDataFrame+metadata@0 avcC@0 K0@0 A0@0 V33@33 A23@23 D30@30 V66@66", "{chunk_size}");
        }
    }

    #[test]
    fn what_changes_in_the_preamble_is_sent_before_the_frame_it_is_for_and_nothing_else() {
        let story = Story::new();
        let (mut feed, mut peer) = (story.feed(DEFAULT_SIZE, Metadata::Plain), Peer::new(DEFAULT_SIZE));
        story.tell("K100 A105");
        assert_eq!(peer.hears(&mut feed), "metadata@0 avcC@0 K100@0 A105@5");
        let story = story.with(Kind::Audio, Role::Header, "aac");
        // Audio stays behind its new header until it has caught up, and then is where it belongs.
        story.tell("V133 A126 A149 V166");
        assert_eq!(peer.hears(&mut feed), "aac@33 V133@33 A126@33 A149@49 V166@66");
    }

    #[test]
    fn interop_67_a_publisher_that_came_back_has_its_own_preamble_sent_and_nothing_of_the_old_one() {
        let mut story = Story::new().with(Kind::Audio, Role::Header, "aac");
        let (mut feed, mut peer) = (story.feed(DEFAULT_SIZE, Metadata::Plain), Peer::new(DEFAULT_SIZE));
        story.tell("K0 V33");
        assert_eq!(peer.hears(&mut feed), "metadata@0 avcC@0 aac@0 K0@0 V33@33");
        story.preamble = Arc::new(Preamble::new(2));
        let story = story.with(Kind::Video, Role::Header, "avcC");
        story.tell("K500 V533");
        assert_eq!(peer.hears(&mut feed), "avcC@500 K500@500 V533@533");
        let late = Peer::new(DEFAULT_SIZE).hears(&mut story.feed(DEFAULT_SIZE, Metadata::Plain));
        assert_eq!(late, "avcC@0 K500@0 V533@33");
    }

    #[test]
    fn after_a_jump_times_are_right_again() {
        let story = Story::new();
        let (mut feed, mut peer) = (story.feed(DEFAULT_SIZE, Metadata::Plain), Peer::new(DEFAULT_SIZE));
        story.tell("K0 A10 V33");
        peer.hears(&mut feed);
        story.tell("V66 A70 K2000 A1990 V2033 A2013");
        assert_eq!(peer.hears(&mut feed), "K2000@2000 A1990@1990 V2033@2033 A2013@2013");
        assert_eq!((feed.stats().skipped, feed.stats().messages), (Skipped { lag: 2, log: 0 }, 9));
    }

    #[test]
    fn a_session_of_49_days_begins_its_clock_again() {
        for chunk_size in [3, DEFAULT_SIZE] {
            let story = Story::new();
            let (mut feed, mut peer) = (story.feed(chunk_size, Metadata::Plain), Peer::new(chunk_size));
            let mut heard = Vec::new();
            for frame in ["K7", "V4294967297", "V4294967337"] {
                story.tell(frame);
                heard.push(peer.hears(&mut feed));
            }
            assert_eq!(heard, ["metadata@0 avcC@0 K7@0", "V4294967297@4294967290", "V4294967337@34"], "{chunk_size}");
            // And what has to be said in full is.
            let story = story.with(Kind::Video, Role::Header, "avcC2");
            story.tell("K4294967377");
            assert_eq!(peer.hears(&mut feed), "avcC2@74 K4294967377@74");
        }
    }

    #[test]
    fn a_message_of_several_chunks_is_cut_for_everybody_alike() {
        let story = Story::new();
        let (mut feed, mut peer) = (story.feed(DEFAULT_SIZE, Metadata::Plain), Peer::new(DEFAULT_SIZE));
        story.tell("K0");
        peer.hears(&mut feed);
        let large = "V".repeat(3 * DEFAULT_SIZE + 1);
        let (wire, payload) = writer::shared(Lane::of(Kind::Video), 40, Payload::from(large.as_bytes()), DEFAULT_SIZE);
        let preamble = story.preamble.clone();
        story.log.append(Frame { kind: Kind::Video, time: 40, delta: 40, payload, wire, start: false, preamble });
        assert_eq!(peer.hears(&mut feed), format!("{large}@40"));
    }
}
