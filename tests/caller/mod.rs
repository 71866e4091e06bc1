//! A caller of the HTTP API that says what it is told to, and a relay with an API to call.

#![allow(dead_code, unreachable_pub)] // each test uses a part

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rtmp_relay::api::Api;
use rtmp_relay::config::{self, Config};
use rtmp_relay::destination::Board;
use rtmp_relay::inbound::Visitors;
use rtmp_relay::net::tcp::Tcp;
use rtmp_relay::relay::{Control, Relay};
use rtmp_relay::stream::Directory;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(10);

/// A relay and its API, on free ports of this machine. Dropped, they are killed.
pub struct Steered {
    pub address: SocketAddr,
    pub api: Caller,
    pub board: Board,
    pub visitors: Arc<Visitors>,
    pub directory: Arc<Directory>,
    pub control: Control,
    pub stop: CancellationToken,
    _tasks: JoinSet<()>,
}

impl Steered {
    /// One whose API may add destinations on this machine.
    pub async fn start(config: Config) -> Steered {
        Steered::with(config::Api { allow_internal: true, ..config.api.clone() }, config).await
    }

    /// One with this API.
    pub async fn with(api: config::Api, config: Config) -> Steered {
        let listen = "127.0.0.1:0".parse().unwrap();
        let api = config::Api { listen: config::api::Listen::At(listen), ..api };
        let relay = Relay::bind(Tcp, Config { listen, api, ..config }, fastrand::Rng::new()).await.unwrap();
        let api = Api::bind(Tcp, &relay, None).await.unwrap().unwrap();
        let caller = Caller { address: api.address(), token: None };
        let (address, board, control) = (relay.address(), relay.board().clone(), relay.control());
        let (visitors, directory) = (relay.visitors().clone(), relay.directory().clone());
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(relay.run(stop.clone()));
        tasks.spawn(api.run(stop.clone()));
        Steered { address, api: caller, board, visitors, directory, control, stop, _tasks: tasks }
    }
}

/// Somebody who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    pub address: SocketAddr,
    pub token: Option<String>,
}

/// What it is told.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    fn parse(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer but {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.to_owned()
        };
        Answer { status, head: head.to_ascii_lowercase(), body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a problem.
    pub fn code(&self) -> String {
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        problem["code"].as_str().unwrap().to_owned()
    }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
    whole
}

impl Caller {
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(&body.to_string())).await
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        if let Some(token) = &self.token {
            head += &format!("authorization: Bearer {token}\r\n");
        }
        if let Some(body) = body {
            head += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        }
        self.says(&format!("{head}\r\n{}", body.unwrap_or_default())).await
    }

    /// Sends this as it is, and reads the answer to its end.
    pub async fn says(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // Who is refused early may be refused while it still writes.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut text = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("an answer in time");
        assert!(read.is_ok() || !text.is_empty(), "{read:?}");
        Answer::parse(&String::from_utf8(text).unwrap())
    }
}

/// Server-sent events as they come.
pub struct Events {
    /// That of the last event that had one.
    pub id: Option<String>,
    lines: tokio::io::Lines<BufReader<TcpStream>>,
}

impl Events {
    /// None where there are too many already.
    pub async fn try_of(caller: &Caller) -> Option<Events> {
        let mut events = Events::of(caller, "").await;
        let line = timeout(PATIENCE, events.lines.next_line()).await.unwrap().unwrap().unwrap();
        line.contains(" 200 ").then_some(events)
    }

    pub async fn of(caller: &Caller, more: &str) -> Events {
        let mut stream = TcpStream::connect(caller.address).await.unwrap();
        let request = format!("GET /api/v1/events HTTP/1.1\r\nhost: {}\r\n{more}\r\n", caller.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        Events { id: None, lines: BufReader::new(stream).lines() }
    }

    /// The next event: its name and data.
    pub async fn next(&mut self) -> (String, Value) {
        let next = async {
            let mut name = None;
            loop {
                let line = self.lines.next_line().await.unwrap().expect("it goes on");
                match line.split_once(": ") {
                    Some(("event", event)) => name = Some(event.to_owned()),
                    Some(("id", id)) => self.id = Some(id.to_owned()),
                    Some(("data", data)) => return (name.unwrap(), serde_json::from_str(data).unwrap()),
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, next).await.expect("an event in time")
    }
}
