//! A connection: a byte stream, the session that speaks on it, and at most one source that it sends from.
//!
//! ```text
//!            ┌──────────────── Connection ────────────────┐
//!  read ────►│ session ─► replies ─► outbox ─► stream     │────► write
//!            │             source ──────┘        ▲        │
//!            └───────────────────────────────────┼────────┘
//!                              log ─wake─► InPlace (writes at once while the connection is level)
//! ```
//! A source says when it has more by waking `InPlace`, and that waker writes: on the thread of whoever woke it, without a
//! task switch. Only where the write blocks, fails or ends does the connection's owner run, which waits in `receive`.
//! So a publisher's append reaches every healthy reader before it returns, and no reader can make it wait.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::task::coop::unconstrained;
use tokio::time::timeout;
use tokio_util::io::poll_read_buf;

use super::{Delivery, Stream, tls};
use crate::limits::{FILL_BYTES, GOODBYE, READ_BYTES, READ_BYTES_FED, READ_BYTES_MAX, REPLY_BYTES};
use crate::rtmp;
use crate::rtmp::session::{Output, Phase, Session};

/// Where a connection's media comes from.
pub trait Source: Send + 'static {
    /// Puts whole messages, about `max` bytes of them.
    fn fill(&mut self, max: usize, put: &mut dyn FnMut(Bytes)) -> Filled;

    /// Asks for `waker` to be called whenever there is more.
    fn wake(&mut self, waker: Waker);
}

/// What a source has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// It may have more.
    Some,
    /// Nothing more for now.
    Level,
    /// Nothing more for ever.
    Ended,
}

/// A connection that has no source.
#[derive(Debug)]
pub enum NoSource {}

impl Source for NoSource {
    fn fill(&mut self, _: usize, _: &mut dyn FnMut(Bytes)) -> Filled {
        match *self {}
    }

    fn wake(&mut self, _: Waker) {
        match *self {}
    }
}

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The peer closed it.
    #[error("closed by the peer {phase}")]
    Closed {
        /// How far it had come.
        phase: Phase,
    },
    /// The network did.
    #[error("connection lost {phase}")]
    Lost {
        /// How far it had come.
        phase: Phase,
        /// What the network said.
        #[source]
        source: io::Error,
    },
    /// The peer broke the protocol.
    #[error("protocol error {phase}")]
    Protocol {
        /// How far it had come.
        phase: Phase,
        /// What it did.
        #[source]
        source: rtmp::Error,
    },
    /// The peer took too long.
    #[error("timed out {phase}")]
    TimedOut {
        /// How far it had come.
        phase: Phase,
    },
    /// There was no TLS with the peer, where there had to be.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The peer does not read our replies, or asks for more of them than it reads.
    #[error("it asks faster than it reads {phase}")]
    Deaf {
        /// How far it had come.
        phase: Phase,
    },
}

/// What a wait brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Bytes: ask the session for events.
    Bytes,
    /// The source has ended and everything has been sent.
    Drained,
}

/// A stream, a session and a source.
#[derive(Debug)]
pub struct Connection<S, P, M> {
    shared: Arc<InPlace<S, M>>,
    /// The protocol's side of it.
    pub session: P,
    read_size: usize,
    /// What the session's input has room for.
    room: usize,
    received: u64,
}

/// A stream and all that is to leave through it.
#[derive(Debug)]
struct Io<S, M> {
    stream: S,
    source: Option<M>,
    outbox: Outbox,
    sending: Sending,
    unflushed: bool,
    sent: u64,
    replies: usize,
    owner: Waker,
}

/// Whose turn it is to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The owner's, which has much to catch up on, maybe, and leaves others their part of the runtime's time.
    Owner,
    /// That of whoever has just appended something.
    InPlace,
}

/// Where sending stands. It is looked at in every poll, so nothing can forget to wake it.
#[derive(Debug)]
enum Sending {
    /// Everything there is has been sent.
    Level,
    /// The peer takes no more, or the owner has not looked yet.
    Blocked,
    /// The source has ended and everything has been sent.
    Ended,
    Failed(Option<io::Error>),
}

