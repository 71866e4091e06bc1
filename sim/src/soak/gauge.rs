//! A gauge at a relay's doors: what it has open, what goes through, since when nothing does. It sees what the relay does and
//! is asked nothing by it, so that what the relay says can be held against it.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use rtmp_relay::net::{Listener, Network, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;

use crate::net::{Mss, Port, Turmoil};
use crate::trace::Trace;

/// The simulated network with a gauge on it. A clone shows the same.
#[derive(Debug, Clone)]
pub(crate) struct Gauged {
    network: Turmoil,
    readings: Arc<Mutex<Readings>>,
    clock: Trace,
}

/// What the gauge shows.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    /// Tasks that run.
    pub(crate) tasks: usize,
    /// Connections that are open or being opened, by number.
    pub(crate) open: BTreeMap<u64, Line>,
    /// Bytes written on connections that have been closed, by peer, the number of each first.
    pub(crate) closed: BTreeMap<IpAddr, Vec<u64>>,
    /// Peers that had two connections of ours at once.
    pub(crate) twice: Vec<IpAddr>,
    /// Of all bytes, with their times and connections.
    pub(crate) digest: u64,
    /// Whether a peer was reached at its second address.
    pub(crate) moved: bool,
    /// Hosts that are another one's second address.
    second: BTreeMap<IpAddr, IpAddr>,
    next: u64,
}

/// One connection of the relay's.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) peer: IpAddr,
    pub(crate) outbound: bool,
    pub(crate) opened: Duration,
    pub(crate) written: u64,
    pub(crate) last_written: Duration,
    pub(crate) last_read: Duration,
    /// Since when the peer takes nothing.
    pub(crate) blocked: Option<Duration>,
    /// Who waits for its bytes.
    reader: Option<Waker>,
    /// When the kernel gave it up.
    pub(crate) given_up: Option<Duration>,
}

impl Gauged {
    pub(crate) fn new(clock: Trace) -> Self {
        Gauged { network: Turmoil::default(), readings: Arc::default(), clock }
    }

    /// From now on the name of `host` is the address of `other`. Readings are those of the same peer all the same.
    pub(crate) fn move_name(&self, host: &str, other: &'static str) {
        self.network.move_name(host, &[other]);
    }

    /// `second` is another address of the peer at `first`.
    pub(crate) fn same(&self, first: IpAddr, second: IpAddr) {
        self.readings().second.insert(second, first);
    }

    /// The kernel gives up the connections that this peer has made, since it has not answered the keepalives. turmoil has
    /// none. Towards a destination there is always something under way, and the relay looks after that itself.
    pub(crate) fn time_out(&self, peer: IpAddr) {
        let now = self.clock.now();
        let mut readings = self.readings();
        let lines = readings.open.values_mut();
        let lines = lines.filter(|line| line.peer == peer && !line.outbound && line.given_up.is_none());
        let give_up = |line: &mut Line| {
            line.given_up = Some(now);
            line.reader.take()
        };
        let readers: Vec<Waker> = lines.filter_map(give_up).collect();
        drop(readings);
        readers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn readings(&self) -> MutexGuard<'_, Readings> {
        self.readings.lock().expect("nothing panics while it reads the gauge")
    }

    fn open(&self, peer: IpAddr, outbound: bool) -> Number {
        let mut readings = self.readings();
        let peer = readings.first(peer);
        if outbound && readings.open.values().any(|line| line.outbound && line.peer == peer) {
            readings.twice.push(peer);
        }
        let now = self.clock.now();
        let number = readings.next;
        readings.next += 1;
        let line = Line {
            peer,
            outbound,
            opened: now,
            written: 0,
            last_written: now,
            last_read: now,
            blocked: None,
            reader: None,
            given_up: None,
        };
        readings.open.insert(number, line);
        Number { number, gauge: self.clone() }
    }
}

impl Readings {
    fn first(&self, address: IpAddr) -> IpAddr {
        self.second.get(&address).copied().unwrap_or(address)
    }
}

/// A connection's number, while it is open.
#[derive(Debug)]
struct Number {
    number: u64,
    gauge: Gauged,
}

impl Number {
    fn note(&self, change: impl FnOnce(&mut Line, Duration), bytes: &[u8]) {
        let now = self.gauge.clock.now();
        let mut readings = self.gauge.readings();
        if !bytes.is_empty() {
            let head = self.number ^ (now.as_millis() as u64) << 20;
            let words = bytes.chunks(8).map(|chunk| {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                u64::from_le_bytes(word)
            });
            readings.digest = words.fold(readings.digest ^ head, |digest, word| {
                (digest.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
            });
        }
        if let Some(line) = readings.open.get_mut(&self.number) {
            change(line, now);
        }
    }
}

impl Number {
    /// What becomes of a read.
    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        let mut readings = self.gauge.readings();
        let Some(line) = readings.open.get_mut(&self.number) else { return Ok(()) };
        if line.given_up.is_some() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        line.reader = Some(cx.waker().clone());
        Ok(())
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        let mut readings = self.gauge.readings();
        if let Some(line) = readings.open.remove(&self.number).filter(|line| line.outbound) {
            readings.closed.entry(line.peer).or_default().push(line.written);
        }
    }
}

/// One task, while it runs.
struct Task(Gauged);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.readings().tasks -= 1;
    }
}

/// A listener with a gauge on what it takes.
pub(crate) struct GaugedPort(Port, Gauged);

/// A stream with a gauge on it.
#[derive(Debug)]
pub(crate) struct GaugedStream {
    stream: Mss,
    number: Number,
}

impl Network for Gauged {
    type Stream = GaugedStream;
    type Listener = GaugedPort;

    async fn listen(&self, addr: SocketAddr) -> io::Result<GaugedPort> {
        Ok(GaugedPort(self.network.listen(addr).await?, self.clone()))
    }

    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.network.lookup(host, port).await
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<GaugedStream> {
        let number = self.open(addr.ip(), true);
        let stream = self.network.connect(addr).await?;
        let mut readings = self.readings();
        readings.moved |= readings.second.contains_key(&addr.ip());
        Ok(GaugedStream { stream, number })
    }

    fn spawn<T: Send + 'static>(&self, set: &mut JoinSet<T>, task: impl Future<Output = T> + Send + 'static) {
        self.readings().tasks += 1;
        let running = Task(self.clone());
        self.network.spawn(set, async move {
            let _running = running;
            task.await
        });
    }

    fn time_of_day(&self) -> SystemTime {
        self.network.time_of_day()
    }
}

impl Listener for GaugedPort {
    type Stream = GaugedStream;

    async fn accept(&mut self) -> io::Result<(GaugedStream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((GaugedStream { stream, number: self.1.open(peer.ip(), false) }, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Stream for GaugedStream {
    fn abort_on_close(&self) {
        self.stream.abort_on_close();
    }
}

impl GaugedStream {
    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Ready(Ok(written)) => self.number.note(
                |line, now| {
                    line.written += *written as u64;
                    line.last_written = now;
                    line.blocked = None;
                },
                &written.to_le_bytes(),
            ),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.number.note(|line, now| _ = line.blocked.get_or_insert(now), &[]),
        }
    }
}

impl AsyncRead for GaugedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.number.check(cx)?;
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.number.note(|line, now| line.last_read = now, &buf.filled()[before..]);
        }
        result
    }
}

impl AsyncWrite for GaugedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
