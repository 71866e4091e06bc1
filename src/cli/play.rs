//! `play`: a stream from a server into an FLV file.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWrite, AsyncWriteExt, SeekFrom};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Play;
use super::screen::Screen;
use crate::destination;
use crate::flv::{self, Kind, Role, file};
use crate::limits::STEP;
use crate::net::connection::{self, NoSource};
use crate::net::tcp::Tcp;
use crate::net::tls::{Trust, Wire};
use crate::net::{Connection, Network};
use crate::rtmp::capabilities::Announce;
use crate::rtmp::chunk::DEFAULT_SIZE;
use crate::rtmp::client::{ClientSession, Event, Target};
use crate::rtmp::login::Login;
use crate::rtmp::server::Role as Part;
use crate::rtmp::session::{Phase, Session};
use crate::rtmp::url::Url;
use crate::rtmp::{Message, Secret, handshake};

const AGENT: &str = concat!("LNX 9,0,124,2 (compatible; rtmp-relay/", env!("CARGO_PKG_VERSION"), ")");

/// A stream that has begun and says nothing for this long is over.
const SILENCE: Duration = Duration::from_secs(60);

type Playing = Connection<Wire<<Tcp as Network>::Stream>, ClientSession, NoSource>;

pub(super) async fn run(play: Play, stop: CancellationToken) -> Result<()> {
    let _screen = Screen::open(play.log);
    let mut url = Url::parse(&play.url).context("the URL to play from")?;
    let Some(name) = url.name.take() else { bail!("the URL to play from names no stream: rtmp://host/app/NAME") };
    let mut connection = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        connection = connect(url, name) => connection?,
    };
    let mut writer = Writer::create(&play.output).await?;
    let limit = play.duration.map(|t| t.0.as_millis() as u64);
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = receive(&mut connection, &mut writer, limit) => ended,
    };
    writer.finish().await?;
    connection.session.finish();
    connection.close().await;
    eprintln!("played {} messages, {:.3} s", writer.messages, writer.duration_ms() as f64 / 1e3);
    ended
}

/// A session that plays, after as many connections as the server's login takes.
async fn connect(url: Url, name: Secret) -> Result<Playing> {
    let mut login = Login::new(&url);
    let mut next = url;
    loop {
        let mut connection = open(next, name.clone()).await?;
        match start(&mut connection).await? {
            Event::Refused(phase, status) => {
                connection.close().await;
                let again = if phase == Phase::Connect { login.answer(&status, fastrand::u32(..)) } else { Ok(None) };
                // The status may repeat the stream's name, which may be a key: only the code is shown.
                let refused = || format!("refused {phase}: {:?}", status.code);
                next = again.with_context(|| format!("refused {phase}"))?.with_context(refused)?;
            }
            Event::Started(_) | Event::Ended(_) | Event::Message(_) | Event::Reconnect(_) => return Ok(connection),
        }
    }
}

async fn open(url: Url, name: Secret) -> Result<Playing> {
    let mut stream = Err(std::io::ErrorKind::NotFound.into());
    for address in Tcp.lookup(&url.host, url.port).await.context("the host name cannot be resolved")? {
        stream = timeout(STEP, Tcp.connect(address)).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        if stream.is_ok() {
            break;
        }
    }
    let stream = stream.context("cannot connect")?;
    let said = |error| anyhow!(destination::Error::from(error).explain());
    let stream = match url.tls {
        true => Trust::default().connect(&Tcp, stream, &url.host).await.map_err(said)?,
        false => Wire::Plain(stream),
    };
    let target = Target { role: Part::Play, url, name, agent: AGENT.to_owned(), chunk_size: DEFAULT_SIZE };
    let session = ClientSession::new(target, &handshake::random(fastrand::u64(..))).announcing(Announce::Forwarding);
    Ok(Connection::new(stream, session))
}

