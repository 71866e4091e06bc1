//! Real sockets.

use std::io::{self, IoSlice};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};

#[cfg(target_os = "linux")]
use rustix::net::{SendAncillaryBuffer, SendFlags};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::{Delivery, Listener, Network, Stream};
use crate::limits::STALL;

#[cfg(target_os = "linux")]
mod inquiry;

/// Connections waiting for `accept`.
const BACKLOG: u32 = 1024;
/// A host that has said nothing for this long is asked whether it is there …
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
/// … and asked again …
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// … this often, before the connection is given up. Together less than ten seconds.
const KEEPALIVE_RETRIES: u32 = 2;

/// The machine's own network.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp;

impl Network for Tcp {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn listen(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if addr.ip() == Ipv6Addr::UNSPECIFIED {
            SockRef::from(&socket).set_only_v6(false)?;
        }
        // A relay that comes back after a crash takes its port at once.
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)
    }

    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(addr).await?;
        configure(&stream)?;
        Ok(stream)
    }

    fn spawn<T: Send + 'static>(&self, set: &mut JoinSet<T>, task: impl Future<Output = T> + Send + 'static) {
        set.spawn(task);
    }

    fn time_of_day(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        configure(&stream)?;
        Ok((stream, SocketAddr::new(peer.ip().to_canonical(), peer.port())))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}

impl Stream for TcpStream {
    fn abort_on_close(&self) {
        // Nothing to do where it fails: the socket is closed either way.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }

    /// Without a look at what the runtime knows of this socket, which is somewhere else in memory.
    #[cfg(target_os = "linux")]
    fn send_now(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(match slices {
            [one] => rustix::net::send(self, one, SendFlags::NOSIGNAL)?,
            // `writev` would go through the kernel's files first.
            many => rustix::net::sendmsg(self, many, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?,
        })
    }

    #[cfg(target_os = "linux")]
    fn delivery(&self) -> Option<Delivery> {
        inquiry::delivery(self.local_addr().ok()?, self.peer_addr().ok()?)
    }
}

/// No delay, ever (merging writes is ours), and a dead host is noticed within ten seconds in both directions.
fn configure(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(STALL))?;
    Ok(())
}
