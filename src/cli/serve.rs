//! `serve`: a relay on real sockets.

use anyhow::Result;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Serve;
use super::reload::Reload;
use super::screen::Screen;
use crate::api::Api;
use crate::config::{Config, keeper::Keeper};
use crate::net::tcp::Tcp;
use crate::relay::{Control, Relay};

/// `files` is how many file descriptors this process may have.
pub(super) async fn run(serve: Serve, files: u64, stop: CancellationToken) -> Result<()> {
    let room = usize::try_from(files / 4 * 3).unwrap_or(usize::MAX);
    let mut loaded = Config::load(serve.settings.clone(), serve.config.as_deref()).await?;
    loaded.config.visitors.all = loaded.config.visitors.all.min(room);
    let screen = Screen::open(serve.log);
    let open = loaded.config.gate.let_anybody_publish();
    let relay = Relay::bind(Tcp, loaded.config.clone(), fastrand::Rng::new()).await?;
    let address = relay.address();
    // On every address: this machine's own name is the one that always works from here.
    let host =
        if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() };
    println!("rtmp-relay {} listens on {address}", env!("CARGO_PKG_VERSION"));
    println!("In OBS: Settings, Stream, Service \"Custom...\"");
    println!("  Server      rtmp://{host}/live");
    println!("  Stream Key  test        (any name you like; play it at rtmp://{host}/live/test)");
    if let Some(address) = relay.tls_address() {
        println!("RTMPS on {address}");
    }
    let (keeper, edits) = Keeper::new();
    let api = Api::bind(Tcp, &relay, serve.config.as_ref().map(|_| keeper)).await?;
    if let Some(api) = &api {
        let moved = if api.moved() { " (the usual port is taken)" } else { "" };
        println!("HTTP API on http://{}/api/v1/status{moved}", api.address());
        println!("Watch it, and run it, at http://{}/", api.address());
        info!("HTTP API on {}{moved}", api.address());
    }
    let reached = [address].into_iter().chain(relay.tls_address()).filter(|address| !address.ip().is_loopback());
    for address in reached.filter(|_| open) {
        warn!(
            "ANYONE who can reach {address} may publish here: set RTMP_RELAY_PUBLISH_KEY, or --allow-publish a network"
        );
    }
    let (board, recordings, control) = (relay.board().clone(), relay.recordings().clone(), relay.control());
    let reload = async |control: Control| match loaded.files.is_empty() {
        false => {
            Reload { flags: &serve.settings, path: serve.config.as_deref(), loaded, room, edits }.run(control).await
        }
        true => std::future::pending().await,
    };
    let answer = async |stop| match api {
        Some(api) => api.run(stop).await,
        None => std::future::pending().await,
    };
    tokio::select! {
        () = relay.run(stop.clone()) => Ok(()),
        () = answer(stop) => Ok(()),
        () = screen.show(&board, &recordings) => Ok(()),
        failed = reload(control) => failed.map(|never| match never {}),
    }
}
