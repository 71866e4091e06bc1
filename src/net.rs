//! The doors to the outside world: everything that reads or writes a socket comes through these traits.
//!
//! tokio's sockets are one implementation (`tcp`), the simulator's another (in `sim/`). `tls` goes around either.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::task::JoinSet;

pub mod connection;
pub mod http;
pub mod race;
pub mod tcp;
pub mod tls;
pub mod watch;

pub use connection::{Connection, Filled, Source};
pub use watch::Watch;

/// A byte stream to one peer.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Makes the coming close an abort: what is unsent is dropped, and the peer sees a reset instead of an end.
    fn abort_on_close(&self) {}

    /// Gives the system as many of these bytes as it takes right now. Where that is none, or there is no such way, the error is
    /// `WouldBlock`, and `poll_write` the one to wait with.
    fn send_now(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// What the system knows of the bytes it was given for the peer; nothing where it does not say.
    fn delivery(&self) -> Option<Delivery> {
        None
    }
}

/// How a peer's host takes what it is sent, as its acknowledgements tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Bytes that the system was given and the peer's host has not acknowledged. TLS makes them a few more than were sent.
    pub queued: usize,
    /// How long an acknowledgement takes, smoothed.
    pub round_trip: Duration,
}

/// Takes streams that peers open.
pub trait Listener: Send + 'static {
    /// What it takes.
    type Stream: Stream;

    /// The next one, and who it is. Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Where peers reach it.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Opens listeners and streams, runs tasks, reads settings, tells the time of day.
pub trait Network: Clone + Send + Sync + 'static {
    /// A stream, whoever opened it.
    type Stream: Stream;
    /// A listener.
    type Listener: Listener<Stream = Self::Stream>;

    /// Listens at `addr`; port 0 is any free one.
    fn listen(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// The addresses of a host, in the order to try them. Asked anew for each attempt.
    fn lookup(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Opens a stream.
    fn connect(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Runs a task in its parent's set.
    fn spawn<T: Send + 'static>(&self, set: &mut JoinSet<T>, task: impl Future<Output = T> + Send + 'static);

    /// The beginning of a file, `max` bytes of it at most: settings that change while we run. This machine's own, unless a
    /// network has others.
    fn read_file(&self, path: &Path, max: usize) -> impl Future<Output = io::Result<Vec<u8>>> + Send {
        async move {
            let mut bytes = Vec::new();
            File::open(path).await?.take(max as u64).read_to_end(&mut bytes).await?;
            Ok(bytes)
        }
    }

    /// The time of day, for names of files. Everything else counts with tokio's clock.
    fn time_of_day(&self) -> SystemTime;
}
