//! A connection on scripted IO: partial writes, blocked writes, errors and ends at every place.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use rtmp_relay::feed::{Feed, Metadata};
use rtmp_relay::flv::Kind;
use rtmp_relay::limits::{READ_BYTES_MAX, REPLY_BYTES};
use rtmp_relay::net::connection::{Error, Received};
use rtmp_relay::net::{Connection, Filled, Source, Stream};
use rtmp_relay::rtmp::chunk::DEFAULT_SIZE;
use rtmp_relay::rtmp::chunk::writer::{self, Lane};
use rtmp_relay::rtmp::session::Phase;
use rtmp_relay::rtmp::{Payload, ServerSession, handshake};
use rtmp_relay::stream::log::Limits;
use rtmp_relay::stream::{Frame, Join, Log, Merge, Preamble};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_test::io::{Builder, Mock};

/// The scripted IO as one of our streams.
struct Script(Mock);

impl Stream for Script {}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A source that a test fills by hand.
#[derive(Clone, Default)]
struct Hand(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    messages: VecDeque<Bytes>,
    ended: bool,
    waker: Option<Waker>,
}

impl Hand {
    fn put(&self, message: &'static [u8]) {
        self.0.lock().unwrap().messages.push_back(Bytes::from_static(message));
    }

    fn announce(&self) {
        let waker = self.0.lock().unwrap().waker.clone();
        waker.unwrap().wake();
    }

    fn end(&self) {
        self.0.lock().unwrap().ended = true;
    }
}

impl Source for Hand {
    fn fill(&mut self, _: usize, put: &mut dyn FnMut(Bytes)) -> Filled {
        let mut held = self.0.lock().unwrap();
        match held.messages.pop_front() {
            Some(message) if message == "panic" => {
                drop(held);
                panic!("a source has panicked, as this test wants");
            }
            Some(message) => {
                put(message);
                Filled::Some
            }
            None if held.ended => Filled::Ended,
            None => Filled::Level,
        }
    }

    fn wake(&mut self, waker: Waker) {
        self.0.lock().unwrap().waker = Some(waker);
    }
}

fn server(script: Mock) -> Connection<Script, ServerSession, Hand> {
    Connection::new(Script(script), ServerSession::new([7; 1528]))
}

fn hello() -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.resize(1537, 9);
    bytes
}

/// What the server answers: version, zeros, its random bytes, and the client's echoed.
fn answer() -> Vec<u8> {
    [&[3][..], &[0; 8], &[7; 1528], &[9; 1536]].concat()
}

#[tokio::test(start_paused = true)]
async fn replies_survive_partial_writes_and_a_peer_that_takes_its_time() {
    let answer = answer();
    let script = Builder::new()
        .read(&hello())
        .write(&answer[..1])
        .write(&answer[1..1000])
        .wait(Duration::from_secs(1))
        .write(&answer[1000..])
        .read(&[9; 100])
        .read(&[9; 1436])
        .build();
    let mut connection = server(script);
    for _ in 0..3 {
        assert_eq!(connection.receive().await.unwrap(), Received::Bytes);
        assert!(connection.event().unwrap().is_none());
    }
    assert!(matches!(connection.receive().await.unwrap_err(), Error::Closed { phase: Phase::Connect }));
    assert_eq!(connection.sent(), 3073);
}

#[tokio::test(start_paused = true)]
async fn an_error_says_how_far_the_connection_had_come() {
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    let mut lost = server(Builder::new().read(&hello()[..100]).read_error(reset()).build());
    lost.receive().await.unwrap();
    assert!(lost.event().unwrap().is_none());
    let error = lost.receive().await.unwrap_err();
    assert!(matches!(error, Error::Lost { phase: Phase::Handshake, .. }), "{error}");

    let mut unwritable = server(Builder::new().read(&hello()).write(&answer()[..10]).write_error(reset()).build());
    unwritable.receive().await.unwrap();
    unwritable.event().unwrap();
    let error = unwritable.receive().await.unwrap_err();
    assert!(matches!(&error, Error::Lost { source, .. } if source.kind() == io::ErrorKind::ConnectionReset), "{error}");

    let mut malformed = server(Builder::new().read(b"GET / HTTP/1.1\r\n\r\n").build());
    malformed.receive().await.unwrap();
    let error = malformed.event().unwrap_err();
    assert_eq!(error.to_string(), "protocol error in the handshake");

    // All in one piece, and yet it is the second part that is wrong.
    let mut later = server(Builder::new().read(&[&hello()[..], &[9; 1536], &[0xc3]].concat()).build());
    later.receive().await.unwrap();
    assert_eq!(later.event().unwrap_err().to_string(), "protocol error in connect");

    let mut closed = server(Builder::new().read(&hello()[..100]).build());
    closed.receive().await.unwrap();
    assert!(matches!(closed.receive().await.unwrap_err(), Error::Closed { phase: Phase::Handshake }));
}

