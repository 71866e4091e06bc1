//! What happens at the limits of this machine: no file descriptors left, more visitors than there is room for.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rtmp_relay::config::Config;
use rtmp_relay::flv::Kind;
use rtmp_relay::inbound::{Ending, Visitors};
use rtmp_relay::net::tcp::Tcp;
use rtmp_relay::net::{Listener, Network};
use rtmp_relay::relay::Relay;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

mod peers;

use peers::{Encoder, PATIENCE, Player, until, video};

/// The program with few file descriptors. Killed at the end whatever happens.
struct Poor(Child);

impl Poor {
    fn serve(files: u32) -> (Poor, SocketAddr) {
        let command =
            format!("ulimit -n {files}; exec {} serve --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_rtmp-relay"));
        let mut server = Command::new("sh");
        server.args(["-c", &command]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = Poor(server.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(server.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        (server, address)
    }
}

impl Drop for Poor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn visitors_leave_file_descriptors_for_others_and_running_streams_lose_nothing() {
    let (_server, address) = Poor::serve(64);
    let mut encoder = Encoder::publish(address, "live/show").await.unwrap();
    let mut player = Player::play(address, "live/show").await;
    encoder.headers().await;
    let mut idle: Vec<TcpStream> = Vec::new();
    for n in 0..200 {
        idle.push(TcpStream::connect(address).unwrap());
        encoder.send(Kind::Video, 33 * n, &video(n % 60 == 0, n as usize)).await;
    }
    // Three quarters of 64 are here, two of them the encoder and the player; the others were shown out at once.
    let mut last = idle.pop().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let shown_out = last.read(&mut [0; 1]);
    assert!(matches!(&shown_out, Ok(0)) || shown_out.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
    idle.truncate(40);
    drop((idle, last));
    let left = Instant::now();
    // The relay sees them go one by one.
    let mut late = loop {
        match Player::try_play(address, "live/show").await {
            Ok(player) => break player,
            Err(shown_out) => assert!(left.elapsed() < Duration::from_secs(1), "{shown_out}"),
        }
    };
    assert!(late.next().await.is_some());
    encoder.end().await;
    let got: Vec<_> = player.rest().await.into_iter().map(|(.., payload)| payload).skip(2).collect();
    assert_eq!(got, (0..200).map(|n| video(n % 60 == 0, n)).collect::<Vec<_>>());
}

/// Real sockets, and a listener that can be out of file descriptors.
#[derive(Clone, Default)]
struct Exhausted {
    out: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

struct ExhaustedListener(TcpListener, Exhausted);

impl Network for Exhausted {
    type Stream = tokio::net::TcpStream;
    type Listener = ExhaustedListener;

    async fn listen(&self, addr: SocketAddr) -> io::Result<ExhaustedListener> {
        Ok(ExhaustedListener(Tcp.listen(addr).await?, self.clone()))
    }

    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Tcp.lookup(host, port).await
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<Self::Stream> {
        Tcp.connect(addr).await
    }

    fn spawn<T: Send + 'static>(&self, set: &mut JoinSet<T>, task: impl Future<Output = T> + Send + 'static) {
        Tcp.spawn(set, task);
    }

    fn time_of_day(&self) -> SystemTime {
        Tcp.time_of_day()
    }
}

impl Listener for ExhaustedListener {
    type Stream = tokio::net::TcpStream;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        self.1.asked.fetch_add(1, Ordering::Relaxed);
        if self.1.out.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(24));
        }
        Listener::accept(&mut self.0).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Listener::local_addr(&self.0)
    }
}

