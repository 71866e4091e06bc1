//! TLS around a stream, or none. RTMPS is RTMP in TLS from the first byte: the sessions above do not know of it.
//!
//! ```text
//!  Connection ─► Wire::Plain ─────────────► Stream
//!             └► Wire::Tls ─► rustls ─────► Stream      Trust::connect (to servers) · Entrance::accept (from clients)
//! ```

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::{Delivery, Network, Stream};

pub mod error;
pub mod fingerprint;
pub mod identity;
pub mod trust;

pub use error::Error;
pub use fingerprint::Fingerprint;
pub use identity::{Entrance, Identity};
pub use trust::Trust;

/// A stream to one peer, in TLS or as it is.
#[derive(Debug)]
pub enum Wire<S> {
    /// As it is.
    Plain(S),
    /// In TLS, both of whose ends have been heard. It holds back the end of what it took until it is flushed.
    Tls(Box<TlsStream<S>>),
}

impl<S: Stream> Stream for Wire<S> {
    fn abort_on_close(&self) {
        match self {
            Wire::Plain(stream) => stream.abort_on_close(),
            Wire::Tls(stream) => stream.get_ref().0.abort_on_close(),
        }
    }

    fn send_now(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.send_now(slices),
            Wire::Tls(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn delivery(&self) -> Option<Delivery> {
        match self {
            Wire::Plain(stream) => stream.delivery(),
            Wire::Tls(stream) => stream.get_ref().0.delivery(),
        }
    }
}

impl<S: Stream> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            // Many close without TLS's own goodbye. Chunks have lengths of their own, so nothing that was cut off is taken for
            // whole.
            Wire::Tls(stream) => match Pin::new(stream).poll_read(cx, buffer) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                read => read,
            },
        }
    }
}

impl<S: Stream> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// The cryptography. Always named, never the process's default: a second one in the tree would make that a panic.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The network's time of day, by which certificates are valid or not.
struct Clock<N>(N);

impl<N> fmt::Debug for Clock<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl<N: Network> TimeProvider for Clock<N> {
    fn current_time(&self) -> Option<UnixTime> {
        let since: Option<Duration> = self.0.time_of_day().duration_since(SystemTime::UNIX_EPOCH).ok();
        since.map(UnixTime::since_unix_epoch)
    }
}