#[tokio::test(start_paused = true)]
async fn a_source_is_sent_in_order_whatever_the_writes_take_and_its_end_is_told() {
    let script = Builder::new().write(b"on").write(b"e two ").wait(Duration::from_secs(1)).write(b"three").build();
    let (mut connection, hand) = (server(script), Hand::default());
    for message in [&b"one "[..], b"two ", b"three"] {
        hand.put(message);
    }
    hand.end();
    connection.feed(hand);
    assert_eq!(connection.receive().await.unwrap(), Received::Drained);
    assert_eq!(connection.sent(), 13);
}

/// Counts how often an owner is called.
#[derive(Default)]
struct Owner(AtomicUsize);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls the owner's wait once and drops it: the wait is cancel safe.
fn poll_once(
    connection: &mut Connection<Script, ServerSession, Hand>,
    owner: &Arc<Owner>,
) -> Option<Result<Received, Error>> {
    let wait = std::pin::pin!(connection.receive());
    match wait.poll(&mut Context::from_waker(&owner.clone().into())) {
        Poll::Ready(received) => Some(received),
        Poll::Pending => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_level_connection_writes_in_place_and_leaves_its_owner_asleep() {
    let script = Builder::new().write(b"late joiner").write(b"live").wait(Duration::from_secs(9)).build();
    let (mut connection, hand, owner) = (server(script), Hand::default(), Arc::new(Owner::default()));
    hand.put(b"late joiner");
    connection.feed(hand.clone());
    hand.announce();
    assert_eq!(connection.sent(), 0, "before its owner has looked nobody writes");
    assert!(poll_once(&mut connection, &owner).is_none());
    assert_eq!(connection.sent(), 11);
    hand.put(b"live");
    hand.announce();
    assert_eq!((connection.sent(), owner.0.load(Ordering::Relaxed)), (15, 0), "written within announce");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_in_place_reaches_the_owner() {
    let broken = io::Error::from(io::ErrorKind::BrokenPipe);
    let script = Builder::new().write(b"one").write_error(broken).build();
    let (mut connection, hand, owner) = (server(script), Hand::default(), Arc::new(Owner::default()));
    hand.put(b"one");
    connection.feed(hand.clone());
    // The script has an error next, so it neither reads nor ends: level.
    assert!(poll_once(&mut connection, &owner).is_none_or(|r| r.is_ok()));
    hand.put(b"two");
    hand.announce();
    let error = poll_once(&mut connection, &owner).expect("an error").unwrap_err();
    assert!(matches!(&error, Error::Lost { source, .. } if source.kind() == io::ErrorKind::BrokenPipe), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_place_is_the_connections_own() {
    let script = Builder::new().write(b"one").wait(Duration::from_secs(9)).build();
    let (mut connection, hand, owner) = (server(script), Hand::default(), Arc::new(Owner::default()));
    hand.put(b"one");
    connection.feed(hand.clone());
    assert!(poll_once(&mut connection, &owner).is_none());
    hand.put(b"panic");
    hand.announce();
    assert_eq!(owner.0.load(Ordering::Relaxed), 1, "the appender goes on, the owner is called");
    let owner_finds_out = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll_once(&mut connection, &owner)));
    assert!(owner_finds_out.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_asks_and_never_reads_the_answers_is_left() {
    let ping = [2, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 6, 1, 2, 3, 4];
    let pings = ping.repeat(REPLY_BYTES / ping.len() + 1);
    let mut script = Builder::new();
    script.read(&hello()).write(&answer()).read(&[9; 1536]);
    for part in pings.chunks(4096) {
        script.read(part);
    }
    // Nothing of the answers is taken.
    script.wait(Duration::from_secs(100));
    let mut connection = server(script.build());
    let error = loop {
        connection.receive().await.unwrap();
        if let Err(error) = connection.event() {
            break error;
        }
    };
    assert!(matches!(error, Error::Deaf { phase: Phase::Connect }), "{error}");
}

/// A peer that always has more, and how much of it the largest read has taken.
struct Endless(Arc<AtomicUsize>);

impl Stream for Endless {}

impl AsyncRead for Endless {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let first = self.0.fetch_max(buf.remaining(), Ordering::Relaxed) == 0;
        buf.initialize_unfilled().fill(if first { 3 } else { 0 });
        buf.advance(if first { 1 } else { buf.remaining() });
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn one_read_takes_so_much_of_a_peer_that_always_has_more_and_no_more() {
    let largest = Arc::new(AtomicUsize::new(0));
    let session = ServerSession::new([0; handshake::SIZE - 8]);
    let mut connection: Connection<_, _, Hand> = Connection::new(Endless(largest.clone()), session);
    for _ in 0..50 {
        connection.receive().await.unwrap();
        while connection.event().unwrap().is_some() {}
    }
    let largest = largest.load(Ordering::Relaxed);
    assert!((READ_BYTES_MAX..=2 * READ_BYTES_MAX).contains(&largest), "{largest}");
}

/// A peer that takes everything, and remembers what each write brought.
#[derive(Clone, Default)]
struct Writes(Arc<Mutex<Vec<Vec<u8>>>>);

impl Stream for Writes {}

impl AsyncRead for Writes {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Writes {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().push(bytes.to_vec());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        self.poll_write(cx, &bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A connection in step with a log, and its writes.
fn fed(log: &Arc<Log>, merge: Merge) -> (Connection<Writes, ServerSession, Feed>, Writes) {
    let writes = Writes::default();
    let mut connection = Connection::new(writes.clone(), ServerSession::new([7; 1528]));
    let join = Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX };
    connection.feed(Feed::new(log.clone(), join, 1, DEFAULT_SIZE, Metadata::Plain).merging(merge));
    assert!(std::pin::pin!(connection.receive()).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    (connection, writes)
}

#[tokio::test]
async fn sound_that_is_merged_leaves_in_the_write_of_the_next_picture_and_the_bytes_are_the_same() {
    let log = Arc::new(Log::new(Limits::default()));
    let (_merging, merged) = fed(&log, Merge::Audio);
    let (_plain, plain) = fed(&log, Merge::None);
    let preamble = Arc::new(Preamble::new(1));
    let mut writes = Vec::new();
    for (kind, time) in [
        (Kind::Video, 0),
        (Kind::Audio, 5),
        (Kind::Audio, 28),
        (Kind::Video, 33),
        (Kind::Video, 66),
        (Kind::Audio, 51),
        (Kind::Data, 60),
    ] {
        let delta = log.delta(kind, time);
        let (wire, payload) =
            writer::shared(Lane::of(kind), delta, Payload::from(&time.to_be_bytes()[..]), DEFAULT_SIZE);
        let start = kind == Kind::Video && time == 0;
        log.append(Frame { kind, time, delta, payload, wire, start, preamble: preamble.clone() });
        log.announce();
        writes.push((merged.0.lock().unwrap().len(), plain.0.lock().unwrap().len()));
    }
    assert_eq!(writes, [(1, 1), (1, 2), (1, 3), (2, 4), (3, 5), (3, 6), (4, 7)]);
    assert_eq!(merged.0.lock().unwrap().concat(), plain.0.lock().unwrap().concat());
}

#[tokio::test]
async fn a_connection_that_is_dropped_leaves_its_log_and_closes_its_stream() {
    let log = Arc::new(Log::new(Limits::default()));
    let (connection, writes) = fed(&log, Merge::None);
    assert_eq!((log.readers(), Arc::strong_count(&writes.0)), (1, 2));
    drop(connection);
    assert_eq!((log.readers(), Arc::strong_count(&writes.0)), (0, 1), "the log's waker is the connection itself");
}
