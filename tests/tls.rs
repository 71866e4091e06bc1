//! RTMPS on real sockets: who is trusted, who is not and why, and the same bytes as without.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{self, BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
use rtmp_relay::Config;
use rtmp_relay::config::{Route, Settings, Tls, file};
use rtmp_relay::destination::{Class, Error as Failed, State, Template};
use rtmp_relay::flv::Kind;
use rtmp_relay::inbound::{Ending, visitors};
use rtmp_relay::net::tcp::Tcp;
use rtmp_relay::net::tls::{Entrance, Error, Identity, Trust, Wire, identity};
use rtmp_relay::net::{Connection, Stream};
use rtmp_relay::relay::Unapplied;
use rtmp_relay::rtmp::ServerSession;
use rtmp_relay::rtmp::server::Role;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::server::ResolvesServerCertUsingSni;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::{TlsAcceptor, TlsConnector};

#[path = "support/certificates.rs"]
#[allow(dead_code)]
mod certificates;
mod peers;

use certificates::{Authority, Card, params, self_signed};
use peers::{Encoder, Hand, PATIENCE, Player, Server, through, until, video};

const ANYWHERE: &str = "127.0.0.1:0";
const PROGRAM: &str = env!("CARGO_BIN_EXE_rtmp-relay");

/// A server of these versions that shows this card and says `hello` to everybody in TLS. Not the product's.
async fn server(at: &str, card: &Card, versions: &[&'static SupportedProtocolVersion]) -> SocketAddr {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(card.chain(), card.key())
        .unwrap();
    serve(at, config).await
}

async fn serve(at: &str, config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind(at).await.unwrap();
    let (address, acceptor) = (listener.local_addr().unwrap(), TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.write_all(b"hello").await;
                    let _ = stream.read(&mut [0]).await;
                }
            });
        }
    });
    address
}

/// A server that answers with these bytes, whatever it hears, and closes.
async fn answers(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(ANYWHERE).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(bytes).await;
        }
    });
    address
}

async fn connect(trust: &Trust, address: SocketAddr, host: &str) -> Result<Wire<TcpStream>, Error> {
    trust.connect(&Tcp, TcpStream::connect(address).await.unwrap(), host).await
}

/// What a destination says of it, and its class.
async fn said(trust: &Trust, address: SocketAddr, host: &str) -> (String, Class) {
    let failed = Failed::from(connect(trust, address, host).await.unwrap_err());
    (failed.explain(), failed.class())
}

/// A connection in TLS to a server, made by the product.
async fn secure(server: &Server, trust: &Trust) -> Wire<TcpStream> {
    connect(trust, server.tls_address.unwrap(), "localhost").await.unwrap()
}

fn only(authority: &Authority) -> Trust {
    Trust::only(authority.pem().as_bytes()).unwrap()
}

fn with_tls(card: &Card, config: Config) -> Config {
    let tls = Some(Tls { listen: ANYWHERE.parse().unwrap(), identity: card.identity() });
    Config { listen: ANYWHERE.parse().unwrap(), tls, ..config }
}

/// A destination at `rtmps://localhost`.
fn route(server: &Server, trust: &Trust) -> Route {
    let url = format!("rtmps://localhost:{}/live", server.tls_address.unwrap().port());
    Route { trust: trust.clone(), ..Route::new("far".to_owned(), Template::parse(&url).unwrap()) }
}

