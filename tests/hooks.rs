//! Who is told what happens: real servers that are told, and commands that are run.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rtmp_relay::config::{Config, file};
use rtmp_relay::journal::{Code, Event};
use rtmp_relay::limits::{ANSWER_HEAD, COMMANDS, JOURNAL_ENTRIES, LAST_WORDS};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

#[path = "support/certificates.rs"]
#[allow(dead_code)]
mod certificates;
mod peers;

use certificates::Authority;
use peers::{Encoder, PATIENCE, Server, until};

const ANYWHERE: &str = "127.0.0.1:0";
const SECRET: &str = "correct-horse";

/// What a server does with its nth request.
#[derive(Clone, Copy)]
enum Reply {
    Says(u16),
    /// Says yes, with more words before it than anybody reads.
    Rambles,
    /// Never answers.
    Hangs,
}

/// One request.
#[derive(Debug, Clone)]
struct Got {
    id: String,
    timestamp: String,
    signature: Option<String>,
    body: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }

    /// Whether it was signed with this, computed without the product's help.
    fn is_signed_with(&self, secret: &str) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{}.{}.{}", self.id, self.timestamp, self.body).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.signature.as_deref() == Some(&expected)
    }
}

/// An HTTP server that is told. Dropped, it is gone.
struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    async fn start(reply: fn(usize) -> Reply) -> Receiver {
        Receiver::at(ANYWHERE, None, reply).await
    }

    async fn at(address: &str, tls: Option<TlsAcceptor>, reply: fn(usize) -> Reply) -> Receiver {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (got, mut tasks) = (Arc::<Mutex<Vec<Got>>>::default(), JoinSet::new());
        let remembered = got.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (got, tls) = (remembered.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, got, reply).await;
                            }
                        }
                        None => serve(stream, got, reply).await,
                    }
                });
            }
        });
        Receiver { address, got, _tasks: tasks }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    fn codes(&self) -> Vec<String> {
        self.got().iter().map(Got::code).collect()
    }

    fn has(&self, code: &str) -> bool {
        self.codes().iter().any(|got| got == code)
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, got: Arc<Mutex<Vec<Got>>>, reply: fn(usize) -> Reply) {
    let answer = async |request: Request<hyper::body::Incoming>| {
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("content-type").as_deref(), Some("application/json"));
        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/hook"));
        let (id, timestamp) = (header("webhook-id").unwrap(), header("webhook-timestamp").unwrap());
        let signature = header("webhook-signature");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let number = {
            let mut got = got.lock().unwrap();
            got.push(Got { id, timestamp, signature, body: String::from_utf8(body.to_vec()).unwrap() });
            got.len() - 1
        };
        match reply(number) {
            Reply::Says(status) => {
                let answer = Response::builder().status(StatusCode::from_u16(status).unwrap());
                Ok::<_, Infallible>(answer.body(Full::new(Bytes::from("thank you"))).unwrap())
            }
            Reply::Rambles => {
                let answer = Response::builder().header("x", "x".repeat(ANSWER_HEAD));
                Ok(answer.body(Full::default()).unwrap())
            }
            Reply::Hangs => std::future::pending().await,
        }
    };
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    let _ = pin!(served).await;
}

async fn config(yaml: &str) -> Config {
    let config = file::parse(yaml, HashMap::new()).unwrap().resolve().await.unwrap();
    Config { listen: ANYWHERE.parse().unwrap(), ..config }
}

async fn relay(yaml: &str) -> Server {
    Server::with(config(yaml).await).await
}

/// A webhook, as it stands in the file.
fn webhook(receiver: SocketAddr, more: &str) -> String {
    format!("webhooks:\n  - url: \"http://{receiver}/hook\"\n    timeout: 1s\n{more}")
}

fn changed(relay: &Server, text: &str) {
    relay.journal.append(Event::new(Code::ConfigChanged).because(text));
}

