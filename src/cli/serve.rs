//! `serve`: a relay on real sockets.

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Serve;
use super::screen::Screen;
use crate::config::{self, Config};
use crate::inbound::visitors::Limits;
use crate::net::tcp::Tcp;
use crate::relay::Relay;

/// `files` is how many file descriptors this process may have.
pub(super) async fn run(serve: Serve, files: u64, stop: CancellationToken) -> Result<()> {
    let room = usize::try_from(files / 4 * 3).unwrap_or(usize::MAX);
    let config = Config {
        listen: serve.listen,
        destinations: config::destinations(&serve.relay_to).context("--relay-to")?,
        record_dir: serve.record_all.then_some(serve.record_dir),
        grace: serve.grace.0,
        chunk_size: serve.chunk_size as usize,
        visitors: Limits { all: serve.max_connections.min(room), per_address: serve.max_connections_per_address },
        ..Config::default()
    };
    let screen = Screen::open(serve.log.log_level);
    let relay = Relay::bind(Tcp, config, fastrand::Rng::new()).await?;
    let address = relay.address();
    // On every address: this machine's own name is the one that always works from here.
    let host =
        if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() };
    println!("rtmp-relay {} listens on {address}", env!("CARGO_PKG_VERSION"));
    println!("In OBS: Settings, Stream, Service \"Custom...\"");
    println!("  Server      rtmp://{host}/live");
    println!("  Stream Key  test        (any name you like; play it at rtmp://{host}/live/test)");
    if !address.ip().is_loopback() {
        warn!("anyone who can reach {address} may publish here");
    }
    let board = relay.board().clone();
    tokio::select! {
        () = relay.run(stop) => {}
        () = screen.show(&board) => {}
    }
    Ok(())
}
