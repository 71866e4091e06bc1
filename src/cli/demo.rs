//! `demo`: the relay at work, in one process on loopback.
//!
//! ```text
//!  clip.flv ─► server-1 ─┬─► server-2        all real sockets
//!                        ├─► north, east, south
//!                        └─► west            killed after a third of the time, restarted after half of it
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::publish;
use super::screen::Screen;
use super::{Demo, Log, LogFormat};
use crate::config::{Config, Route};
use crate::destination::{Board, State, Template};
use crate::net::tcp::Tcp;
use crate::recorder;
use crate::relay::Relay;
use crate::stream::cursor::Read;
use crate::stream::{Cursor, Join, Name};

const CLIP: &[u8] = include_bytes!("../../fixtures/flv/clip.flv");
const DESTINATIONS: [&str; 5] = ["server-2", "north", "east", "south", "west"];
const VICTIM: &str = "west";
const WITNESS: Join = Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX };

pub(super) async fn run(demo: Demo, stop: CancellationToken) -> Result<()> {
    let time = demo.duration.0;
    ensure!(time >= Duration::from_secs(6), "--duration is at least 6s");
    let screen = Screen::open(Log { log_level: "info".parse()?, log_format: LogFormat::Text });
    let stream = Name::new("live/demo").context("a sound name")?;

    let mut servers = BTreeMap::new();
    for name in DESTINATIONS {
        servers.insert(name, Server::start(Config { listen: loopback(0), ..Config::default() }, &stream).await?);
    }
    let route = |name: &str| {
        let url = Template::parse(&format!("rtmp://{}/live", servers[name].address))?;
        anyhow::Ok(Route::new(name.to_owned(), url))
    };
    let destinations = DESTINATIONS.into_iter().map(route).collect::<Result<Vec<_>>>()?;
    let first = Server::start(Config { listen: loopback(0), destinations, ..Config::default() }, &stream).await?;
    println!("server-1 relays what is published to {} to {}", first.address, DESTINATIONS.join(", "));

    let over = stop.child_token();
    let url = format!("rtmp://{}/live/demo", first.address);
    let board = first.board.clone();
    let clip = std::io::Cursor::new(CLIP);
    let outage = async {
        sleep(time / 3).await;
        info!("killing {VICTIM}");
        let address = servers[VICTIM].address;
        servers.remove(VICTIM).context("it runs")?.kill().await;
        sleep(time / 6).await;
        info!("restarting {VICTIM}");
        let server = Server::start(Config { listen: address, ..Config::default() }, &stream).await?;
        let restarted = Instant::now();
        until_live(&board).await?;
        let back = restarted.elapsed();
        servers.insert(VICTIM, server);
        sleep((time / 2).saturating_sub(back)).await;
        over.cancel();
        anyhow::Ok(back)
    };
    let show = async { tokio::try_join!(publish::send(clip, &url, true, 1.0, over.clone()), outage) };
    let unrecorded = recorder::Board::default();
    let (_, back) = tokio::select! {
        shown = show => shown?,
        () = screen.show(&board, &unrecorded) => unreachable!("it is shown until dropped"),
        () = stop.cancelled() => return Ok(()),
    };
    report(first, servers, back).await
}

/// Waits until the killed server is sent to again.
async fn until_live(board: &Board) -> Result<()> {
    let mut tick = interval(Duration::from_millis(10));
    let live = async {
        loop {
            tick.tick().await;
            if board.statuses().iter().any(|s| s.name == VICTIM && s.state == State::Live) {
                return;
            }
        }
    };
    timeout(Duration::from_secs(30), live).await.with_context(|| format!("{VICTIM} did not come back in 30 s"))
}

/// Compares what every server has received.
async fn report(first: Server, servers: BTreeMap<&str, Server>, back: Duration) -> Result<()> {
    let expected = first.seen().await?;
    println!("\nserver-1 was sent {} messages of audio and video", expected.messages);
    let mut all_identical = true;
    for (name, server) in servers {
        let seen = server.seen().await?;
        let identical = seen == expected;
        let words = match (name, identical) {
            (VICTIM, _) => format!("since its restart; live again {} ms after it", back.as_millis()),
            (_, true) => "identical".to_owned(),
            (_, false) => "DIFFERENT".to_owned(),
        };
        all_identical &= identical || name == VICTIM;
        println!("{name:10} {:6} messages, {words}", seen.messages);
    }
    ensure!(all_identical, "a destination that nothing happened to has received something else");
    Ok(())
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A relay in a task of its own, and a witness of what reaches it.
struct Server {
    address: SocketAddr,
    board: Board,
    relay: JoinSet<()>,
    witness: JoinHandle<Seen>,
}

/// What a witness has seen of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    messages: u64,
    /// Over kinds and payloads, in order.
    digest: [u8; 32],
}

impl Server {
    async fn start(config: Config, stream: &Name) -> Result<Self> {
        let relay = Relay::bind(Tcp, config, fastrand::Rng::new()).await?;
        let (address, board) = (relay.address(), relay.board().clone());
        let log = relay.directory().log_of(stream);
        let witness = tokio::spawn(witness(Cursor::new(Arc::clone(&log), WITNESS)));
        let mut set = JoinSet::new();
        set.spawn(relay.run(CancellationToken::new()));
        Ok(Server { address, board, relay: set, witness })
    }

    /// Ends it without a word, as a crash would.
    async fn kill(mut self) {
        self.relay.shutdown().await;
        self.witness.abort();
    }

    /// What it has received, once the stream is over.
    async fn seen(self) -> Result<Seen> {
        let seen = timeout(Duration::from_secs(10), self.witness).await.context("the stream does not end")??;
        Ok(seen)
    }
}

async fn witness(mut cursor: Cursor) -> Seen {
    let mut tick = interval(Duration::from_millis(100));
    let (mut messages, mut digest) = (0, Sha256::new());
    loop {
        tick.tick().await;
        let read = cursor.read(|frame, _| {
            messages += 1;
            digest.update([frame.kind as u8]);
            digest.update(&frame.payload);
            true
        });
        if read == Read::Ended {
            return Seen { messages, digest: digest.finalize().into() };
        }
    }
}