#[tokio::test]
async fn interop_85_a_certificate_that_proves_nothing_is_refused_with_a_sentence_of_its_own() {
    let (ours, other) = (Authority::new("ours"), Authority::new("another"));
    let changed = |change: fn(&mut rcgen::CertificateParams)| {
        let mut params = params(&["localhost"]);
        change(&mut params);
        params
    };
    let good = ours.vouches_for(&["localhost"]);
    let openssl = changed(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let pin = Trust::pinned(good.fingerprint());
    for (card, trust, sentence) in [
        (
            ours.signs(&changed(|p| p.not_after = date_time_ymd(2001, 2, 3))),
            only(&ours),
            "the certificate has expired: it was good until 2001-02-03 00:00 UTC",
        ),
        (
            ours.signs(&changed(|p| p.not_before = date_time_ymd(2101, 2, 3))),
            only(&ours),
            "the certificate is not valid yet: it begins on 2101-02-03 00:00 UTC (or this machine's clock is wrong)",
        ),
        (
            ours.vouches_for(&["a.example", "*.b.example", "192.0.2.1"]),
            only(&ours),
            "the certificate is not for localhost but for a.example, *.b.example, 192.0.2.1",
        ),
        (
            self_signed(&params(&["localhost"])),
            only(&ours),
            "the certificate is self-signed (its SHA-256 fingerprint: …) (tls_pin trusts this one)",
        ),
        (
            self_signed(&openssl),
            only(&ours),
            "the certificate is self-signed (its SHA-256 fingerprint: …) (tls_pin trusts this one)",
        ),
        (
            other.vouches_for(&["localhost"]),
            only(&ours),
            "the certificate's issuer is unknown (a private authority's certificate goes into ca_file)",
        ),
        (
            Authority::new("ours").vouches_for(&["localhost"]),
            only(&ours),
            "the certificate is not from the authority that it names, but from another of that name \
             (a private authority's certificate goes into ca_file)",
        ),
        (
            good.clone(),
            Trust::default(),
            "the certificate's issuer is unknown (a private authority's certificate goes into ca_file)",
        ),
        (
            ours.vouches_for(&["localhost"]),
            pin.clone(),
            "the certificate is not the pinned one (its SHA-256 fingerprint: …)",
        ),
        (
            ours.signs(&changed(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])),
            only(&ours),
            "the certificate is not one for servers",
        ),
    ] {
        let address = server(ANYWHERE, &card, &[&TLS13, &TLS12]).await;
        let (text, class) = said(&trust, address, "localhost").await;
        assert_eq!(text.replace(&card.fingerprint().to_string(), "…"), sentence);
        assert_eq!((class, class.to_string().as_str(), class.state()), (Class::Tls, "tls", State::Rejected));
        assert_eq!(class.cap(Duration::from_secs(5)), Duration::from_secs(60));
    }
    for trust in [only(&ours), pin, Trust::also(ours.pem().as_bytes()).unwrap()] {
        let address = server(ANYWHERE, &good, &[&TLS13]).await;
        assert!(connect(&trust, address, "localhost").await.is_ok(), "{trust:?}");
    }
    let address = server(ANYWHERE, &good, &[&TLS13]).await;
    assert_eq!(said(&only(&ours), address, "a b").await.0, "the host name cannot stand in a certificate");
}

#[tokio::test]
async fn a_pinned_certificate_needs_no_authority_but_its_key() {
    let mut params = params(&["other.example"]);
    params.not_after = date_time_ymd(2001, 2, 3);
    let card = self_signed(&params);
    let trust = Trust::pinned(card.fingerprint());
    for versions in [&TLS12, &TLS13] {
        let address = server(ANYWHERE, &card, &[versions]).await;
        assert!(connect(&trust, address, "localhost").await.is_ok());
    }
    // The certificate is no secret. Who shows it without its key has nothing.
    let thief = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .unwrap()
        .with_no_client_auth();
    let key = ring::sign::any_supported_type(&self_signed(&params).key()).unwrap();
    let mut names = ResolvesServerCertUsingSni::new();
    let _ = names.add("other.example", CertifiedKey::new(card.chain(), key));
    let address = serve(ANYWHERE, thief.with_cert_resolver(Arc::new(names))).await;
    let (text, class) = said(&trust, address, "other.example").await;
    assert_eq!(
        (text.as_str(), class),
        ("the certificate is broken: invalid peer certificate: BadSignature", Class::Tls)
    );
}

#[tokio::test]
async fn what_is_no_tls_is_told_apart_from_what_is_broken() {
    let trust = only(&Authority::new("ours"));
    let hint = "(perhaps it is a server for rtmp://, without TLS)";
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[3; 3073], &[0; 100], &[0x16, 9, 9, 9, 9, 9]] {
        let (text, class) = said(&trust, answers(bytes).await, "localhost").await;
        assert_eq!((text, class), (format!("the peer does not speak TLS {hint}"), Class::Tls));
    }
    // A relay knows TLS when it hears it, and hangs up.
    let plain = Server::start(ANYWHERE, &[], None).await;
    for address in [plain.address, answers(b"").await] {
        let (text, class) = said(&trust, address, "localhost").await;
        let lost = text.starts_with("connection lost in the TLS handshake: ");
        assert!(lost || text == format!("closed by the peer in the TLS handshake {hint}"), "{text}");
        assert_eq!(class, Class::Network);
    }
    let (text, class) = said(&trust, answers(&[0x15, 3, 3, 0, 2, 2, 40]).await, "localhost").await;
    assert_eq!((text.as_str(), class), ("the peer ended the TLS handshake: HandshakeFailure", Class::Tls));
}