#[tokio::test]
async fn a_server_is_told_everything_in_order_and_each_request_is_signed() {
    let receiver = Receiver::start(|_| Reply::Says(204)).await;
    let relay = relay(&webhook(receiver.address, &format!("    secret: {SECRET}\n"))).await;
    let encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    until("it has begun", || receiver.has("publish.started")).await;
    encoder.end().await;
    until("it has ended", || receiver.has("publish.ended")).await;
    relay.end().await;
    // What happens last is told too.
    assert_eq!(receiver.codes(), ["relay.started", "publish.started", "publish.ended", "relay.stopping"]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut last = 0;
    for got in receiver.got() {
        assert!(got.is_signed_with(SECRET) && !got.is_signed_with("another"), "{got:?}");
        assert!(now - got.timestamp.parse::<u64>().unwrap() < 60, "{got:?}");
        let id = got.json()["id"].as_u64().unwrap();
        assert_eq!(got.id, id.to_string());
        assert!(id > last);
        last = id;
    }
    let started = receiver.got()[1].json();
    assert_eq!((started["stream"].as_str(), started["peer"].as_str()), (Some("live/show"), Some("127.0.0.1")));
    assert_eq!(started.get("missed"), None);
}

#[tokio::test]
async fn one_that_fails_twice_is_told_again_in_the_same_words_and_nothing_overtakes() {
    let receiver = Receiver::start(|n| match n {
        0 => Reply::Says(500),
        1 => Reply::Rambles,
        _ => Reply::Says(200),
    })
    .await;
    let relay = relay(&webhook(receiver.address, "    events: [config.changed]\n")).await;
    for number in 0..5 {
        changed(&relay, &number.to_string());
    }
    until("all are told", || receiver.got().len() == 7).await;
    let bodies: Vec<_> = receiver.got().into_iter().map(|got| got.body).collect();
    assert!(bodies[0] == bodies[1] && bodies[1] == bodies[2]);
    let texts: Vec<_> = receiver.got()[2..].iter().map(|got| got.json()["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, ["0", "1", "2", "3", "4"]);
    assert!(receiver.got().iter().all(|got| got.signature.is_none()), "without a secret there is nothing to sign with");
}

#[tokio::test]
async fn one_that_does_not_answer_is_tried_again_and_holds_nobody_up() {
    let slow = Receiver::start(|n| if n == 0 { Reply::Hangs } else { Reply::Says(200) }).await;
    let fine = Receiver::start(|_| Reply::Says(200)).await;
    let both = format!("{}  - url: \"http://{}/hook\"\n", webhook(slow.address, ""), fine.address);
    let relay = relay(&both).await;
    until("the slow one is being told", || slow.got().len() == 1).await;
    let asked = Instant::now();
    let encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    encoder.end().await;
    until("the other one is told all", || fine.has("publish.ended")).await;
    assert!(asked.elapsed() < Duration::from_millis(900), "{:?}", asked.elapsed());
    assert_eq!(slow.got().len(), 1, "it still thinks");
    until("it has come round", || slow.has("publish.ended")).await;
    assert_eq!(slow.codes()[1..], fine.codes());
}

#[tokio::test]
async fn one_that_is_gone_hears_all_of_it_when_it_is_back_or_how_much_it_has_missed() {
    // A port that somebody else has just given back.
    let address = std::net::TcpListener::bind(ANYWHERE).unwrap().local_addr().unwrap();
    let relay = relay(&webhook(address, "")).await;
    for number in 0..3 {
        changed(&relay, &number.to_string());
    }
    let back = address.to_string();
    let receiver = Receiver::at(&back, None, |n| if n == 4 { Reply::Hangs } else { Reply::Says(200) }).await;
    until("it is told", || receiver.got().len() == 4).await;
    assert_eq!(receiver.codes(), ["relay.started", "config.changed", "config.changed", "config.changed"]);
    // It thinks about the next one for so long that there is no room for what comes meanwhile.
    changed(&relay, "the one it thinks about");
    until("it thinks", || receiver.got().len() == 5).await;
    for _ in 0..JOURNAL_ENTRIES + 7 {
        changed(&relay, "more");
    }
    until("it goes on", || receiver.got().len() >= 7).await;
    let got = receiver.got();
    assert_eq!(got[5].body, got[4].body, "the same again");
    assert_eq!(got[6].json()["missed"], 7);
}

#[tokio::test]
async fn in_tls_it_has_to_be_who_it_says_and_is_told_nothing_before() {
    let authority = Authority::new("ours");
    let card = authority.vouches_for(&["localhost"]);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(card.chain(), card.key())
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let receiver = Receiver::at(ANYWHERE, Some(tls), |_| Reply::Says(200)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, authority.pem()).unwrap();
    let trusting = format!(
        "ca_file: {}\nwebhooks:\n  - url: \"https://localhost:{}/hook\"\n",
        file.display(),
        receiver.address.port()
    );
    let _relay = relay(&trusting).await;
    until("it is told", || receiver.has("relay.started")).await;
    let told = receiver.got().len();
    // The name is another one, and nobody vouches for that.
    let doubting = relay(&trusting.replace("localhost", "127.0.0.1")).await;
    changed(&doubting, "to nobody");
    doubting.end().await;
    assert_eq!(receiver.got().len(), told);
}

#[tokio::test]
async fn another_configuration_is_told_to_others_at_once() {
    let (old, new) = tokio::join!(Receiver::start(|_| Reply::Says(200)), Receiver::start(|_| Reply::Says(200)));
    let relay = relay(&webhook(old.address, "")).await;
    until("the old one is told", || old.has("relay.started")).await;
    let changes = relay.control.apply(config(&webhook(new.address, "")).await).await.unwrap();
    assert!(changes.hooks && changes.to_string().contains("webhooks or commands changed"), "{changes}");
    changed(&relay, "to the new one");
    until("the new one is told", || new.got().len() == 2).await;
    assert_eq!(new.codes(), ["config.changed", "config.changed"]);
    assert_eq!(old.codes(), ["relay.started"]);
    // The same again changes nothing: nobody is told twice.
    let changes = relay.control.apply(config(&webhook(new.address, "")).await).await.unwrap();
    until("and that", || new.got().len() == 3).await;
    assert!(!changes.hooks && old.got().len() == 1);
}

#[tokio::test]
async fn the_end_of_a_relay_does_not_wait_for_one_that_does_not_answer() {
    let receiver = Receiver::start(|_| Reply::Hangs).await;
    let relay = relay(&format!("webhooks:\n  - url: \"http://{}/hook\"\n    timeout: 60s\n", receiver.address)).await;
    until("it is being told", || receiver.got().len() == 1).await;
    let asked = Instant::now();
    relay.end().await;
    assert!(asked.elapsed() < LAST_WORDS + Duration::from_secs(2), "{:?}", asked.elapsed());
}

/// The pieces of the page that are written in this language.
fn page(language: &str) -> Vec<&'static str> {
    let page = include_str!("../docs/events.md");
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// A program in the background, killed at the end whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_server_of_the_page_verifies_what_it_is_told_and_believes_nobody_else() {
    let address = std::net::TcpListener::bind(ANYWHERE).unwrap().local_addr().unwrap();
    let mut python = Command::new("python3");
    python.args(["-c", page("python")[0], &address.port().to_string()]).env("WEBHOOK_SECRET", SECRET);
    let mut server = Running(python.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("python3 is needed"));
    let mut told = BufReader::new(server.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    // What is signed with another secret is answered with 401, again and again.
    let stranger = relay(&webhook(address, "    secret: another\n    events: [config.changed]\n")).await;
    changed(&stranger, "a lie");
    let relay = relay(&webhook(address, &format!("    secret: {SECRET}\n    events: [config.changed]\n"))).await;
    for number in 0..3 {
        changed(&relay, &format!("truth {number}"));
    }
    let texts = tokio::task::spawn_blocking(move || told.by_ref().take(3).collect::<Vec<_>>());
    let texts = tokio::time::timeout(PATIENCE, texts).await.unwrap().unwrap();
    for (number, text) in texts.iter().enumerate() {
        assert!(text.contains(" config.changed ") && text.ends_with(&format!("truth {number}")), "{texts:?}");
    }
}

#[tokio::test]
async fn what_the_page_configures_is_what_the_program_reads() {
    let hooks = page("yaml");
    assert_eq!(hooks.len(), 2);
    for yaml in hooks {
        let variables = HashMap::from([("WEBHOOK_SECRET".to_owned(), SECRET.to_owned())]);
        let config = file::parse(yaml, variables).unwrap().resolve().await.unwrap();
        assert!(!config.hooks.is_empty(), "{yaml}");
    }
}

/// `on_event:` with one command.
fn command(line: &str, more: &str) -> String {
    format!("on_event:\n  - command: {}\n{more}", serde_json::to_string(line).unwrap())
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_command_is_given_the_event_and_nothing_of_it_is_ever_run() {
    let folder = tempfile::tempdir().unwrap();
    let (stdin, variables) = (folder.path().join("stdin"), folder.path().join("variables"));
    let line = format!(
        "cd {}; cat >> stdin; echo \"$RTMP_RELAY_EVENT|$RTMP_RELAY_EVENT_ID|$RTMP_RELAY_EVENT_STREAM|$RTMP_RELAY_EVENT_PEER\" >> variables",
        folder.path().display()
    );
    let relay = relay(&command(&line, "    events: [publish.started]\n")).await;
    let _encoder =
        Encoder::publish(relay.address, "live/$(touch${IFS}pwned)`touch${IFS}pwned`;touch${IFS}pwned").await.unwrap();
    until("it was run", || lines(&variables).len() == 1).await;
    let event: Value = serde_json::from_str(&lines(&stdin)[0]).unwrap();
    let stream = event["stream"].as_str().unwrap();
    assert!(stream.starts_with("live/$(touch"), "{stream}");
    assert_eq!(lines(&variables)[0], format!("publish.started|{}|{stream}|127.0.0.1", event["id"]));
    assert!(!folder.path().join("pwned").exists());
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_all_it_has_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let line = format!("sleep 1000 & echo $! >> {0}; echo $$ >> {0}; wait", file.display());
    let _relay = relay(&command(&line, "    events: [relay.started]\n    timeout: 1s\n")).await;
    until("it runs", || lines(&file).len() == 2).await;
    let alive = |pid: &str| {
        // One that has ended and has not been waited for yet is a zombie.
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    };
    assert!(lines(&file).iter().all(|pid| alive(pid)));
    until("both are gone", || !lines(&file).iter().any(|pid| alive(pid))).await;
}

#[tokio::test]
async fn few_commands_run_at_once_and_all_are_run() {
    let folder = tempfile::tempdir().unwrap();
    let (running, counts) = (folder.path().join("running"), folder.path().join("counts"));
    fs::create_dir(&running).unwrap();
    let line = format!(
        "touch {0}/$RTMP_RELAY_EVENT_ID; ls {0} | wc -l >> {1}; sleep 0.3; rm {0}/$RTMP_RELAY_EVENT_ID",
        running.display(),
        counts.display()
    );
    let relay = relay(&command(&line, "    events: [config.changed]\n")).await;
    for number in 0..3 * COMMANDS {
        changed(&relay, &number.to_string());
    }
    until("all have run", || lines(&counts).len() == 3 * COMMANDS).await;
    let most = lines(&counts).iter().map(|count| count.trim().parse::<usize>().unwrap()).max().unwrap();
    assert!((2..=COMMANDS).contains(&most), "{most}");
    relay.end().await;
    assert_eq!(fs::read_dir(&running).unwrap().count(), 0, "the last ones had the time to end");
}

#[tokio::test]
async fn a_command_that_never_ends_does_not_hold_up_the_end_and_does_not_outlive_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let line = format!("echo $$ >> {}; exec sleep 1000", file.display());
    let relay = relay(&command(&line, "    events: [relay.started]\n    timeout: 300s\n")).await;
    until("it runs", || !lines(&file).is_empty()).await;
    let asked = Instant::now();
    relay.end().await;
    assert!(asked.elapsed() < LAST_WORDS + Duration::from_secs(2), "{:?}", asked.elapsed());
    let pid = lines(&file).remove(0);
    let alive = || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    until("it is gone", || !alive()).await;
    assert!(asked.elapsed() < PATIENCE);
}
