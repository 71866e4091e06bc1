//! The simulated network behind the product's doors.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use rtmp_relay::net::{Listener, Network, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
use tracing::trace;
use turmoil::net::{TcpListener, TcpStream};

/// What one segment carries on Ethernet.
const MSS: usize = 1460;

/// turmoil's network. It exists only inside a host of a [`World`](crate::World). A clone resolves names as the original does.
#[derive(Debug, Clone, Default)]
pub struct Turmoil(Arc<Mutex<BTreeMap<String, Vec<&'static str>>>>);

impl Turmoil {
    /// From now on a name has the addresses of these hosts.
    pub(crate) fn move_name(&self, name: &str, hosts: &[&'static str]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), hosts.to_vec());
    }
}

/// A simulated TCP stream that writes one segment at a time, so that turmoil's capacity, which counts writes, counts bytes.
///
/// Dropped while its capacity is used up, it never ends for its peer: turmoil loses a FIN that finds the peer's queue full.
#[derive(Debug)]
pub struct Mss(TcpStream);

/// A simulated TCP listener.
pub struct Port(TcpListener);

impl Network for Turmoil {
    type Stream = Mss;
    type Listener = Port;

    /// turmoil hosts have one address each and no others: `addr` is 0.0.0.0 or loopback.
    async fn listen(&self, addr: SocketAddr) -> io::Result<Port> {
        TcpListener::bind(addr).await.map(Port)
    }

    /// Names are those of the world's hosts, until they are moved.
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let moved = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned();
        let mut addresses = Vec::new();
        for host in moved.unwrap_or_else(|| vec![host]) {
            addresses.extend(turmoil::net::lookup_host((host, port)).await?);
        }
        if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<Mss> {
        TcpStream::connect(addr).await.map(Mss)
    }

    /// On the host's own `LocalSet`: a crash then drops tasks in the same order in every run, however many runs the process
    /// has made before.
    fn spawn<T: Send + 'static>(&self, set: &mut JoinSet<T>, task: impl Future<Output = T> + Send + 'static) {
        set.spawn_local(task);
    }

    /// Who is dropped because a host crashes is on no host any more.
    fn time_of_day(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + turmoil::since_epoch().unwrap_or_default()
    }
}

impl Listener for Port {
    type Stream = Mss;

    async fn accept(&mut self) -> io::Result<(Mss, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((Mss(stream), peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// `abort_on_close` does nothing, since turmoil has no linger: what has been written arrives, and the peer sees an end (or a
/// reset, where bytes of its own lie unread).
impl Stream for Mss {}

impl AsyncRead for Mss {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Mss {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let segment = &bytes[..bytes.len().min(MSS)];
        let written = ready!(Pin::new(&mut self.0).poll_write(cx, segment))?;
        if tracing::enabled!(tracing::Level::TRACE) {
            let mut hasher = DefaultHasher::new();
            hasher.write(segment);
            trace!("writes {written} bytes, {:016x}", hasher.finish());
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut segment = [0; MSS];
        let mut free = &mut segment[..];
        for slice in slices {
            let (taken, rest) = free.split_at_mut(slice.len().min(free.len()));
            taken.copy_from_slice(&slice[..taken.len()]);
            free = rest;
        }
        let length = MSS - free.len();
        self.poll_write(cx, &segment[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
