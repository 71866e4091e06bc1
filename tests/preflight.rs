//! The way to a destination, and ten ways in which it is closed.

#![allow(missing_docs, clippy::unwrap_used)]

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use rcgen::date_time_ymd;
use rtmp_relay::config::Route;
use rtmp_relay::destination::Template;
use rtmp_relay::net::tcp::Tcp;
use rtmp_relay::net::tls::Trust;
use rtmp_relay::preflight::{self, Report, Step};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

#[path = "support/certificates.rs"]
#[allow(dead_code)]
mod certificates;
mod peers;

use certificates::{Authority, Card, params, self_signed};
use peers::Server;

const HERE: &str = "127.0.0.1:0";

/// A server that does this with each connection.
async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(HERE).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// One that shows a certificate and has nothing to say.
async fn shows(card: &Card) -> SocketAddr {
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(card.chain(), card.key()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 4096]).await;
            }
        }
    })
    .await
}

/// A command of the server's, in one chunk (RTMP 1.0 §5.3.1): everything else of the session is the product's.
fn command(name: &str, transaction: u8, rest: &[u8]) -> Vec<u8> {
    let mut payload = vec![2, 0, name.len() as u8];
    payload.extend(name.as_bytes());
    payload.extend([0]);
    payload.extend(f64::from(transaction).to_be_bytes());
    payload.extend(rest);
    let mut chunk = vec![3, 0, 0, 0, 0, 0, payload.len() as u8, 20, 0, 0, 0, 0];
    chunk.extend(payload);
    assert!(chunk.len() < 12 + 128, "one chunk");
    chunk
}

/// Shakes hands in the plain way, and answers `connect` like this; then nothing.
async fn answers(mut stream: TcpStream, answer: Vec<u8>) {
    let mut hello = [0; 1 + 1536];
    stream.read_exact(&mut hello).await.unwrap();
    stream.write_all(&[&[3], &[0; 1536][..], &hello[1..]].concat()).await.unwrap();
    stream.read_exact(&mut [0; 1536]).await.unwrap();
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {
        if bytes.windows(7).any(|window| window == b"connect") {
            let _ = stream.write_all(&answer).await;
        }
        bytes.fill(0);
    }
}

async fn tried(url: &str, trust: Trust, publish: bool) -> Report {
    let route = Route { trust, ..Route::new("it".to_owned(), Template::parse(url).unwrap()) };
    preflight::run(&Tcp, &route, publish, &mut fastrand::Rng::with_seed(7)).await
}

fn steps(report: &Report) -> Vec<Step> {
    report.done.iter().map(|done| done.step).collect()
}

