//! An encoder: it publishes a synthetic stream, stops, vanishes and comes back as its script says.

use std::future::pending;
use std::iter::Peekable;
use std::time::Duration;

use rtmp_relay::rtmp::chunk;
use rtmp_relay::rtmp::chunk::writer::{self, Header, Lane};
use rtmp_relay::rtmp::client::Event;
use rtmp_relay::rtmp::server::Role;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::info;

use super::{Client, Media, Picture, Place, Result, Shared, Show, Tape};
use crate::trace::Trace;

/// What an encoder does, one after the other.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// Sends media for this long, over a new connection if there is none.
    Publish(Duration),
    /// Drops the connection without a word.
    Vanish,
    /// Ends the stream in so many words, and the connection.
    Stop,
    /// Does nothing.
    Wait(Duration),
    /// Puts this much between key frames from the next connection on, instead of 2 s.
    KeyEvery(Duration),
    /// Sends HEVC by its FourCC from the next connection on, instead of H.264.
    Hevc,
    /// Sends frames of a few bytes from the next connection on.
    Thin,
}

/// An encoder: what it does, and what it has sent.
pub(crate) struct Encoder {
    pub(crate) place: Place,
    pub(crate) acts: Vec<Act>,
    /// Its sessions are numbered from here, so that no two encoders send the same.
    pub(crate) number: u8,
    pub(crate) trace: Trace,
    pub(crate) sent: Shared<Tape>,
}

/// An encoder's connection and where its show stands.
struct Publishing {
    client: Client,
    stream: u32,
    show: Peekable<Show>,
    start: Instant,
}

impl Encoder {
    pub(crate) async fn run(self) -> turmoil::Result {
        let mut publishing = None;
        let mut session = self.number;
        let mut picture = Picture::default();
        for act in &self.acts {
            match *act {
                Act::Publish(time) => {
                    if publishing.is_none() {
                        publishing = self.begin(Show::new(session, picture)).await;
                        session += 1;
                    }
                    let Some(begun) = &mut publishing else { continue };
                    if let Err(error) = self.publish(begun, time).await {
                        info!("the connection has ended: {error}");
                        publishing = None;
                    }
                }
                Act::Vanish => {
                    info!("vanishes");
                    publishing = None;
                }
                Act::Stop => {
                    info!("stops");
                    if let Some(begun) = publishing.take() {
                        stop(begun.client).await;
                    }
                }
                Act::Wait(time) => sleep(time).await,
                Act::KeyEvery(time) => picture.gop = 30 * time.as_secs() as u32,
                Act::Hevc => picture.hevc = true,
                Act::Thin => picture = Picture { key: [300, 200], inter: 40, sound: 10, ..picture },
            }
        }
        // A host that returns is deaf to its peers' last words.
        pending().await
    }

    async fn begin(&self, show: Show) -> Option<Publishing> {
        match Client::open(self.place, Role::Publish).await {
            Ok((client, stream)) => {
                info!("publishes to {}", self.place);
                Some(Publishing { client, stream, show: show.peekable(), start: Instant::now() })
            }
            Err(error) => {
                info!("cannot publish to {}: {error}", self.place);
                None
            }
        }
    }

    async fn publish(&self, begun: &mut Publishing, time: Duration) -> Result<()> {
        let Publishing { client, stream, show, start } = begun;
        let end = Instant::now() + time;
        loop {
            let &(time, ..) = show.peek().ok_or("a show has no end")?;
            let due = *start + Duration::from_millis(time.into());
            while Instant::now() < due {
                tokio::select! {
                    biased;
                    read = client.read() => { read?; client.react().await?; }
                    () = sleep_until(due.min(end)) => {}
                }
                if let Some(Event::Ended(status) | Event::Refused(_, status)) = client.events.pop_front() {
                    Err(status.code)?;
                }
                if Instant::now() >= end {
                    return Ok(());
                }
            }
            let (time, kind, payload) = show.next().ok_or("a show has no end")?;
            // Before it is written: the wait for a relay that does not read is part of the way.
            self.sent.borrow_mut().push(Media::new(self.trace.now(), kind, time, &payload));
            let header = Header::Start { time, stream: *stream };
            client.stream.write_all(&writer::message(Lane::of(kind), header, &payload, chunk::DEFAULT_SIZE)).await?;
        }
    }
}

/// Says goodbye, and waits for the server's.
pub(crate) async fn stop(mut client: Client) {
    client.session.finish();
    let goodbye = async { while client.event().await.is_ok() {} };
    // A server that does not answer is not waited for.
    let _ = timeout(Duration::from_secs(1), goodbye).await;
}