#[tokio::test]
async fn a_server_that_is_silent_has_the_time_of_a_step() {
    let listener = TcpListener::bind(ANYWHERE).await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    let failed = Failed::from(only(&Authority::new("ours")).connect(&Tcp, stream, "localhost").await.unwrap_err());
    let text = "timed out in the TLS handshake (perhaps it is a server for rtmp://, without TLS)";
    assert_eq!((failed.explain().as_str(), failed.class()), (text, Class::Network));
    assert_eq!(before.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn interop_86_the_server_chooses_its_certificate_by_the_name_we_ask_for() {
    let ours = Authority::new("ours");
    let mut names = ResolvesServerCertUsingSni::new();
    for name in ["a.example", "b.example"] {
        let card = ours.vouches_for(&[name]);
        let certified = CertifiedKey::from_der(card.chain(), card.key(), &ring::default_provider()).unwrap();
        names.add(name, certified).unwrap();
    }
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(names));
    let address = serve(ANYWHERE, config).await;
    for name in ["a.example", "b.example"] {
        assert!(connect(&only(&ours), address, name).await.is_ok(), "{name}");
    }
    let (text, class) = said(&only(&ours), address, "c.example").await;
    assert_eq!((text.as_str(), class), ("the peer ended the TLS handshake: AccessDenied", Class::Tls));
}

#[tokio::test]
async fn interop_87_servers_of_one_version_only_with_long_chains_and_on_ipv6_are_met() {
    let root = Authority::new("the root");
    let mut between = vec![root.below("between 0")];
    for n in 1..5 {
        between.push(between[n - 1].below(&format!("between {n}")));
    }
    let names: Vec<String> = (0..500).map(|n| format!("host-{n}.a-rather-long-name.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).chain(["localhost", "::1"]).collect();
    let mut card = between[4].vouches_for(&names);
    between.iter().rev().for_each(|authority| card.chain += &authority.pem());
    let size: usize = card.chain().iter().map(|certificate| certificate.len()).sum();
    assert!(size > 16 << 10, "more than a record: {size}");
    for versions in [&[&TLS12][..], &[&TLS13], &[&TLS12, &TLS13]] {
        for (at, host) in [("127.0.0.1:0", "localhost"), ("[::1]:0", "::1")] {
            let address = server(at, &card, versions).await;
            let mut stream = connect(&only(&root), address, host).await.unwrap();
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).await.unwrap();
            assert_eq!(&hello, b"hello", "{host}, {versions:?}");
        }
    }
}

/// An encoder that has published, over TLS.
async fn encoder(server: &Server, trust: &Trust) -> Encoder {
    Encoder::on(through(secure(server, trust).await, Role::Publish, "live/show")).await.unwrap()
}

/// What is sent after the headers: key frames larger than records, writes and sockets' buffers, and small ones.
fn film() -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(7);
    let frame = |n: usize| {
        let mut frame = video(n.is_multiple_of(20), n);
        let size = if n.is_multiple_of(20) { 300_000 } else { random.usize(..20_000) };
        frame.extend(std::iter::repeat_with(|| random.u8(..)).take(size));
        frame
    };
    (0..60).map(frame).collect()
}

#[tokio::test]
async fn packets_are_identical_over_rtmps_in_and_out() {
    let ours = Authority::new("ours");
    let (card, trust) = (ours.vouches_for(&["localhost"]), only(&ours));
    let far = Server::with(with_tls(&card, Config::default())).await;
    let destinations = vec![route(&far, &trust)];
    let near = Server::with(with_tls(&card, Config { destinations, ..Config::default() })).await;
    let mut players = [
        Player::on(through(secure(&far, &trust).await, Role::Play, "live/show")).await,
        Player::on(through(secure(&near, &trust).await, Role::Play, "live/show")).await,
        Player::play(far.address, "live/show").await,
    ];
    let mut encoder = encoder(&near, &trust).await;
    until("the destination is live", || near.board.statuses()[0].state == State::Live).await;
    if cfg!(target_os = "linux") {
        let asked = || near.board.statuses()[0].delivered.round_trip.is_some();
        until("TCP below TLS is asked", asked).await;
    }
    encoder.headers().await;
    let film = film();
    for (n, frame) in film.iter().enumerate() {
        encoder.send(Kind::Video, 33 * n as u32, frame).await;
        if n == 30 {
            // A slow moment of the encoder's, so that everything that is held back has to be flushed.
            for player in &mut players {
                for expected in 0..2 + 31 {
                    let message = player.next().await.unwrap();
                    assert!(expected < 2 || message.payload[..] == film[expected - 2][..], "message {expected}");
                }
            }
        }
    }
    encoder.end().await;
    for player in &mut players {
        let rest: Vec<_> = player.rest().await.into_iter().map(|(.., payload)| payload).collect();
        assert!(rest == film[31..], "{} messages", rest.len());
    }
}

/// A stream that takes little.
struct Pipe(DuplexStream);

impl Stream for Pipe {}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// rustls takes more than the stream below it does, and has to be asked for the rest.
#[tokio::test]
async fn what_tls_holds_back_is_sent_before_a_connection_is_level() {
    let ours = Authority::new("ours");
    let card = ours.vouches_for(&["localhost"]);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ours.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (ours, theirs) = tokio::io::duplex(512);
    let entrance = Entrance::new(&Tcp, card.identity()).unwrap();
    let client = TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), theirs);
    let (wire, client) = tokio::join!(entrance.accept(Pipe(ours)), client);
    let (mut connection, mut client) = (Connection::new(wire.unwrap(), ServerSession::new([7; 1528])), client.unwrap());
    let hand = Hand::default();
    connection.feed(hand.clone());
    for size in [20_000, 1, 40_000] {
        hand.put(vec![5; size].into());
        let mut got = vec![0; size];
        tokio::select! {
            received = connection.receive() => unreachable!("{received:?}"),
            read = timeout(PATIENCE, client.read_exact(&mut got)) => assert_eq!(read.expect("all of it").unwrap(), size),
        }
        assert!(got.iter().all(|byte| *byte == 5) && connection.unsent() == 0);
    }
}

