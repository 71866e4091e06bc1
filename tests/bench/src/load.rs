//! The load: publishers that keep to a clock, and many readers that count, in one process and on one thread.
//!
//! ```text
//!   driver ──► go ADDRESS [ADDRESS]    rest   wake   open   close   …   end
//!   load   listens PORT ──►  flows ──►                                      counts ──►       (a line each)
//! ```
//! The driver's lines come on standard input, the answers go to standard output. What is measured lies between each `open` and
//! `close`; from `rest` to `wake` nothing is published. What is lost is counted from a reader's first message to the last one
//! published.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rtmp_relay::net::connection::NoSource;
use rtmp_relay::net::tcp::Tcp;
use rtmp_relay::net::tls::{Entrance, Identity, Wire};
use rtmp_relay::net::{Connection, Stream};
use rtmp_relay::rtmp::server::Role;
use rtmp_relay::rtmp::session::Session;
use rtmp_relay::rtmp::{ServerSession, handshake, server};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::film::Film;

mod count;
mod dialogue;
mod publisher;
mod raw;
mod reader;

pub(crate) use count::{Count, Quantiles};
use count::{Group, Tally};
use raw::Raw;
use reader::Reader;

/// Everybody has media within this time, or never.
const FLOWS: Duration = Duration::from_secs(40);
/// A server that takes nothing closes its socket after this long, when its client has gone.
const STALLS: Duration = Duration::from_secs(30);
/// What has been published arrives within this time, or is lost.
const DRAIN: Duration = Duration::from_secs(3);

/// What load there is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Order {
    /// How many streams are published
    #[arg(long, default_value_t = 1)]
    pub(crate) streams: u16,
    /// How many readers each stream has
    #[arg(long, default_value_t = 1)]
    pub(crate) readers: usize,
    /// Bits a second of each stream
    #[arg(long, default_value_t = 6_000_000)]
    pub(crate) bitrate: u64,
    /// The readers play; else they are servers that are published to
    #[arg(long)]
    pub(crate) play: bool,
    /// Chunks alone, without RTMP's handshake and commands
    #[arg(long)]
    pub(crate) raw: bool,
    /// As fast as the slowest reader takes it
    #[arg(long)]
    pub(crate) bulk: bool,
    /// A folder with `cert.pem` and `key.pem`: the servers are behind TLS
    #[arg(long)]
    pub(crate) tls: Option<std::path::PathBuf>,
    /// Publish nothing: the readers only wait
    #[arg(long)]
    pub(crate) idle: bool,
}

