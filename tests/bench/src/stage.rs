//! A stage of a message's way through the relay, without sockets: for counting instructions, which no other program disturbs.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{hint, io};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use rtmp_relay::feed::{Feed, Metadata};
use rtmp_relay::flv::Kind;
use rtmp_relay::ingest::Ingest;
use rtmp_relay::net::{Connection, Stream};
use rtmp_relay::rtmp::chunk::DEFAULT_SIZE;
use rtmp_relay::rtmp::chunk::writer::{self, Header, Lane};
use rtmp_relay::rtmp::client::{ClientSession, Target};
use rtmp_relay::rtmp::server::{Event, Role};
use rtmp_relay::rtmp::session::{Output, Phase, Session};
use rtmp_relay::rtmp::url::Url;
use rtmp_relay::rtmp::{Payload, ServerSession, handshake};
use rtmp_relay::stream::log::Limits;
use rtmp_relay::stream::{Directory, Frame, Hops, Join, Log, Name, Preamble};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::film::{Film, Stamp, shots};

/// Connections that are fed.
const READERS: usize = 100;
/// Bits a second of the film.
const RATE: u64 = 6_000_000;

/// Stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// From an encoder's bytes to a frame on the log
    Ingest,
    /// A frame onto the log
    Append,
    /// From the log to each of many connections, in the bytes they share
    FanOut,
    /// The same, cut anew for each: chunks of 4096 bytes
    Egress,
}

/// What is to be done.
#[derive(Debug, Clone, Args)]
pub(crate) struct Work {
    /// Which stage
    pub(crate) stage: Stage,
    /// How many messages go through it
    #[arg(long, default_value_t = 1000)]
    pub(crate) messages: usize,
}

impl Work {
    /// Does it. How often a message came out is what instructions are divided by.
    pub(crate) fn run(&self) -> Result<usize> {
        match self.stage {
            Stage::Ingest => {
                let (mut session, stream) = publishing()?;
                let bytes = encoded(self.messages, stream)?;
                let name = Name::new("live/s0").context("a name")?;
                let mut ingest = Ingest::new(Directory::new(Limits::default()).publish(name, Hops::default())?);
                measured(|| ingest_all(&mut session, &mut ingest, &bytes))?;
                Ok(bytes.len())
            }
            Stage::Append => {
                let (log, frames) = frames(self.messages)?;
                measured(|| append_all(&log, frames));
                Ok(self.messages)
            }
            Stage::FanOut => Ok(fan_out(self.messages, DEFAULT_SIZE)? * READERS),
            Stage::Egress => Ok(fan_out(self.messages, 4096)? * READERS),
        }
    }
}

/// What is counted: a function that the counter knows by its name.
#[inline(never)]
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> T {
    hint::black_box(work())
}

fn ingest_all(session: &mut ServerSession, ingest: &mut Ingest, bytes: &[Vec<u8>]) -> Result<()> {
    for bytes in bytes {
        session.input().extend_from_slice(bytes);
        while let Some(output) = session.poll()? {
            if let Output::Event(Event::Message(message)) = output {
                ingest.message(message);
            }
        }
        ingest.announce();
    }
    Ok(())
}

fn append_all(log: &Log, frames: Vec<Frame>) {
    for frame in frames {
        log.append(frame);
        log.announce();
    }
}

fn fan_out(messages: usize, chunk_size: usize) -> Result<usize> {
    let (log, frames) = frames(messages)?;
    let join = Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX };
    let mut connections: Vec<Connection<Nowhere, ServerSession, Feed>> = Vec::new();
    for seed in 0..READERS {
        let mut connection = Connection::new(Nowhere, ServerSession::new(handshake::random(seed as u64)));
        connection.feed(Feed::new(log.clone(), join, 1, chunk_size, Metadata::SetDataFrame));
        // Its owner has looked once, and sleeps: from here on it is level.
        let _ = pin!(connection.receive()).poll(&mut Context::from_waker(Waker::noop()));
        connections.push(connection);
    }
    measured(|| append_all(&log, frames));
    let sent = connections.iter().filter(|connection| connection.sent() > 0 && connection.unsent() == 0);
    anyhow::ensure!(sent.count() == READERS, "not all connections were level");
    Ok(messages)
}

/// A session that has let its client publish, and on which message stream.
fn publishing() -> Result<(ServerSession, u32)> {
    let url = Url::parse("rtmp://localhost/live")?;
    let target = Target {
        role: Role::Publish,
        url,
        name: "s0".to_owned().into(),
        agent: "FMLE/3.0".into(),
        chunk_size: DEFAULT_SIZE,
    };
    let mut client = ClientSession::new(target, &handshake::random(1));
    let mut server = ServerSession::new(handshake::random(2));
    let mut stream = 0;
    while client.phase() != Phase::Media {
        while let Some(output) = client.poll()? {
            if let Output::Transmit(bytes) = output {
                server.input().extend_from_slice(&bytes);
            }
        }
        while let Some(output) = server.poll()? {
            match output {
                Output::Transmit(bytes) => client.input().extend_from_slice(&bytes),
                Output::Event(Event::Request(request)) => stream = server.accept(request),
                Output::Event(Event::Message(_) | Event::Stopped) => {}
            }
        }
    }
    Ok((server, stream))
}

/// An encoder's writes, a message each.
fn encoded(messages: usize, stream: u32) -> Result<Vec<Vec<u8>>> {
    let film = Film::new(RATE)?;
    let message = |kind, time: Duration, payload: &[u8]| {
        let header = Header::Start { time: time.as_millis() as u32, stream };
        writer::message(Lane::of(kind), header, payload, DEFAULT_SIZE).to_vec()
    };
    let headers = film.headers.iter().map(|(kind, payload)| message(*kind, Duration::ZERO, payload));
    let media = shots().take(messages).map(|shot| message(shot.kind, shot.time, &film.payload(shot, STAMP)));
    Ok(headers.chain(media).collect())
}

const STAMP: Stamp = Stamp { sent: 0, stream: 0, number: 0, of_kind: 0 };

/// Frames as `ingest` makes them, and a log for them.
fn frames(messages: usize) -> Result<(Arc<Log>, Vec<Frame>)> {
    let film = Film::new(RATE)?;
    let preamble = Arc::new(Preamble::new(1));
    let mut last = [0; Kind::ALL.len()];
    let frames = shots().take(messages).map(|shot| {
        let time = shot.time.as_millis() as u64;
        let delta = (time - std::mem::replace(&mut last[shot.kind as usize], time)) as u32;
        let payload = Payload::from(&film.payload(shot, STAMP)[..]);
        let (wire, payload) = writer::shared(Lane::of(shot.kind), delta, payload, DEFAULT_SIZE);
        Frame { kind: shot.kind, time, delta, payload, wire, start: shot.key, preamble: preamble.clone() }
    });
    Ok((Arc::new(Log::new(Limits::default())), frames.collect()))
}

/// A stream that takes everything and says nothing.
struct Nowhere;

impl Stream for Nowhere {}

impl AsyncRead for Nowhere {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Nowhere {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