#[tokio::test]
async fn a_destination_that_is_not_trusted_is_sent_nothing_and_its_row_says_why() {
    let (ours, other) = (Authority::new("ours"), Authority::new("another"));
    let far = Server::with(with_tls(&other.vouches_for(&["localhost"]), Config::default())).await;
    let destinations = vec![route(&far, &only(&ours))];
    let near = Server::with(Config { listen: ANYWHERE.parse().unwrap(), destinations, ..Config::default() }).await;
    let _encoder = Encoder::publish(near.address, "live/show").await.unwrap();
    let rejected = || near.board.statuses().iter().any(|status| status.state == State::Rejected);
    until("it is rejected", rejected).await;
    let error = near.board.statuses()[0].last_error.clone().unwrap();
    assert!(error.starts_with("the certificate's issuer is unknown"), "{error}");
    until("the server has noticed", || far.visitors.endings().contains_key(&Ending::Tls)).await;
}

#[tokio::test]
async fn a_private_authority_is_trusted_by_a_file_in_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new("ours");
    let far = Server::with(with_tls(&ours.vouches_for(&["localhost"]), Config::default())).await;
    let port = far.tls_address.unwrap().port();
    let path = folder.path().join("relay.yaml");
    std::fs::write(folder.path().join("ca.pem"), ours.pem()).unwrap();
    let fingerprint = ours.vouches_for(&["localhost"]).fingerprint();
    for (yaml, trusted) in [
        (format!("destinations:\n  - url: rtmps://localhost:{port}/live\n    ca_file: ca.pem"), true),
        (format!("ca_file: ca.pem\ndestinations:\n  - url: rtmps://localhost:{port}/live"), true),
        (format!("destinations:\n  - url: rtmps://localhost:{port}/live"), false),
        (format!("destinations:\n  - url: rtmps://localhost:{port}/live\n    tls_pin: \"{fingerprint}\""), false),
    ] {
        std::fs::write(&path, &yaml).unwrap();
        let loaded = Config::load(Settings::default(), Some(&path)).await.unwrap();
        assert_eq!(loaded.files.contains(&folder.path().join("ca.pem")), yaml.contains("ca_file"));
        let met = connect(&loaded.config.destinations[0].trust, far.tls_address.unwrap(), "localhost").await;
        assert_eq!(met.is_ok(), trusted, "{yaml}");
    }
}

#[tokio::test]
async fn rtmp_without_tls_at_the_entrance_of_tls_is_ended_and_counted() {
    let card = Authority::new("ours").vouches_for(&["localhost"]);
    let server = Server::with(with_tls(&card, Config::default())).await;
    let mut stream = TcpStream::connect(server.tls_address.unwrap()).await.unwrap();
    stream.write_all(&[3; 1537]).await.unwrap();
    // Its alert, or a reset where our bytes are unread.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("it is closed");
    until("it has left", || server.visitors.count() == 0).await;
    assert_eq!(server.visitors.endings().into_iter().collect::<Vec<_>>(), [(Ending::Tls, 1)]);
    assert_eq!(Ending::Tls.name(), "tls");
}

