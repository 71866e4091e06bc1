//! `publish`: an FLV file as a live stream. It goes onto a log of its own, whose one reader is a destination.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Publish;
use super::screen::Screen;
use crate::destination::{Approach, Board, Destination, Error, Place, Server, Settings, Template};
use crate::flv::file::{Reader, Tag};
use crate::ingest::Ingest;
use crate::net::tcp::Tcp;
use crate::net::tls::Trust;
use crate::rtmp::Message;
use crate::rtmp::capabilities::Announce;
use crate::stream::log::Limits;
use crate::stream::{Directory, Hops, Join, Name};

/// Nothing of a file is left out: the log holds more than the pace lets gather, and the server is never too far behind.
const LOG: Limits = Limits { time: Duration::from_secs(3600), bytes: 64 << 20 };
const JOIN: Join = Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX };

/// The file waits for a server that is further behind than this.
const LAG: Duration = Duration::from_secs(2);

/// Between the last message of a file and the first of its next round, in milliseconds.
const FRAME_MS: u64 = 40;

/// Bytes read from the file at once.
const READ: usize = 64 << 10;

const AGENT: &str = concat!("FMLE/3.0 (compatible; rtmp-relay/", env!("CARGO_PKG_VERSION"), ")");

pub(super) async fn run(publish: Publish, stop: CancellationToken) -> Result<()> {
    ensure!((0.1..=10.0).contains(&publish.speed), "--speed goes from 0.1 to 10");
    let _screen = Screen::open(publish.log);
    let path = publish.file.display();
    let file = tokio::fs::File::open(&publish.file).await.with_context(|| format!("cannot open {path}"))?;
    let sent = send(file, &publish.url, publish.again, publish.speed, stop).await?;
    println!("published {sent} messages");
    Ok(())
}

/// Publishes an FLV file to `url` and says how many messages that were.
pub(super) async fn send<F>(file: F, url: &str, again: bool, speed: f64, stop: CancellationToken) -> Result<u64>
where
    F: AsyncRead + AsyncSeek + Unpin,
{
    let name = Name::new("live/file").context("a sound name")?;
    let (url, key) = Template::parse(url).and_then(|t| t.resolve(&name, &[])).context("the URL to publish to")?;
    let publication = Directory::new(LOG).publish(name.clone(), Hops::default())?;
    let board = Board::default();
    board.add(&url.host);
    let mut destination = Destination {
        net: Tcp,
        row: board.claim(&url.host, &name),
        server: Server { url, name: key, place: Place::default() },
        backup: None,
        trust: Trust::default(),
        settings: Settings::default(),
        agent: AGENT.to_owned(),
        log: publication.log().clone(),
        stop: CancellationToken::new(),
        retry: Arc::default(),
        join: JOIN,
        random: fastrand::Rng::new(),
    };
    let said = |error: Error| anyhow!("{}: {}", error.explain(), error.class().advice());
    let mut approach = Approach::new(Announce::Forwarding);
    let (connection, message_stream) = tokio::select! {
        () = stop.cancelled() => return Ok(0),
        connected = destination.connect(&mut approach) => connected.map_err(said)?,
    };
    let published = destination.publish(connection, message_stream);
    tokio::pin!(published);
    let pace = Pace { start: Instant::now(), speed, board: &board, stop: &stop };
    tokio::select! {
        ended = &mut published => {
            ended.map_err(said)?;
            bail!("the server ended the stream");
        }
        paced = pace.send(Rounds::new(file, again), Ingest::new(publication)) => paced?,
    }
    published.await.map_err(said)?;
    Ok(board.statuses().iter().map(|s| s.messages).sum())
}

/// Puts messages on a log when their time has come.
struct Pace<'a> {
    start: Instant,
    speed: f64,
    board: &'a Board,
    stop: &'a CancellationToken,
}

impl Pace<'_> {
    /// Sends all there is, or until stopped, and ends the stream.
    async fn send<F: AsyncRead + AsyncSeek + Unpin>(mut self, mut file: Rounds<F>, mut ingest: Ingest) -> Result<()> {
        while let Some((time, tag)) = file.next().await? {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = self.wait(time) => {}
            }
            ingest.message(Message { timestamp: time as u32, ..(&tag).into() });
            ingest.announce();
        }
        ingest.end();
        Ok(())
    }

    /// Until `time` milliseconds of the stream have passed, and longer where the server falls behind.
    async fn wait(&mut self, time: u64) {
        sleep_until(self.start + Duration::from_millis(time).div_f64(self.speed)).await;
        while self.board.statuses().iter().any(|s| s.delivered.lag > LAG) {
            let before = Instant::now();
            sleep(Duration::from_millis(100)).await;
            self.start += before.elapsed();
        }
    }
}

/// A file's tags, once or again and again, on one time line in milliseconds that starts at 0.
struct Rounds<F> {
    file: F,
    again: bool,
    reader: Reader,
    /// The first timestamp of the file.
    first: Option<u32>,
    /// Where this round begins.
    offset: u64,
    last: u64,
}

impl<F: AsyncRead + AsyncSeek + Unpin> Rounds<F> {
    fn new(file: F, again: bool) -> Self {
        Rounds { file, again, reader: Reader::new(), first: None, offset: 0, last: 0 }
    }

    async fn next(&mut self) -> Result<Option<(u64, Tag)>> {
        let mut buffer = Vec::new();
        loop {
            if let Some(tag) = self.reader.read_tag()? {
                let first = *self.first.get_or_insert(tag.timestamp);
                let time = self.offset + u64::from(tag.timestamp.saturating_sub(first));
                self.last = self.last.max(time);
                return Ok(Some((time, tag)));
            }
            buffer.resize(READ, 0);
            let read = self.file.read(&mut buffer).await.context("cannot read the file")?;
            self.reader.push(&buffer[..read]);
            if read == 0 {
                // What an interrupted writer left behind is good up to its last whole tag.
                let _cut = std::mem::take(&mut self.reader).finish();
                if !self.again || self.first.is_none() {
                    ensure!(self.first.is_some(), "the file is empty or no FLV");
                    return Ok(None);
                }
                self.offset = self.last + FRAME_MS;
                self.file.rewind().await.context("cannot read the file again")?;
            }
        }
    }
}