/// What the server says to `play`, or to what comes before it.
async fn start(connection: &mut Playing) -> Result<Event> {
    let mut phase = connection.session.phase();
    let mut deadline = Instant::now() + STEP;
    loop {
        if let Some(event) = connection.event()? {
            return Ok(event);
        }
        if connection.session.phase() != phase {
            phase = connection.session.phase();
            deadline = Instant::now() + STEP;
        }
        timeout_at(deadline, connection.receive()).await.with_context(|| format!("timed out {phase}"))??;
    }
}

/// Takes messages until the stream ends (`Ok`), or `limit` milliseconds of it have come.
async fn receive(connection: &mut Playing, writer: &mut Writer, limit: Option<u64>) -> Result<()> {
    loop {
        while let Some(event) = connection.event()? {
            match event {
                Event::Message(message) => writer.add(message),
                Event::Started(_) | Event::Refused(..) | Event::Reconnect(_) => {}
                Event::Ended(_) => return Ok(()),
            }
        }
        writer.write().await?;
        if limit.is_some_and(|limit| writer.duration_ms() >= limit) {
            return Ok(());
        }
        // Before a stream begins a player waits for as long as it likes.
        let patience = if writer.messages > 0 { SILENCE } else { Duration::from_secs(86_400) };
        match timeout(patience, connection.receive()).await {
            Err(_) => bail!("timed out {}", connection.session.phase()),
            Ok(Err(connection::Error::Closed { phase: Phase::Media | Phase::Closing })) => return Ok(()),
            Ok(received) => received?,
        };
    }
}

/// An FLV file, or a pipe, being written.
struct Writer {
    output: Box<dyn AsyncWrite + Unpin + Send>,
    /// The same file, for figures that are known at the end; none for a pipe.
    file: Option<File>,
    unwritten: Vec<u8>,
    begun: bool,
    messages: u64,
    bytes: u64,
    first: Option<u32>,
    last: u32,
}

impl Writer {
    async fn create(path: &Path) -> Result<Self> {
        let (output, file): (Box<dyn AsyncWrite + Unpin + Send>, _) = if path == Path::new("-") {
            (Box::new(tokio::io::stdout()), None)
        } else {
            let file = File::create(path).await.with_context(|| format!("cannot write {}", path.display()))?;
            (Box::new(file.try_clone().await?), Some(file))
        };
        let unwritten = file::header(true, true).to_vec();
        Ok(Writer { output, file, unwritten, begun: false, messages: 0, bytes: 0, first: None, last: 0 })
    }

    fn add(&mut self, message: Message) {
        let Some(kind) = message.media() else { return };
        let metadata = flv::metadata(&message.payload);
        if !self.begun {
            self.begun = true;
            self.unwritten.extend(file::metadata_tag(metadata));
            if metadata.is_some() {
                self.messages += 1;
                return;
            }
        }
        if kind != Kind::Data && flv::classify(kind, &message.payload).role == Role::Frame {
            self.first.get_or_insert(message.timestamp);
            self.last = message.timestamp;
        }
        let time = message.timestamp;
        file::write_tag(kind, time, metadata.unwrap_or(&message.payload), &mut self.unwritten)
            .expect("24 bits of length");
        self.messages += 1;
    }

    fn duration_ms(&self) -> u64 {
        self.first.map_or(0, |first| self.last.wrapping_sub(first).into())
    }

    async fn write(&mut self) -> Result<()> {
        self.output.write_all(&self.unwritten).await.context("cannot write")?;
        self.bytes += self.unwritten.len() as u64;
        self.unwritten.clear();
        self.output.flush().await.context("cannot write")
    }

    async fn finish(&mut self) -> Result<()> {
        self.write().await?;
        if let Some(file) = self.file.as_mut().filter(|_| self.begun) {
            let seconds = self.first.map_or(0.0, |first| f64::from(self.last.wrapping_sub(first)) / 1e3);
            for (at, value) in [(file::DURATION_AT, seconds), (file::FILE_SIZE_AT, self.bytes as f64)] {
                file.seek(SeekFrom::Start(at)).await?;
                file.write_all(&value.to_be_bytes()).await?;
            }
            file.flush().await?;
        }
        Ok(())
    }
}
