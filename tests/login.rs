//! A server that lets nobody publish or play without a user name and password, and what the relay's clients do about it.

#![allow(missing_docs, clippy::unwrap_used)]

use std::process::{Command as Program, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::BytesMut;
use md5::{Digest, Md5};
use rtmp_relay::CancellationToken;
use rtmp_relay::destination::{Approach, Board, Class, Destination, Error, Place, Server, Settings, State, Template};
use rtmp_relay::net::tcp::Tcp;
use rtmp_relay::net::tls::Trust;
use rtmp_relay::rtmp::amf0::Amf0;
use rtmp_relay::rtmp::capabilities::Announce;
use rtmp_relay::rtmp::chunk::{INITIAL_SIZE, Reader};
use rtmp_relay::rtmp::command::{Command, Status, code};
use rtmp_relay::stream::{Join, Log, Name};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

mod peers;

use peers::until;

/// How the server asks, and whether anything is good enough for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Adobe,
    AdobeWithOpaque,
    Limelight,
    /// Asks, and asks, and asks.
    Endless,
}

/// A server whose one user is alice, with the password s3cret.
struct Gate {
    address: String,
    /// The application of every `connect`.
    apps: Arc<Mutex<Vec<String>>>,
    /// Connections that were there at once, at most.
    crowd: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Gate {
    async fn open(method: Method) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (apps, mut tasks) = (Arc::new(Mutex::new(Vec::new())), JoinSet::new());
        let (seen, crowd) = (apps.clone(), Arc::new(AtomicUsize::new(0)));
        let most = crowd.clone();
        tasks.spawn(async move {
            let present = Arc::new(());
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (visitor, seen) = (present.clone(), seen.clone());
                most.fetch_max(Arc::strong_count(&present) - 1, Ordering::Relaxed);
                tokio::spawn(async move {
                    visit(stream, method, seen).await;
                    drop(visitor);
                });
            }
        });
        Gate { address, apps, crowd, _tasks: tasks }
    }

    fn apps(&self) -> Vec<String> {
        self.apps.lock().unwrap().clone()
    }

    /// A destination there, for somebody.
    fn destination(&self, who: &str, board: &Board) -> Destination<Tcp> {
        let name = Name::new("live/show").unwrap();
        let (url, key) =
            Template::parse(&format!("rtmp://{who}{}/myapp/key", self.address)).unwrap().resolve(&name, &[]).unwrap();
        board.add(&url.host);
        Destination {
            net: Tcp,
            row: board.claim(&url.host, &name),
            server: Server { url, name: key, place: Place::default() },
            backup: None,
            trust: Trust::default(),
            settings: Settings::default(),
            agent: "test".to_owned(),
            log: Arc::new(Log::new(Default::default())),
            retry: std::sync::Arc::default(),
            stop: CancellationToken::new(),
            join: Join { newest_if_within: Default::default(), lag_max: Default::default() },
            random: fastrand::Rng::with_seed(7),
        }
    }

    async fn refuses(&self, who: &str) -> Error {
        self.destination(who, &Board::default())
            .connect(&mut Approach::new(Announce::Forwarding))
            .await
            .map(|_| ())
            .unwrap_err()
    }
}

