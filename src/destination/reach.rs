//! The way to a server before RTMP: its name, a connection to one of its addresses, TLS. A deadline for each.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use super::Error;
use crate::net::Network;
use crate::net::race::race;
use crate::net::tls::{Trust, Wire};
use crate::rtmp::url::Url;

/// Opens a stream to a server, at one of the addresses that `may_go`.
pub(super) async fn reach<N: Network>(
    net: &N,
    url: &Url,
    trust: &Trust,
    patience: Duration,
    may_go: impl Fn(&SocketAddr) -> bool,
) -> Result<(SocketAddr, Wire<N::Stream>), Error> {
    let late = |_| Err(io::ErrorKind::TimedOut.into());
    let addresses = timeout(patience, net.lookup(&url.host, url.port)).await.unwrap_or_else(late);
    let addresses = addresses.map_err(Error::Lookup)?;
    let allowed: Vec<SocketAddr> = addresses.iter().copied().filter(may_go).collect();
    match (addresses.len(), allowed.len()) {
        (0, _) => return Err(Error::Lookup(io::ErrorKind::NotFound.into())),
        (_, 0) => return Err(Error::Internal),
        _ => {}
    }
    let race = timeout(patience, race(&allowed, |address| net.connect(address))).await;
    let late = |_| Err(io::ErrorKind::TimedOut.into());
    let (address, stream) = race.unwrap_or_else(late).map_err(Error::Connect)?;
    let wire = match url.tls {
        true => trust.connect(net, stream, &url.host).await?,
        false => Wire::Plain(stream),
    };
    Ok((address, wire))
}