impl<S: Stream, P: Session, M: Source> Connection<S, P, M> {
    /// A connection without a source.
    pub fn new(stream: S, session: P) -> Self {
        let io = Io {
            stream,
            source: None,
            outbox: Outbox::default(),
            // Before the owner's first poll there is nobody whom a full socket could wake.
            sending: Sending::Blocked,
            unflushed: false,
            sent: 0,
            replies: 0,
            owner: Waker::noop().clone(),
        };
        Connection { shared: Arc::new(InPlace(Mutex::new(io))), session, read_size: READ_BYTES, room: 0, received: 0 }
    }

    /// Sends from `source` from now on.
    pub fn feed(&mut self, mut source: M) {
        // Registered first, looked at after: what is appended in between wakes a blocked connection, which is looked at.
        source.wake(self.shared.clone().into());
        // What the handshake needed is given back: there may be thousands of these.
        self.read_size = READ_BYTES_FED;
        if self.session.input().is_empty() {
            *self.session.input() = BytesMut::new();
            self.room = 0;
        }
        let mut io = lock(&self.shared);
        io.source = Some(source);
        io.sending = Sending::Blocked;
    }

    /// What the session has to say about the bytes received so far; its replies are put into the outbox.
    pub fn event(&mut self) -> Result<Option<P::Event>, Error> {
        loop {
            match self.session.poll() {
                Ok(Some(Output::Transmit(bytes))) => self.reply(bytes)?,
                Ok(Some(Output::Event(event))) => return Ok(Some(event)),
                Ok(None) => return Ok(None),
                Err(source) => return Err(Error::Protocol { phase: self.session.phase(), source }),
            }
        }
    }