/// One connection, to its end.
async fn visit(mut stream: TcpStream, method: Method, apps: Arc<Mutex<Vec<String>>>) {
    let mut hello = [0; 1537];
    stream.read_exact(&mut hello).await.unwrap();
    stream.write_all(&[&[3][..], &[0; 1536], &hello[1..]].concat()).await.unwrap();
    stream.read_exact(&mut hello[1..]).await.unwrap();
    let (mut reader, mut input) = (Reader::default(), BytesMut::new());
    loop {
        while let Some(message) = reader.read(&mut input).unwrap() {
            let Some(call) = message.command().and_then(|values| Command::parse(values).unwrap()) else { continue };
            let started = |code| (1, Status::success(code, "").command());
            let (message_stream, reply) = match call.name.as_str() {
                "connect" => {
                    let text = |key| call.object.get(key).and_then(Amf0::as_str).unwrap().to_owned();
                    let app = text("app");
                    assert!(text("tcUrl").ends_with(&format!("/{app}")), "servers look at either");
                    apps.lock().unwrap().push(app.clone());
                    let refusal = refusal(method, &app);
                    let reply = match &refusal {
                        None => Command::result(call.transaction, Amf0::Null, Amf0::Null),
                        Some(words) => {
                            let status = Status::error(code::CONNECT_REJECTED, words);
                            Command::new("_error", call.transaction, Amf0::Null, [status.to_amf()])
                        }
                    };
                    stream.write_all(&reply.message(0, INITIAL_SIZE)).await.unwrap();
                    // Most servers close. One leaves it to the client.
                    if refusal.is_some() && method != Method::Limelight {
                        return;
                    }
                    continue;
                }
                "createStream" => (0, Command::result(call.transaction, Amf0::Null, Amf0::Number(1.0))),
                "publish" => started(code::PUBLISH_START),
                "play" => started(code::PLAY_START),
                _ => continue,
            };
            stream.write_all(&reply.message(message_stream, INITIAL_SIZE)).await.unwrap();
            if call.name == "play" {
                let over = Status::success(code::PLAY_UNPUBLISH_NOTIFY, "").command();
                stream.write_all(&over.message(1, INITIAL_SIZE)).await.unwrap();
            }
        }
        if stream.read_buf(&mut input).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// What the server says to this application; nothing if it lets it in.
fn refusal(method: Method, app: &str) -> Option<String> {
    let reject = |words: &str| Some(format!("[ AccessManager.Reject ] : [ {words}"));
    let name = if method == Method::Limelight { "llnw" } else { "adobe" };
    let query = app.strip_prefix("myapp").unwrap();
    let value = |key: &str| query.split(['?', '&']).find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    if method == Method::Endless && query.is_empty() || value("authmod").is_none() {
        return reject(&format!("code=403 need auth; authmod={name} ] : "));
    }
    if value("user") != Some("alice") {
        return reject(&format!("authmod={name} ] : ?reason=nosuchuser&user={}", value("user").unwrap()));
    }
    let challenge = match method {
        Method::Adobe | Method::Endless => "salt=sa==lt&challenge=ch4ll",
        Method::AdobeWithOpaque => "salt=sa==lt&challenge=ch4ll&opaque=op4que",
        Method::Limelight => "nonce=abc123",
    };
    let Some(response) = value("response").filter(|_| method != Method::Endless) else {
        return reject(&format!("authmod={name} ] : ?reason=needauth&user=alice&{challenge}"));
    };
    let base64 = |text: &str| BASE64_STANDARD.encode(Md5::digest(text));
    let hex = |text: &str| Md5::digest(text).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let own = value("challenge").or(value("cnonce")).unwrap();
    assert!(own.len() == 8 && own.bytes().all(|b| b.is_ascii_hexdigit()), "{own}");
    assert_eq!(value("opaque"), (method == Method::AdobeWithOpaque).then_some("op4que"));
    let right = match method {
        Method::Adobe => base64(&format!("{}ch4ll{own}", base64("alicesa==lts3cret"))),
        Method::AdobeWithOpaque => base64(&format!("{}op4que{own}", base64("alicesa==lts3cret"))),
        Method::Limelight => {
            let (who, what) = (hex("alice:live:s3cret"), hex("publish:/myapp/_definst_"));
            hex(&format!("{who}:abc123:00000001:{own}:auth:{what}"))
        }
        Method::Endless => unreachable!(),
    };
    if response == right { None } else { reject(&format!("authmod={name} ] : ?reason=authfailed&user=alice")) }
}

#[tokio::test]
async fn a_destination_tells_its_user_name_and_password_in_three_connections_of_one_attempt() {
    for method in [Method::Adobe, Method::AdobeWithOpaque, Method::Limelight] {
        let gate = Gate::open(method).await;
        let board = Board::default();
        let (_connection, stream) =
            gate.destination("alice:s3cret@", &board).connect(&mut Approach::new(Announce::Forwarding)).await.unwrap();
        assert_eq!(stream, 1);
        let apps = gate.apps();
        assert_eq!((apps.len(), apps[0].as_str()), (3, "myapp"), "{method:?}");
        assert!(apps[1].ends_with("&user=alice") && apps[2].contains("&response="), "{apps:?}");
        assert!(!apps.concat().contains("s3cret"), "the password itself stays here");
        assert_eq!(gate.crowd.load(Ordering::Relaxed), 1, "a server never sees two of us");
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_what_to_do() {
    let adobe = Gate::open(Method::Adobe).await;
    let limelight = Gate::open(Method::Limelight).await;
    for (gate, who, connections, said) in [
        (&adobe, "alice:CANARY@", 3, "the server does not accept the user name and password in the URL"),
        (&limelight, "alice:CANARY@", 3, "the server does not accept the user name and password in the URL"),
        (&adobe, "bob:CANARY@", 2, "the server does not know the user name in the URL"),
        (
            &adobe,
            "",
            1,
            "the server wants a user name and password: put them into the URL, as in rtmp://user:password@host/app/key",
        ),
    ] {
        let before = gate.apps().len();
        let error = gate.refuses(who).await;
        assert_eq!(error.explain(), format!("refused in connect: {said}"));
        assert_eq!((error.class(), error.class().state()), (Class::LoginRejected, State::Rejected));
        assert!(error.class().cap(Default::default()).as_secs() >= 60 && error.class().to_string() == "login_rejected");
        assert!(!format!("{error:?} {error}").contains("CANARY"), "{error:?}");
        assert_eq!(gate.apps().len() - before, connections, "{who}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_ever_is_left_after_three_connections() {
    let gate = Gate::open(Method::Endless).await;
    let error = gate.refuses("alice:s3cret@").await;
    assert_eq!(error.explain(), "refused in connect: the server asks for the user name and password again and again");
    assert_eq!((error.class(), gate.apps().len()), (Class::LoginRejected, 3));
}

#[tokio::test]
async fn a_wrong_password_is_one_attempt_and_a_row_that_says_so() {
    let (gate, board) = (Gate::open(Method::Adobe).await, Board::default());
    let mut tasks = JoinSet::new();
    tasks.spawn(gate.destination("alice:CANARY@", &board).run());
    until("it is rejected", || board.statuses()[0].state == State::Rejected).await;
    let status = board.statuses().remove(0);
    assert_eq!((status.attempts, gate.apps().len()), (1, 3));
    assert!(status.reason.as_deref().unwrap().ends_with("the user name and password in the URL"), "{status:?}");
    assert!(!format!("{status:?}").contains("CANARY"), "{status:?}");
}

/// Runs the program itself, at its most talkative.
async fn program(arguments: &[&str]) -> Output {
    let mut program = Program::new(env!("CARGO_BIN_EXE_rtmp-relay"));
    program.args(arguments).arg("--log-level=trace");
    tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publish_and_play_log_in_as_well_and_print_no_password() {
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/flv/clip.flv");
    let gate = Gate::open(Method::Adobe).await;
    let url = |password: &str| format!("rtmp://alice:{password}@{}/myapp/key", gate.address);
    for (password, fails) in [("s3cret", None), ("CANARY", Some("does not accept the user name and password"))] {
        let url = url(password);
        for arguments in [&["publish", clip, &url, "--speed=10"][..], &["play", &url, "-o", "/dev/null"]] {
            let output = program(arguments).await;
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert_eq!(output.status.success(), fails.is_none(), "{text}");
            assert!(fails.is_none_or(|words| text.contains(words)), "{text}");
            assert!(!text.contains(password), "{text}");
        }
    }
    assert_eq!(gate.apps().len(), 4 * 3);
}