/// Does as the driver says.
pub(crate) async fn run(order: Order) -> Result<()> {
    let tally = Tally::new(&order);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listens {}", listener.local_addr()?.port());
    tokio::spawn(serve(listener, entrance(&order)?, order.raw, tally.clone()));
    let mut words = BufReader::new(tokio::io::stdin()).lines();
    let go = word(&mut words).await?;
    let addresses: Vec<SocketAddr> =
        go.split(' ').skip(1).map(str::parse).collect::<Result<_, _>>().context("go ADDRESS [ADDRESS]")?;
    let [publish, play] = match addresses[..] {
        [one] => [one, one],
        [publish, play] => [publish, play],
        _ => bail!("go ADDRESS [ADDRESS]"),
    };
    // The floor gives its readers what comes after them, so they come first; RTMP's begin at a key frame.
    if order.play && order.raw {
        play_all(&order, play, &tally).await?;
        sleep(Duration::from_millis(200)).await;
    }
    if !order.idle {
        let film = Arc::new(Film::new(order.bitrate)?);
        for stream in 0..order.streams {
            let publisher = publisher::connect(order.raw, publish, stream).await?;
            tokio::spawn(publisher.run(film.clone(), order.bulk, tally.clone()));
        }
    }
    if order.play && !order.raw {
        sleep(Duration::from_millis(500)).await;
        play_all(&order, play, &tally).await?;
    }
    let expected = order.readers * usize::from(order.streams);
    let flows = async {
        while tally.flowing() < expected && !order.idle {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let flowing = timeout(FLOWS, flows).await;
    ensure!(flowing.is_ok(), "{} of {expected} readers have media after {FLOWS:?}", tally.flowing());
    println!("flows");
    loop {
        match word(&mut words).await?.as_str() {
            "rest" => tally.rest(),
            "wake" => tally.wake(),
            "open" => tally.open(),
            "close" => tally.close(),
            "end" => break,
            other => bail!("{other} is not rest, wake, open, close or end"),
        }
    }
    tally.end();
    let drained = async {
        while !tally.is_level() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    // Who is not level by now has lost the rest, and that is counted.
    let _ = timeout(DRAIN, drained).await;
    println!("{}", serde_json::to_string(&tally.count())?);
    Ok(())
}

async fn word(words: &mut Lines<BufReader<Stdin>>) -> Result<String> {
    words.next_line().await?.context("the driver has left")
}

fn entrance(order: &Order) -> Result<Option<Entrance>> {
    let Some(folder) = &order.tls else { return Ok(None) };
    let identity = Identity::new(&std::fs::read(folder.join("cert.pem"))?, &std::fs::read(folder.join("key.pem"))?)?;
    Ok(Some(Entrance::new(&Tcp, identity)?))
}

/// Takes everybody who publishes to us.
async fn serve(listener: TcpListener, entrance: Option<Entrance>, raw: bool, tally: Arc<Tally>) {
    for seed in 0.. {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (entrance, tally) = (entrance.clone(), tally.clone());
        tokio::spawn(async move {
            let stream = match entrance {
                None => Wire::Plain(stream),
                Some(entrance) => match entrance.accept(stream).await {
                    Ok(stream) => stream,
                    Err(_) => return,
                },
            };
            match raw {
                true => read(Connection::new(stream, Raw::new()), Reader::new(tally, Group::default())).await,
                false => receive(stream, seed, tally).await,
            }
        });
    }
}

/// A server for one publisher. The name it publishes under says how the server behaves: `stall-` takes nothing once it has taken
/// a little, `flap-` goes away again and again.
async fn receive<S: Stream>(stream: S, seed: u64, tally: Arc<Tally>) {
    let mut connection: Connection<_, _, NoSource> =
        Connection::new(stream, ServerSession::new(handshake::random(seed)));
    let request = loop {
        match connection.event() {
            Ok(Some(server::Event::Request(request))) => break request,
            Ok(Some(server::Event::Message(_) | server::Event::Stopped)) => {}
            Ok(None) if connection.receive().await.is_ok() => {}
            Ok(None) | Err(_) => return,
        }
    };
    let group = Group::of(request.name.expose());
    let Some(stay) = tally.admit(&group) else { return };
    connection.session.accept(request);
    let reader = Reader::new(tally.clone(), group.clone());
    match stay {
        None => read(connection, reader).await,
        Some(stay) => {
            let mut reading = Box::pin(read(connection, reader));
            let _ = timeout(stay, &mut reading).await;
            if group.stalls() {
                // The socket stays open, and nothing more is read.
                sleep(STALLS).await;
            }
            tally.left(&group);
        }
    }
}

/// Connects every player.
async fn play_all(order: &Order, server: SocketAddr, tally: &Arc<Tally>) -> Result<()> {
    for number in 0..order.readers {
        for stream in 0..order.streams {
            let reader = Reader::new(tally.clone(), Group::default());
            let socket = TcpStream::connect(server).await?;
            match order.raw {
                true => _ = tokio::spawn(read(Connection::new(socket, Raw::new()), reader)),
                false => {
                    let session = dialogue::client(Role::Play, server, stream);
                    tokio::spawn(read(Connection::new(socket, session), reader));
                }
            }
        }
        // So that a listener's backlog is never full.
        if number % 16 == 15 {
            sleep(Duration::from_millis(2)).await;
        }
    }
    Ok(())
}

/// Counts all that comes.
async fn read<S: Stream, P>(mut connection: Connection<S, P, NoSource>, mut reader: Reader)
where
    P: Session,
    P::Event: dialogue::Media,
{
    loop {
        match connection.event() {
            Ok(Some(event)) => reader.take(event),
            Ok(None) if connection.receive().await.is_ok() => {}
            Ok(None) | Err(_) => return,
        }
    }
}