#[tokio::test]
async fn who_closes_without_a_goodbye_of_tls_has_closed() {
    let ours = Authority::new("ours");
    let server = Server::with(with_tls(&ours.vouches_for(&["localhost"]), Config::default())).await;
    drop(secure(&server, &only(&ours)).await);
    until("it has left", || server.visitors.endings().values().sum::<u64>() == 1).await;
    assert_eq!(server.visitors.endings().into_iter().collect::<Vec<_>>(), [(Ending::Closed, 1)]);
}

#[tokio::test]
async fn who_comes_in_through_tls_counts_as_a_visitor_before_the_handshake() {
    let ours = Authority::new("ours");
    let visitors = visitors::Limits { all: 1, per_address: 1 };
    let server =
        Server::with(with_tls(&ours.vouches_for(&["localhost"]), Config { visitors, ..Config::default() })).await;
    let silent = TcpStream::connect(server.tls_address.unwrap()).await.unwrap();
    until("it is counted", || server.visitors.count() == 1).await;
    let refused = connect(&only(&ours), server.tls_address.unwrap(), "localhost").await;
    assert!(matches!(refused, Err(Error::Closed | Error::Lost(_))), "{refused:?}");
    assert_eq!(server.visitors.endings()[&Ending::TooMany], 1);
    drop(silent);
    until("it has left", || server.visitors.count() == 0).await;
    assert!(connect(&only(&ours), server.tls_address.unwrap(), "localhost").await.is_ok());
}

#[tokio::test]
async fn another_certificate_is_shown_to_who_comes_next_and_disturbs_nobody() {
    let ours = Authority::new("ours");
    let (old, new) = (ours.vouches_for(&["localhost"]), ours.vouches_for(&["localhost"]));
    let (old_pin, new_pin) = (Trust::pinned(old.fingerprint()), Trust::pinned(new.fingerprint()));
    let server = Server::with(with_tls(&old, Config::default())).await;
    let mut player = Player::on(through(secure(&server, &old_pin).await, Role::Play, "live/show")).await;
    let mut encoder = encoder(&server, &old_pin).await;
    encoder.headers().await;
    encoder.send(Kind::Video, 0, &video(true, 0)).await;
    let changes = server.control.apply(with_tls(&new, Config::default())).await.unwrap();
    assert!(changes.certificate && changes.at_restart.is_empty(), "{changes}");
    assert!(changes.to_string().starts_with("new connections are shown another certificate; "), "{changes}");
    let address = server.tls_address.unwrap();
    assert!(connect(&new_pin, address, "localhost").await.is_ok());
    assert!(connect(&Trust::pinned(old.fingerprint()), address, "localhost").await.is_err());
    encoder.send(Kind::Video, 33, &video(false, 1)).await;
    encoder.end().await;
    assert_eq!(player.rest().await.len(), 4);
    let same = server.control.apply(with_tls(&new, Config::default())).await.unwrap();
    assert!(!same.certificate);
}

#[tokio::test]
async fn a_destination_that_is_the_relays_own_entrance_is_found() {
    let ours = Authority::new("ours");
    let card = ours.vouches_for(&["localhost"]);
    let server = Server::with(with_tls(&card, Config::default())).await;
    let destinations = vec![route(&server, &only(&ours))];
    let refused = server.control.apply(with_tls(&card, Config { destinations, ..Config::default() })).await;
    assert!(matches!(refused, Err(Unapplied::Circle(_))), "{refused:?}");
}

#[test]
fn a_certificate_that_cannot_be_shown_says_what_is_wrong_with_it() {
    use identity::Unusable;
    let ours = Authority::new("ours");
    let (one, other) = (ours.vouches_for(&["a"]), ours.vouches_for(&["b"]));
    let broken = one.chain.replace('M', "A");
    for (chain, key, unusable) in [
        ("", &one.key[..], Unusable::NoCertificate),
        (&one.key, &one.key, Unusable::NoCertificate),
        (&one.chain, "", Unusable::NoKey),
        (&one.chain, &one.chain, Unusable::NoKey),
        (&one.chain, &other.key, Unusable::Mismatch),
        (&broken, &one.key, Unusable::BrokenCertificate),
    ] {
        assert_eq!(Identity::new(chain.as_bytes(), key.as_bytes()).unwrap_err(), unusable);
    }
    let identity = one.identity();
    assert!(identity == one.identity() && identity != other.identity());
    assert_eq!(format!("{identity:?}"), format!("certificate {}", one.fingerprint()));
}