    /// Waits for bytes, or for the source's end, and sends meanwhile. Cancel safe: what is unsent stays here. A blocked
    /// connection moves only while its owner waits here.
    pub async fn receive(&mut self) -> Result<Received, Error> {
        std::future::poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Waits for a peer that has said goodbye to close first, `limits::GOODBYE` at most, and then ends the stream: GStreamer's
    /// rtmp2sink, which still has its deleteStream to say, takes a server that closes first for a failure.
    pub async fn close_second(mut self) {
        let gone = async {
            loop {
                while let Ok(Some(_)) = self.event() {}
                if !matches!(self.receive().await, Ok(Received::Bytes)) {
                    break;
                }
            }
        };
        // One who stays is closed all the same.
        let _ = timeout(GOODBYE, gone).await;
        self.farewell().await;
    }

    /// Sends what is queued and ends the stream. What has not gone within `limits::GOODBYE` the network may still deliver.
    pub async fn close(mut self) {
        self.farewell().await;
    }

    /// Sends what is queued and ends the stream; a peer that has not let go within `limits::GOODBYE` is reset. So there is
    /// nothing of this connection left when the next one begins.
    pub async fn close_or_abort(mut self) {
        if !self.farewell().await {
            self.abort();
        }
    }

    /// True if the peer has closed its side as well.
    async fn farewell(&mut self) -> bool {
        // The source is left behind: only what has been queued goes. Dropped after the lock, since it knows the log.
        let source = {
            let mut io = lock(&self.shared);
            io.sending = Sending::Blocked;
            io.source.take()
        };
        drop(source);
        let farewell = async {
            while let Ok(Some(_)) = self.event() {}
            std::future::poll_fn(|cx| {
                let mut io = lock(&self.shared);
                ready!(io.poll_send(cx, Turn::Owner))?;
                Pin::new(&mut io.stream).poll_shutdown(cx)
            })
            .await?;
            // Until the peer has closed as well: closing a socket with unread bytes would reset it, and what was sent last
            // might never be read.
            while let Ok(Received::Bytes) = self.receive().await {
                self.session.input().clear();
            }
            io::Result::Ok(())
        };
        timeout(GOODBYE, farewell).await.is_ok()
    }

    /// Drops the connection so that the peer sees it was not meant to end here.
    pub fn abort(self) {
        lock(&self.shared).stream.abort_on_close();
    }

    /// Bytes sent so far.
    pub fn sent(&self) -> u64 {
        lock(&self.shared).sent
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes taken from the source, and replies, that the peer has not taken yet.
    pub fn unsent(&self) -> usize {
        lock(&self.shared).outbox.bytes
    }

    /// What the system knows of the bytes it has been given.
    pub fn delivery(&self) -> Option<Delivery> {
        lock(&self.shared).stream.delivery()
    }

    /// Whether bytes wait that the peer does not take.
    pub fn is_blocked(&self) -> bool {
        matches!(lock(&self.shared).sending, Sending::Blocked)
    }

    /// Looks at the source, if there is one.
    pub fn source<T>(&self, look: impl FnOnce(&M) -> T) -> Option<T> {
        lock(&self.shared).source.as_ref().map(look)
    }

    fn reply(&mut self, bytes: Bytes) -> Result<(), Error> {
        let mut io = lock(&self.shared);
        io.replies += bytes.len();
        if io.replies > REPLY_BYTES {
            return Err(Error::Deaf { phase: self.session.phase() });
        }
        io.outbox.push(bytes);
        // From here on the owner sends, so that the order holds.
        io.sending = Sending::Blocked;
        Ok(())
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Error>> {
        let phase = self.session.phase();
        let mut io = lock(&self.shared);
        io.owner.clone_from(cx.waker());
        if matches!(io.sending, Sending::Blocked) {
            io.send(cx, Turn::Owner);
        }
        match &mut io.sending {
            Sending::Failed(error) => {
                let source = error.take().unwrap_or(io::ErrorKind::BrokenPipe.into());
                return Poll::Ready(Err(Error::Lost { phase, source }));
            }
            Sending::Ended => return Poll::Ready(Ok(Received::Drained)),
            Sending::Level | Sending::Blocked => {}
        }
        let input = self.session.input();
        if input.is_empty() {
            // Back to its beginning, which the processor's caches know.
            let _ = input.try_reclaim(self.room);
        }
        input.reserve(self.read_size);
        self.room = self.room.max(input.capacity());
        match ready!(poll_read_buf(Pin::new(&mut io.stream), cx, input)) {
            Ok(0) => Poll::Ready(Err(Error::Closed { phase })),
            Ok(read) => {
                self.received += read as u64;
                if read >= self.read_size {
                    self.read_size = READ_BYTES_MAX.min(2 * self.read_size);
                }
                Poll::Ready(Ok(Received::Bytes))
            }
            Err(source) => Poll::Ready(Err(Error::Lost { phase, source })),
        }
    }
}

impl<S, P, M> Drop for Connection<S, P, M> {
    /// Its source's log has the waker, which is this connection: only without its source is it nobody's, and its stream closed.
    fn drop(&mut self) {
        // Dropped after the lock, since it knows the log.
        let _source = self.shared.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).source.take();
    }
}

impl<S: Stream, M: Source> Io<S, M> {
    /// Sends until nothing is left or the peer takes no more. True where the owner has to know.
    fn send(&mut self, cx: &mut Context<'_>, turn: Turn) -> bool {
        self.sending = match self.poll_send(cx, turn) {
            Poll::Pending => Sending::Blocked,
            Poll::Ready(Ok(Filled::Ended)) => Sending::Ended,
            Poll::Ready(Ok(Filled::Some | Filled::Level)) => Sending::Level,
            Poll::Ready(Err(error)) => Sending::Failed(Some(error)),
        };
        matches!(self.sending, Sending::Ended | Sending::Failed(_))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, turn: Turn) -> Poll<io::Result<Filled>> {
        // Once it has nothing more it is not asked again: whoever appends from then on calls `InPlace`, which waits for the lock
        // that is held here.
        let mut left = Filled::Some;
        loop {
            if left == Filled::Some && (self.outbox.is_empty() || mutant!(OutboxGrows)) {
                self.replies = 0;
                let outbox = &mut self.outbox;
                left = match &mut self.source {
                    Some(source) => source.fill(FILL_BYTES, &mut |bytes| outbox.push(bytes)),
                    None => Filled::Level,
                };
            }
            if self.outbox.is_empty() {
                if left == Filled::Some {
                    continue;
                }
                // A stream may hold back the end of what it took (TLS does).
                if self.unflushed {
                    ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
                    self.unflushed = false;
                }
                return Poll::Ready(Ok(left));
            }
            let written = ready!(self.outbox.poll_write(&mut self.stream, cx, turn))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written as u64;
            self.unflushed = true;
        }
    }
}

/// A waker that writes: woken by a log, it sends at once if everything before has been sent. It is the connection itself, not a
/// way to it: each step to another place in memory costs as much as a fiftieth of a send.
#[derive(Debug)]
struct InPlace<S, M>(Mutex<Io<S, M>>);

impl<S: Stream, M: Source> Wake for InPlace<S, M> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Poisoned: its owner is about to find out.
        let Ok(mut io) = self.0.lock() else { return };
        match io.sending {
            Sending::Level => {}
            // The owner is at it, and the kernel has its waker.
            Sending::Blocked | Sending::Ended | Sending::Failed(_) => return,
        }
        // Taken out for as long as it is needed, since a clone would have to count its task's references.
        let owner = std::mem::replace(&mut io.owner, Waker::noop().clone());
        let mut cx = Context::from_waker(&owner);
        // A panic in here is this connection's, not the publisher's: the guard goes in, so that the owner finds the lock poisoned.
        let sent = catch_unwind(AssertUnwindSafe(move || {
            // Not on the budget of the task we happen to run in: once that is spent, every socket looks full.
            let told =
                pin!(unconstrained(std::future::poll_fn(|cx| Poll::Ready(io.send(cx, Turn::InPlace))))).poll(&mut cx);
            (io, told == Poll::Ready(false))
        }));
        match sent {
            Ok((mut io, true)) => io.owner = owner,
            Ok((mut io, false)) => {
                io.owner.clone_from(&owner);
                drop(io);
                owner.wake();
            }
            Err(_) => owner.wake(),
        }
    }
}