#[tokio::test]
async fn a_way_that_is_open_is_walked_without_a_word_of_the_key_unless_it_is_to_be_published() {
    let far = Server::start(HERE, &[], None).await;
    let url = format!("rtmp://{}/live/CANARY", far.address);
    let report = tried(&url, Trust::default(), false).await;
    assert_eq!(report.failed, None);
    assert_eq!(steps(&report), [Step::Name, Step::Tcp, Step::Handshake, Step::Connect, Step::CreateStream]);
    let report = tried(&url, Trust::default(), true).await;
    assert_eq!((report.failed, report.done.last().unwrap().step), (None, Step::Publish));
    assert!(!format!("{:?}", report.done).contains("CANARY"));

    // What a server hears of it.
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let ears = heard.clone();
    let listens = server(move |mut stream| {
        let ears = ears.clone();
        async move {
            // Between the two, everything is written down.
            let mut far = TcpStream::connect(far.address).await.unwrap();
            let (mut from, mut back) = stream.split();
            let (mut answers, mut to) = far.split();
            let forth = async {
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = from.read(&mut bytes).await {
                    ears.lock().unwrap().extend_from_slice(&bytes[..read]);
                    to.write_all(&bytes[..read]).await.unwrap();
                }
            };
            tokio::select! {
                () = forth => {}
                _ = tokio::io::copy(&mut answers, &mut back) => {}
            }
        }
    })
    .await;
    assert_eq!(tried(&format!("rtmp://{listens}/live/CANARY"), Trust::default(), false).await.failed, None);
    let heard = heard.lock().unwrap().clone();
    let says = |word: &[u8]| heard.windows(word.len()).any(|window| window == word);
    assert!(says(b"createStream") && !says(b"CANARY") && !says(b"releaseStream") && !says(b"publish"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_ten_broken_servers_is_told_by_its_step() {
    let authority = Authority::new("ours");
    let trust = Trust::only(authority.pem().as_bytes()).unwrap();
    let mut expired = params(&["localhost"]);
    expired.not_after = date_time_ymd(2001, 2, 3);
    let plain = |address: SocketAddr| format!("rtmp://{address}/live/key");
    let secure = |address: SocketAddr| format!("rtmps://localhost:{}/live/key", address.port());

    let closed = TcpListener::bind(HERE).await.unwrap().local_addr().unwrap();
    // A listener whose queue is full hears nothing of who comes next.
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    full.bind(&HERE.parse::<SocketAddr>().unwrap().into()).unwrap();
    full.listen(0).unwrap();
    let deaf = full.local_addr().unwrap().as_socket().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(deaf)).await {
        queue.push(stream);
    }

    let silent =
        server(|mut stream| async move { while stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {} }).await;
    let garbage = server(|mut stream| async move { _ = stream.write_all(b"220 mail.example ESMTP\r\n").await }).await;
    let status = b"\x05\x03\0\x05level\x02\0\x05error\0\x04code\x02\0\x1eNetConnection.Connect.Rejected\0\0\x09";
    let rejects = server(|stream| answers(stream, command("_error", 1, status))).await;
    let accepts = command("_result", 1, b"\x05\x03\0\x04code\x02\0\x1dNetConnection.Connect.Success\0\0\x09");
    let idle = server(move |stream| answers(stream, accepts.clone())).await;

    let ways = [
        ("no name", "rtmp://no-such-host.invalid/live/key".to_owned(), Step::Name, "network", "name"),
        ("refused", plain(closed), Step::Tcp, "network", "refused"),
        ("timeout", plain(deaf), Step::Tcp, "network", "timed out"),
        ("expired", secure(shows(&authority.signs(&expired)).await), Step::Tls, "tls", "has expired"),
        (
            "name",
            secure(shows(&authority.vouches_for(&["other"])).await),
            Step::Tls,
            "tls",
            "not for localhost but for other",
        ),
        ("self", secure(shows(&self_signed(&params(&["localhost"]))).await), Step::Tls, "tls", "self-signed"),
        ("silent", plain(silent), Step::Handshake, "network", "timed out in the handshake"),
        ("garbage", plain(garbage), Step::Handshake, "network", "handshake"),
        ("rejected", plain(rejects), Step::Connect, "refused", "NetConnection.Connect.Rejected"),
        ("idle", plain(idle), Step::CreateStream, "network", "timed out in createStream"),
    ];
    let mut all = tokio::task::JoinSet::new();
    for (what, url, step, class, word) in ways {
        let trust = trust.clone();
        all.spawn(async move { (what, tried(&url, trust, true).await, step, class, word) });
    }
    for (what, report, step, class, word) in all.join_all().await {
        let failed = report.failed.unwrap_or_else(|| panic!("{what} went well"));
        assert_eq!((failed.step, &*failed.class), (step, class), "{what}: {}", failed.error);
        assert!(failed.error.contains(word) && !failed.error.contains("key\""), "{what}: {}", failed.error);
        assert!(report.done.iter().all(|done| done.step != step), "{what}");
    }
}

fn test(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rtmp-relay")).arg("test").args(arguments).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_prints_a_table_a_sentence_for_each_failure_and_json_and_its_exit_code_tells() {
    let far = Server::start(HERE, &[], None).await;
    let closed = TcpListener::bind(HERE).await.unwrap().local_addr().unwrap();
    let (good, bad) = (format!("rtmp://{}/live/CANARY", far.address), format!("rtmp://{closed}/live/CANARY"));
    let output = test(&[&good]);
    assert!(output.status.success());
    let output = test(&[&good, &bad]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("DESTINATION") && text.contains("FAILED") && text.contains("Connection refused"),
        "{text}"
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "rtmp-relay: 1 of 2 destinations failed\n");
    let json: serde_json::Value = serde_json::from_slice(&test(&["--json", &good, &bad]).stdout).unwrap();
    assert_eq!(json[0]["done"][4]["step"], "create_stream");
    assert_eq!((&json[1]["failed"]["step"], &json[1]["failed"]["class"]), (&"tcp".into(), &"network".into()));
    assert!(!text.contains("CANARY") && !json.to_string().contains("CANARY"));
    assert_eq!(test(&[]).status.code(), Some(1));
}
