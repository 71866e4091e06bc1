//! An encoder: it publishes a synthetic stream, stops, vanishes and comes back as its script says.

use std::collections::VecDeque;
use std::future::pending;
use std::iter::Peekable;
use std::time::Duration;

use bytes::BytesMut;
use rtmp_relay::flv::Kind;
use rtmp_relay::rtmp::amf0::Amf0;
use rtmp_relay::rtmp::chunk;
use rtmp_relay::rtmp::chunk::writer::{self, Header, Lane};
use rtmp_relay::rtmp::client::Event;
use rtmp_relay::rtmp::server::Role;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::info;

use super::{Client, Media, Place, Result, Shared, Tape};
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
        let mut key_every = Duration::from_secs(2);
        for act in &self.acts {
            match *act {
                Act::Publish(time) => {
                    if publishing.is_none() {
                        publishing = self.begin(Show::new(session, key_every)).await;
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
                Act::KeyEvery(time) => key_every = time,
            }
        }
        // A host that returns is deaf to its peers' last words.
        pending().await
    }

    async fn begin(&self, show: Show) -> Option<Publishing> {
        match Client::open(self.place, Role::Publish).await {
            Ok((client, stream)) => {
                info!("publishes to {}", self.place.0);
                Some(Publishing { client, stream, show: show.peekable(), start: Instant::now() })
            }
            Err(error) => {
                info!("cannot publish to {}: {error}", self.place.0);
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
async fn stop(mut client: Client) {
    client.session.finish();
    let goodbye = async { while client.event().await.is_ok() {} };
    // A server that does not answer is not waited for.
    let _ = timeout(Duration::from_secs(1), goodbye).await;
}

/// A synthetic stream: H.264-like video at 30 frames a second, AAC-like audio. Frames and the video header are each session's
/// own, metadata and audio header are not.
struct Show {
    session: u8,
    /// Frames from key frame to key frame.
    gop: u32,
    start: VecDeque<(u32, Kind, Vec<u8>)>,
    video: u32,
    audio: u32,
}

impl Show {
    fn new(session: u8, key_every: Duration) -> Self {
        let metadata = {
            let mut out = BytesMut::new();
            Amf0::from("@setDataFrame").write(&mut out);
            Amf0::from("onMetaData").write(&mut out);
            Amf0::object([("width", Amf0::Number(1280.0)), ("height", Amf0::Number(720.0))]).write(&mut out);
            out.to_vec()
        };
        let video = [b"\x17\x00\x00\x00\x00\x01\x64\x00\x1f\xff\xe1\x00\x02\x67", &[session][..]].concat();
        let audio = b"\xaf\x00\x11\x90".to_vec();
        let start = [(0, Kind::Data, metadata), (0, Kind::Video, video), (0, Kind::Audio, audio)].into();
        Show { session, gop: 30 * key_every.as_secs() as u32, start, video: 0, audio: 0 }
    }

    fn payload(&self, head: &[u8], number: u32, length: usize) -> Vec<u8> {
        let mut payload = [head, &[self.session], &number.to_be_bytes()].concat();
        payload.extend((0..length as u32).map(|n| (n * 31 + number * 7) as u8));
        payload
    }
}

impl Iterator for Show {
    type Item = (u32, Kind, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(message) = self.start.pop_front() {
            return Some(message);
        }
        let (video_time, audio_time) = (self.video * 1000 / 30, self.audio * 1024 / 48);
        if audio_time < video_time {
            self.audio += 1;
            return Some((audio_time, Kind::Audio, self.payload(b"\xaf\x01", self.audio - 1, 150)));
        }
        self.video += 1;
        let number = self.video - 1;
        let payload = match (number.is_multiple_of(self.gop), number.is_multiple_of(3 * self.gop)) {
            // More than one chunk.
            (true, true) => self.payload(b"\x17\x01\x00\x00\x00", number, 64_000),
            (true, false) => self.payload(b"\x17\x01\x00\x00\x00", number, 16_000),
            (false, _) => self.payload(b"\x27\x01\x00\x00\x00", number, 1_200),
        };
        Some((video_time, Kind::Video, payload))
    }
}