/// The program, killed at the end whatever happens.
struct Running {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    log: Lines<BufReader<ChildStderr>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(arguments: &[&str]) -> Running {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--listen", ANYWHERE]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Running { child, output, log }
    }

    /// Where it takes RTMPS.
    fn address(&mut self) -> SocketAddr {
        let said = self.output.by_ref().map(Result::unwrap);
        said.filter_map(|line| line.strip_prefix("RTMPS on ")?.parse().ok()).next().unwrap()
    }

    /// Waits until its log has a line with `words`.
    fn says(&mut self, words: &str) -> String {
        self.log.by_ref().map(Result::unwrap).find(|line| line.contains(words)).unwrap()
    }
}

fn write(folder: &Path, card: &Card) {
    std::fs::write(folder.join("cert.pem"), &card.chain).unwrap();
    std::fs::write(folder.join("key.pem"), &card.key).unwrap();
}

/// With files that change in one go, and with some that do not fit.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_takes_up_a_certificate_that_changes_and_keeps_the_old_one_where_the_new_one_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new("ours");
    let (old, new) = (ours.vouches_for(&["localhost"]), ours.vouches_for(&["localhost"]));
    write(folder.path(), &old);
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (file("cert.pem"), file("key.pem"));
    let mut program = Running::start(&["--tls-listen", ANYWHERE, "--tls-cert", &cert, "--tls-key", &key]);
    let address = program.address();
    let trust = Trust::pinned(old.fingerprint());
    let stream = connect(&trust, address, "localhost").await.unwrap();
    let mut player = Player::on(through(stream, Role::Play, "live/show")).await;
    let stream = connect(&trust, address, "localhost").await.unwrap();
    let mut encoder = Encoder::on(through(stream, Role::Publish, "live/show")).await.unwrap();
    encoder.headers().await;
    encoder.send(Kind::Video, 0, &video(true, 0)).await;

    std::fs::write(&cert, &new.chain).unwrap();
    let said = program.says("the configuration is not changed");
    assert!(said.ends_with(&format!("tls_key {key}: the private key is not the certificate's")), "{said}");
    assert!(connect(&Trust::pinned(old.fingerprint()), address, "localhost").await.is_ok(), "the old one is kept");
    encoder.send(Kind::Video, 33, &video(false, 1)).await;

    write(folder.path(), &new);
    program.says("new connections are shown another certificate");
    assert!(connect(&Trust::pinned(new.fingerprint()), address, "localhost").await.is_ok());
    encoder.send(Kind::Video, 66, &video(false, 2)).await;
    encoder.end().await;
    assert_eq!(player.rest().await.len(), 5, "the session has gone on");
}

#[tokio::test(flavor = "multi_thread")]
async fn interop_85_a_private_authority_is_trusted_by_the_machines_store_and_by_a_flag() {
    const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/flv/clip.flv");
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new("ours");
    let authorities = folder.path().join("ca.pem");
    std::fs::write(&authorities, ours.pem()).unwrap();
    let server = Server::with(with_tls(&ours.vouches_for(&["localhost"]), Config::default())).await;
    let url = format!("rtmps://localhost:{}/live/CANARY", server.tls_address.unwrap().port());
    let publish = |store: Option<&Path>| {
        let mut command = Command::new(PROGRAM);
        command.args(["publish", CLIP, &url, "--speed=10", "--log-level=trace"]);
        command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        store.iter().for_each(|store| _ = command.env("SSL_CERT_FILE", store));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("CANARY"), "{said}");
        (output.status.success(), said)
    };
    let published = publish(Some(&authorities));
    assert!(published.0, "{}", published.1);
    let (success, said) = publish(None);
    assert!(!success && said.contains("the certificate's issuer is unknown"), "{said}");
    let (success, said) = publish(Some(Path::new("/nowhere/ca.pem")));
    assert!(!success && said.contains("no certificate authorities to trust"), "{said}");

    let flags = Settings {
        ca_file: Some(authorities.into()),
        relay_to: vec![url.parse().unwrap()],
        ..file::parse("", Default::default()).unwrap()
    };
    let config = flags.resolve().await.unwrap();
    let trust = &config.destinations[0].trust;
    assert!(connect(trust, server.tls_address.unwrap(), "localhost").await.is_ok());
}