/// Whole messages on their way out, in order.
#[derive(Debug, Default)]
struct Outbox {
    /// Nearly always the only one; empty if there is none.
    first: Bytes,
    others: VecDeque<Bytes>,
    bytes: usize,
}

/// Slices in one write; the kernel takes up to 1024, and more than this gains nothing.
const SLICES: usize = 64;

impl Outbox {
    fn push(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        if self.first.is_empty() {
            self.first = bytes;
        } else if !bytes.is_empty() {
            self.others.push_back(bytes);
        }
    }

    fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    fn poll_write<S: Stream>(&mut self, stream: &mut S, cx: &mut Context<'_>, turn: Turn) -> Poll<io::Result<usize>> {
        let written = if self.others.is_empty() {
            // A message that everybody is sent. A list of 64 would cost more than all else here.
            ready!(poll_send(stream, cx, turn, &[IoSlice::new(&self.first)]))?
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES];
            for (slice, bytes) in slices.iter_mut().zip(std::iter::once(&self.first).chain(&self.others)) {
                *slice = IoSlice::new(bytes);
            }
            ready!(poll_send(stream, cx, turn, &slices[..SLICES.min(1 + self.others.len())]))?
        };
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while written >= self.first.len() && !self.is_empty() {
            written -= self.first.len();
            self.first = self.others.pop_front().unwrap_or_default();
        }
        self.first.advance(written);
    }
}

/// Gives `stream` as many of these bytes as it takes.
fn poll_send<S: Stream>(
    stream: &mut S,
    cx: &mut Context<'_>,
    turn: Turn,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if turn == Turn::InPlace {
        match stream.send_now(slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
    }
    match slices {
        [one] => Pin::new(stream).poll_write(cx, one),
        many => Pin::new(stream).poll_write_vectored(cx, many),
    }
}

/// A panic while the lock was held ends this connection's task here, with its own message in the log.
fn lock<S, M>(shared: &InPlace<S, M>) -> MutexGuard<'_, Io<S, M>> {
    shared.0.lock().expect("this connection has panicked while it sent in place")
}