#[tokio::test]
async fn without_file_descriptors_the_relay_rests_between_tries_and_resumes_within_a_second() {
    let network = Exhausted::default();
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    let relay = Relay::bind(network.clone(), config, fastrand::Rng::with_seed(1)).await.unwrap();
    let (address, stop) = (relay.address(), CancellationToken::new());
    let running = tokio::spawn(relay.run(stop.clone()));
    let mut encoder = Encoder::publish(address, "live/show").await.unwrap();
    let mut player = Player::play(address, "live/show").await;
    encoder.headers().await;

    network.out.store(true, Ordering::Relaxed);
    let before = network.asked.load(Ordering::Relaxed);
    // The accept that waits already is good for one more.
    drop(TcpStream::connect(address).unwrap());
    let started = Instant::now();
    let mut n = 0;
    while started.elapsed() < Duration::from_secs(1) {
        encoder.send(Kind::Video, 33 * n as u32, &video(n % 60 == 0, n)).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        n += 1;
    }
    let asked = network.asked.load(Ordering::Relaxed) - before;
    let tenths = started.elapsed().as_millis() as usize / 100;
    assert!((2..=tenths + 3).contains(&asked), "asked {asked} times in {:?}", started.elapsed());

    network.out.store(false, Ordering::Relaxed);
    let back = Instant::now();
    let _late = Player::play(address, "live/show").await;
    assert!(back.elapsed() < Duration::from_secs(1), "{:?}", back.elapsed());
    encoder.end().await;
    let got: Vec<_> = player.rest().await.into_iter().map(|(.., payload)| payload).skip(2).collect();
    assert_eq!(got, (0..n).map(|n| video(n % 60 == 0, n)).collect::<Vec<_>>());
    stop.cancel();
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
}

/// A relay with an encoder and a player on it.
struct Stage {
    address: SocketAddr,
    visitors: Arc<Visitors>,
    encoder: Encoder,
    player: Player,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Stage {
    async fn set() -> Self {
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
        let relay = Relay::bind(Tcp, config, fastrand::Rng::with_seed(1)).await.unwrap();
        let (address, visitors) = (relay.address(), relay.visitors().clone());
        let stop = CancellationToken::new();
        let running = tokio::spawn(relay.run(stop.clone()));
        let mut encoder = Encoder::publish(address, "live/show").await.unwrap();
        let player = Player::play(address, "live/show").await;
        encoder.headers().await;
        Stage { address, visitors, encoder, player, stop, running }
    }

    async fn send(&mut self, n: usize) {
        self.encoder.send(Kind::Video, 33 * n as u32, &video(n == 0, n)).await;
    }

    /// The player has got every picture of these.
    async fn strike(mut self, pictures: usize) {
        self.encoder.end().await;
        let got: Vec<_> = self.player.rest().await.into_iter().map(|(.., payload)| payload).skip(2).collect();
        assert_eq!(got, (0..pictures).map(|n| video(n == 0, n)).collect::<Vec<_>>());
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn two_thousand_who_never_say_a_word_are_shown_out_after_five_seconds_and_disturb_nobody() {
    let mut stage = Stage::set().await;
    let mut silent = Vec::new();
    for n in 0..2_000 {
        silent.push(tokio::net::TcpStream::connect(stage.address).await.unwrap());
        if n % 4 == 0 {
            stage.send(n / 4).await;
        }
    }
    let visitors = stage.visitors.clone();
    until("all have been shown out", || visitors.endings().get(&Ending::TimedOut) == Some(&2_000)).await;
    assert_eq!(visitors.count(), 2);
    stage.strike(500).await;
}

#[tokio::test]
async fn five_hundred_connects_a_second_disturb_nobody_and_each_is_counted_once() {
    let hello = [&[3][..], &[7; 1536]].concat();
    let words: [&[u8]; 4] = [b"", b"GET / HTTP/1.1\r\n\r\n", b"\0", &hello];
    let mut stage = Stage::set().await;
    let mut clock = tokio::time::interval(Duration::from_millis(10));
    let began = Instant::now();
    for n in 0..200 {
        clock.tick().await;
        for visit in 0..5 {
            let mut stream = tokio::net::TcpStream::connect(stage.address).await.unwrap();
            stream.write_all(words[(5 * n + visit) % words.len()]).await.unwrap();
            stream.shutdown().await.unwrap();
            // Until the relay has closed too, so that none of them is a reset.
            tokio::spawn(async move { stream.read_to_end(&mut Vec::new()).await });
        }
        stage.send(n).await;
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "1,000 connects took {took:?}");
    let visitors = stage.visitors.clone();
    until("all have gone", || visitors.count() == 2).await;
    let endings = visitors.endings();
    assert_eq!(endings.values().sum::<u64>(), 1_000, "{endings:?}");
    assert_eq!(endings.get(&Ending::Closed), Some(&500));
    assert_eq!((endings.get(&Ending::Unsupported), endings.get(&Ending::Protocol)), (Some(&250), Some(&250)));
    let came = Instant::now();
    let mut late = Player::play(stage.address, "live/show").await;
    assert!(late.next().await.is_some() && came.elapsed() < Duration::from_secs(1), "{:?}", came.elapsed());
    stage.strike(200).await;
}
