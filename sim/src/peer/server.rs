//! A server: somewhere to publish to, well-behaved or not. What it hears goes through a decoder of its own, so that it cannot
//! be wrong together with the product.

use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use rtmp_relay::config;
use rtmp_relay::net::{Listener, Network};
use rtmp_relay::rtmp::amf0::Amf0;
use rtmp_relay::rtmp::chunk;
use rtmp_relay::rtmp::command::{Command, Status, code};
use rtmp_relay::rtmp::control::{self, UserControl};
use rtmp_relay::rtmp::handshake;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::info;

use super::decoder::{self, Decoder, Said};
use super::media::{Tape, note};
use super::{Result, Shared};
use crate::net::{Mss, Turmoil};
use crate::trace::Trace;

/// The message type of a command in AMF0.
const COMMAND: u8 = 20;

/// A server that does not listen thinks it over after this long.
const ABSENCE: Duration = Duration::from_millis(100);

/// What a server does with a connection.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// Takes the stream.
    Accept,
    /// Says no to this command, with this code.
    Refuse(&'static str, &'static str),
    /// Never answers this command; `""` is the handshake.
    Silence(&'static str),
    /// Takes the stream; this long after it began, reads nothing for that long.
    Deaf(Duration, Duration),
    /// Takes the stream, and for this long after it began rests after each read, of a few bytes, for that long.
    Slow(Duration, Duration),
    /// Ends the connection in the middle of the stream, after so many bytes of media.
    Close(usize),
    /// The same, but with bytes of the client's unread, so that the client sees a reset.
    Reset(usize),
    /// Ends the stream in so many words, this long after it began, and leaves the connection to the client.
    Kick(Duration),
    /// Takes the stream, and this long after it began asks for a new connection, to this `tcUrl`; nothing is the same place.
    Move(Duration, &'static str),
    /// Answers this command with a request for a new connection, to this `tcUrl`.
    Divert(&'static str, &'static str),
    /// Takes the stream, and has announced this codec and no other.
    Announce(&'static str),
    /// Ends a connection whose `connect` has this property.
    Dislike(&'static str),
    /// Answers this command with bytes that mean nothing; `""` is the handshake.
    Garbage(&'static str),
    /// Takes the stream, and answers in chunks of this size.
    Chunks(usize),
    /// Takes the stream, and asks for an acknowledgement of every so many bytes.
    Window(u32),
    /// Takes the stream, and sends so many pings after each read.
    Pings(usize),
    /// Does not listen, so that connections are refused.
    Absent,
}

/// One connection to a server, as the server saw it.
#[derive(Debug, Clone)]
pub struct Session {
    /// Simulated time.
    pub opened: Duration,
    /// Simulated time, once it is over.
    pub closed: Option<Duration>,
    /// When the client was told that it may publish.
    pub began: Option<Duration>,
    /// The commands it got, and when.
    pub commands: Vec<(Duration, String)>,
    /// The media it got.
    pub tape: Tape,
    /// Whether it ended in the middle of a message.
    pub cut_short: bool,
}

/// What it does with its first connection, its second, …, and what it saw.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) answer: Rc<dyn Fn(usize) -> Answer>,
    pub(crate) trace: Trace,
    pub(crate) sessions: Shared<Vec<Session>>,
}

impl Server {
    pub(crate) async fn run(self) -> turmoil::Result {
        let visits_so_far = self.sessions.borrow().len();
        while matches!((self.answer)(visits_so_far), Answer::Absent) {
            sleep(ABSENCE).await;
        }
        let mut listener = Turmoil::default().listen(config::listen(":1935")?).await?;
        let mut visits = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            visits.spawn_local(Visit::new(self.clone(), stream).run());
        }
    }
}

/// One connection to a server.
struct Visit {
    server: Server,
    stream: Mss,
    input: BytesMut,
    number: usize,
    answer: Answer,
    decoder: Decoder,
    /// Bytes of media so far.
    media: usize,
}

impl Visit {
    fn new(server: Server, stream: Mss) -> Self {
        let opened = server.trace.now();
        let number = server.sessions.borrow().len();
        let session =
            Session { opened, closed: None, began: None, commands: Vec::new(), tape: Tape::new(), cut_short: false };
        server.sessions.borrow_mut().push(session);
        let answer = (server.answer)(number);
        info!("accepts connection {}", number + 1);
        Visit { server, stream, input: BytesMut::new(), number, answer, decoder: Decoder::new(), media: 0 }
    }

    async fn run(mut self) {
        let ended = self.serve().await;
        let why = ended.map_or_else(|error| error.to_string(), |()| "closed by the client".to_owned());
        info!("connection {} has ended: {why}", self.number + 1);
    }

    async fn serve(&mut self) -> Result<()> {
        if !self.handshake().await? {
            return Ok(());
        }
        loop {
            while let Some(Said { time, type_id, payload }) = self.decoder.message(&mut self.input)? {
                if type_id == COMMAND {
                    let (name, transaction) = decoder::command(&payload)?;
                    if let Answer::Dislike(property) = self.answer
                        && payload.windows(property.len()).any(|bytes| bytes == property.as_bytes())
                    {
                        Err(format!("it does not like {property}"))?;
                    }
                    self.command(&name, transaction).await?;
                } else {
                    let trace = self.server.trace.clone();
                    self.session(|session| note(&trace, &mut session.tape, type_id, time, &payload));
                    self.media += payload.len();
                    self.end().await?;
                }
            }
            if matches!(self.answer, Answer::Kick(after) if self.since().is_some_and(|since| since >= after)) {
                self.answer = Answer::Accept;
                let kick = Status::success(code::UNPUBLISH_SUCCESS, "").command();
                self.stream.write_all(&kick.message(1, chunk::INITIAL_SIZE)).await?;
            }
            if let Answer::Move(after, to) = self.answer
                && self.since().is_some_and(|since| since >= after)
            {
                self.answer = Answer::Accept;
                info!("asks for a new connection");
                self.stream.write_all(&reconnect_request(to)).await?;
            }
            if !self.read().await? {
                return Ok(());
            }
        }
    }

    /// RTMP 1.0 §5.2: C0 and C1, S0 and S1 and their echo, and an echo back. False at the end.
    async fn handshake(&mut self) -> Result<bool> {
        let Some(hello) = self.take(1 + handshake::SIZE).await? else { return Ok(false) };
        if matches!(self.answer, Answer::Garbage("")) {
            self.stream.write_all(&[0x55; 4_000]).await?;
        } else if !matches!(self.answer, Answer::Silence("")) {
            self.stream.write_all(&[&hello[..1], &[0; handshake::SIZE], &hello[1..]].concat()).await?;
        }
        Ok(self.take(handshake::SIZE).await?.is_some())
    }

    /// The next `length` bytes; none at the end.
    async fn take(&mut self, length: usize) -> Result<Option<BytesMut>> {
        while self.input.len() < length {
            if !self.read().await? {
                return Ok(None);
            }
        }
        Ok(Some(self.input.split_to(length)))
    }

    /// Whether it has had enough.
    async fn end(&mut self) -> Result<()> {
        match self.answer {
            Answer::Close(after) if self.media >= after => Err("it has had enough")?,
            Answer::Reset(after) if self.media >= after => {
                // What arrives meanwhile makes a reset of the end.
                sleep(Duration::from_millis(400)).await;
                Err("it has had enough, and resets")?
            }
            _ => Ok(()),
        }
    }

    /// How long the client has been allowed to publish.
    fn since(&self) -> Option<Duration> {
        self.session(|session| session.began).map(|began| self.server.trace.now() - began)
    }

    /// False at the end.
    async fn read(&mut self) -> Result<bool> {
        if let (Answer::Slow(lasting, pause), Some(since)) = (self.answer, self.since())
            && since < lasting
        {
            sleep(pause).await;
            let mut few = [0; 256];
            let read = self.stream.read(&mut few).await?;
            self.input.extend_from_slice(&few[..read]);
            return Ok(read > 0);
        }
        if let (Answer::Pings(number), Some(_)) = (self.answer, self.since()) {
            let ping = UserControl::PingRequest(7).message();
            self.stream.write_all(&ping.repeat(number)).await?;
        }
        if let (Answer::Deaf(after, lasting), Some(began)) = (self.answer, self.session(|session| session.began)) {
            let since = self.server.trace.now() - began;
            if since >= after && since < after + lasting {
                info!("reads nothing");
                sleep(after + lasting - since).await;
                info!("reads again");
                self.answer = Answer::Accept;
            }
        }
        Ok(self.stream.read_buf(&mut self.input).await? > 0)
    }

    async fn command(&mut self, name: &str, transaction: f64) -> Result<()> {
        let now = self.server.trace.now();
        self.session(|session| session.commands.push((now, name.to_owned())));
        info!("gets {name}");
        let status = match self.answer {
            Answer::Silence(silent) if silent == name => return Ok(()),
            Answer::Garbage(garbled) if garbled == name => {
                self.stream.write_all(&[0x55; 300]).await?;
                return Ok(());
            }
            Answer::Divert(diverted, to) if diverted == name => {
                self.stream.write_all(&reconnect_request(to)).await?;
                return Ok(());
            }
            Answer::Refuse(refused, code) if refused == name => Some(Status::error(code, "")),
            _ => None,
        };
        let reply = match (name, status) {
            ("connect", None) => Command::result(transaction, Amf0::Null, self.announcement()),
            ("connect", Some(status)) => Command::new("_error", transaction, Amf0::Null, [status.to_amf()]),
            ("createStream", _) => Command::result(transaction, Amf0::Null, Amf0::Number(1.0)),
            ("publish", Some(status)) => status.command(),
            ("publish", None) => {
                self.session(|session| session.began = Some(now));
                Status::success(code::PUBLISH_START, "").command()
            }
            _ => return Ok(()),
        };
        let mut replies = BytesMut::new();
        match self.answer {
            Answer::Chunks(size) if name == "connect" => replies.extend_from_slice(&control::set_chunk_size(size)),
            Answer::Window(bytes) if name == "connect" => {
                replies.extend_from_slice(&control::window_ack_size(bytes));
                replies.extend_from_slice(&control::set_peer_bandwidth(bytes));
            }
            _ => {}
        }
        let size = if let Answer::Chunks(size) = self.answer { size } else { chunk::INITIAL_SIZE };
        let stream = u32::from(name == "publish");
        replies.extend_from_slice(&reply.message(stream, size));
        self.stream.write_all(&replies).await?;
        Ok(())
    }

    /// The information object of its answer to `connect` (E-RTMP v2 "Enhancing NetConnection connect Command").
    fn announcement(&self) -> Amf0 {
        match self.answer {
            Answer::Announce(codec) => Amf0::object([("fourCcList", Amf0::StrictArray(vec![codec.into()]))]),
            _ => Amf0::Null,
        }
    }

    fn session<T>(&self, look: impl FnOnce(&mut Session) -> T) -> T {
        look(&mut self.server.sessions.borrow_mut()[self.number])
    }
}

/// E-RTMP v2 "Reconnect Request".
fn reconnect_request(to: &str) -> bytes::Bytes {
    let code = ("code", "NetConnection.Connect.ReconnectRequest".into());
    let mut information = vec![("level", "status".into()), code];
    information.extend((!to.is_empty()).then(|| ("tcUrl", to.into())));
    let request = Command::new("onStatus", 0.0, Amf0::Null, [Amf0::object(information)]);
    request.message(0, chunk::INITIAL_SIZE)
}

/// Also when the server crashes.
impl Drop for Visit {
    fn drop(&mut self) {
        let now = self.server.trace.now();
        let cut_short = !self.input.is_empty() || self.decoder.is_inside();
        self.session(|session| (session.closed, session.cut_short) = (Some(now), cut_short));
    }
}
