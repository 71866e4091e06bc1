//! An encoder and a player for tests on real sockets, and a relay to put between them.

#![allow(dead_code, unreachable_pub)] // each test uses a part

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtmp_relay::config::{Config, Route};
use rtmp_relay::destination::{Board, Template};
use rtmp_relay::flv::Kind;
use rtmp_relay::inbound::Visitors;
use rtmp_relay::journal::Journal;
use rtmp_relay::net::connection::{Error, NoSource};
use rtmp_relay::net::tcp::Tcp;
use rtmp_relay::net::tls::Wire;
use rtmp_relay::net::{Connection, Filled, Source};
use rtmp_relay::recorder::Rule;
use rtmp_relay::relay::{Control, Relay};
use rtmp_relay::rtmp::capabilities::Announce;
use rtmp_relay::rtmp::chunk::DEFAULT_SIZE;
use rtmp_relay::rtmp::chunk::writer::{self, Header, Lane};
use rtmp_relay::rtmp::client::{ClientSession, Event, Target};
use rtmp_relay::rtmp::server::{self, Role};
use rtmp_relay::rtmp::session::{Phase, Session};
use rtmp_relay::rtmp::url::Url;
use rtmp_relay::rtmp::{Message, ServerSession, handshake};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longer than anything takes on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A relay on a free port of this machine. Dropped, it is killed.
pub struct Server {
    pub address: SocketAddr,
    /// For TLS, if it does that.
    pub tls_address: Option<SocketAddr>,
    pub board: Board,
    pub visitors: Arc<Visitors>,
    pub journal: Journal,
    pub control: Control,
    pub stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Server {
    /// One that relays to `destinations`, each `(name, address)`, and records to `folder`.
    pub async fn start(listen: &str, destinations: &[(&str, SocketAddr)], folder: Option<&Path>) -> Server {
        let route = |(name, address): &(&str, SocketAddr)| {
            Route::new((*name).to_owned(), Template::parse(&format!("rtmp://{address}/live")).unwrap())
        };
        let config = Config {
            listen: listen.parse().unwrap(),
            destinations: destinations.iter().map(route).collect(),
            recordings: folder.map(|folder| Rule::every(folder.into())).into_iter().collect(),
            ..Config::default()
        };
        Server::with(config).await
    }

    /// One that is configured like this.
    pub async fn with(config: Config) -> Server {
        let relay = Relay::bind(Tcp, config, fastrand::Rng::new()).await.unwrap();
        let (address, tls_address) = (relay.address(), relay.tls_address());
        let (board, visitors, control) = (relay.board().clone(), relay.visitors().clone(), relay.control());
        let (journal, stop) = (relay.journal().clone(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(relay.run(stop.clone()));
        Server { address, tls_address, board, visitors, journal, control, stop, tasks }
    }

    /// Ends it as SIGKILL would.
    pub async fn kill(mut self) {
        self.tasks.shutdown().await;
    }

    /// Ends it as Ctrl-C would.
    pub async fn end(mut self) {
        self.stop.cancel();
        timeout(PATIENCE, self.tasks.join_next()).await.unwrap();
    }
}

fn client(role: Role, url: &str) -> ClientSession {
    let mut url = Url::parse(url).unwrap();
    let name = url.name.take().unwrap();
    let target = Target { role, url, name, agent: "test".to_owned(), chunk_size: DEFAULT_SIZE };
    ClientSession::new(target, &handshake::random(7)).announcing(Announce::Reconnecting)
}

pub type Asking<M> = Connection<Wire<TcpStream>, ClientSession, M>;

/// A connection that is about to ask `server` for `name`.
pub async fn connect<M: Source>(role: Role, server: SocketAddr, name: &str) -> Asking<M> {
    let stream = TcpStream::connect(server).await.unwrap();
    stream.set_nodelay(true).unwrap();
    through(Wire::Plain(stream), role, name)
}

/// The same, on a stream that is open already.
pub fn through<M: Source>(stream: Wire<TcpStream>, role: Role, name: &str) -> Asking<M> {
    let server = stream_peer(&stream);
    Connection::new(stream, client(role, &format!("rtmp://{server}/{name}")))
}

fn stream_peer(stream: &Wire<TcpStream>) -> SocketAddr {
    match stream {
        Wire::Plain(stream) => stream.peer_addr().unwrap(),
        Wire::Tls(stream) => stream.get_ref().0.peer_addr().unwrap(),
    }
}

/// The answer to a request: the message stream, or the code of a refusal.
pub async fn answer<M: Source>(connection: &mut Asking<M>) -> Result<u32, String> {
    let answer = async {
        loop {
            while let Some(event) = connection.event().unwrap() {
                match event {
                    Event::Started(stream) => return Ok(stream),
                    Event::Refused(_, status) => return Err(status.code),
                    Event::Reconnect(_) | Event::Ended(_) | Event::Message(_) => {}
                }
            }
            connection.receive().await.map_err(|e| e.to_string())?;
        }
    };
    timeout(PATIENCE, answer).await.unwrap()
}

/// The next one who comes to publish, let in. From here on nothing is read unless somebody does it.
pub async fn accepted(listener: &TcpListener) -> Connection<TcpStream, ServerSession, NoSource> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut inbound = Connection::new(stream, ServerSession::new([7; 1528]));
    while inbound.session.phase() != Phase::Media {
        match inbound.event().unwrap() {
            Some(server::Event::Request(request)) => _ = inbound.session.accept(request),
            Some(_) => {}
            None => _ = inbound.receive().await.unwrap(),
        }
    }
    while inbound.event().unwrap().is_some() {}
    // What it has to say leaves.
    let _ = timeout(Duration::from_micros(1), inbound.receive()).await;
    inbound
}

/// Publishes what it is given.
pub struct Encoder {
    pub connection: Asking<Hand>,
    hand: Hand,
    stream: u32,
}

impl Encoder {
    pub async fn publish(server: SocketAddr, name: &str) -> Result<Encoder, String> {
        Encoder::on(connect(Role::Publish, server, name).await).await
    }

    /// On a connection that is about to ask.
    pub async fn on(mut connection: Asking<Hand>) -> Result<Encoder, String> {
        let stream = answer(&mut connection).await?;
        let hand = Hand::default();
        connection.feed(hand.clone());
        let mut encoder = Encoder { connection, hand, stream };
        encoder.turn().await;
        Ok(encoder)
    }

    /// Headers of an H.264 and AAC stream.
    pub async fn headers(&mut self) {
        self.send(Kind::Audio, 0, b"\xaf\x00\x11\x90").await;
        self.send(Kind::Video, 0, b"\x17\x00\x00\x00\x00\x01header").await;
    }

    pub async fn send(&mut self, kind: Kind, time: u32, payload: &[u8]) {
        let message =
            writer::message(Lane::of(kind), Header::Start { time, stream: self.stream }, payload, DEFAULT_SIZE);
        self.hand.put(message);
        self.turn().await;
    }

    /// Lets the connection send.
    async fn turn(&mut self) {
        let _ = timeout(Duration::from_micros(1), self.connection.receive()).await;
        let _ = self.connection.event();
    }

    /// Says goodbye.
    pub async fn end(mut self) {
        self.connection.session.finish();
        self.connection.close().await;
    }

    /// Ends the stream but not the connection: how long the server keeps it open then.
    pub async fn stay(mut self) -> Duration {
        self.connection.session.finish();
        let asked = Instant::now();
        while self.connection.event().is_ok() && self.connection.receive().await.is_ok() {}
        asked.elapsed()
    }
}

/// Key frames and others of H.264, told apart by a number.
pub fn video(key: bool, number: usize) -> Vec<u8> {
    format!("{}\x01\0\0\0frame {number}", if key { '\x17' } else { '\x27' }).into_bytes()
}

/// Plays and keeps what it gets.
pub struct Player {
    /// Where the server has asked it to connect again.
    pub asked: Option<Url>,
    connection: Asking<NoSource>,
}

impl Player {
    pub async fn play(server: SocketAddr, name: &str) -> Player {
        Player::try_play(server, name).await.unwrap()
    }

    pub async fn try_play(server: SocketAddr, name: &str) -> Result<Player, String> {
        Player::try_on(connect(Role::Play, server, name).await).await
    }

    /// On a connection that is about to ask.
    pub async fn on(connection: Asking<NoSource>) -> Player {
        Player::try_on(connection).await.unwrap()
    }

    async fn try_on(mut connection: Asking<NoSource>) -> Result<Player, String> {
        answer(&mut connection).await?;
        Ok(Player { asked: None, connection })
    }

    /// The next message; `None` once the stream has ended.
    pub async fn next(&mut self) -> Option<Message> {
        let next = async {
            loop {
                while let Some(event) = self.connection.event().unwrap() {
                    match event {
                        Event::Message(message) => return Some(message),
                        Event::Ended(_) => return None,
                        Event::Reconnect(to) => self.asked = to.ok(),
                        Event::Started(_) | Event::Refused(..) => {}
                    }
                }
                match self.connection.receive().await {
                    Ok(_) => {}
                    Err(Error::Closed { .. }) => return None,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        timeout(PATIENCE, next).await.expect("something to play")
    }

    /// Everything to the end: kind, time and payload.
    pub async fn rest(&mut self) -> Vec<(u8, u32, Vec<u8>)> {
        let mut all = Vec::new();
        while let Some(m) = self.next().await {
            all.push((m.type_id, m.timestamp, m.payload.to_vec()));
        }
        all
    }

    /// The pictures among what comes to the end, in their order, without headers.
    pub async fn frames(&mut self) -> Vec<Vec<u8>> {
        let all = self.rest().await.into_iter();
        all.filter(|(kind, _, payload)| *kind == 9 && payload[1] == 1).map(|(_, _, payload)| payload).collect()
    }
}

/// A source filled by hand.
#[derive(Clone, Default)]
pub struct Hand(Arc<Mutex<(VecDeque<Bytes>, Option<Waker>)>>);

impl Hand {
    pub fn put(&self, message: Bytes) {
        let waker = {
            let mut held = self.0.lock().unwrap();
            held.0.push_back(message);
            held.1.clone()
        };
        waker.unwrap().wake();
    }
}

impl Source for Hand {
    fn fill(&mut self, _: usize, put: &mut dyn FnMut(Bytes)) -> Filled {
        match self.0.lock().unwrap().0.pop_front() {
            Some(message) => {
                put(message);
                Filled::Some
            }
            None => Filled::Level,
        }
    }

    fn wake(&mut self, waker: Waker) {
        self.0.lock().unwrap().1 = Some(waker);
    }
}

/// Waits until `ready` says so.
pub async fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let wait = async {
        while !ready() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}
