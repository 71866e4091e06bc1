//! Streams: what is published here, by whom, and who reads it.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Json;
use super::call::Named;
use super::desk::{Desk, Moment, seconds};
use super::problem::{Code, Problem, Told};
use crate::inbound::visitors::Session;
use crate::rtmp::server::Role;
use crate::stream::gauge;

/// Every stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Streams {
    streams: Vec<Stream>,
}

/// A stream that has a publisher, or had one a moment ago.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Stream {
    /// Application and name.
    #[schema(example = "live/show")]
    pub(super) name: String,
    app: String,
    stream: String,
    state: Stage,
    #[schema(format = DateTime)]
    since_at: String,
    pub(super) seconds: f64,
    publisher: Option<Publisher>,
    /// Players that read it here.
    pub(super) players: usize,
    /// Destinations it is sent to, or would be if nothing were in the way.
    destinations: Vec<String>,
    /// What has come in the last ten seconds.
    pub(super) bitrate: Option<u64>,
    /// The picture, once a header or a frame of one has come.
    pub(super) video: Option<Video>,
    /// The sound, likewise.
    pub(super) audio: Option<Audio>,
    /// How far the sound is ahead of the picture in what has come.
    pub(super) av_skew_seconds: Option<f64>,
    /// Bytes of media since its beginning.
    pub(super) bytes: u64,
    pub(super) log: Held,
}

/// A picture. Rates are over the last ten seconds.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Video {
    #[schema(example = "H.264")]
    codec: String,
    #[schema(example = "High")]
    profile: Option<&'static str>,
    #[schema(example = "4.2")]
    level: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    pub(super) frame_rate: Option<f64>,
    pub(super) bitrate: Option<u64>,
    /// The longest of the last intervals.
    pub(super) key_frame_interval_seconds: Option<f64>,
    since_key_frame_seconds: Option<f64>,
    b_frames: bool,
}

/// Sound.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Audio {
    #[schema(example = "AAC")]
    codec: String,
    sample_rate: Option<u32>,
    channels: Option<u8>,
    pub(super) bitrate: Option<u64>,
}

/// Whether its publisher is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StreamState)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    /// It is
    Live,
    /// It has been lost and may come back, until the grace is over
    Lost,
}

/// Who publishes it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Publisher {
    session: u64,
    peer: String,
    tls: bool,
    /// What it calls itself.
    agent: String,
}

/// What is held of it, for readers that come late or fall behind.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Log)]
pub(super) struct Held {
    pub(super) bytes: usize,
    pub(super) seconds: f64,
}

impl Stream {
    /// Whether its publisher is there.
    pub(super) fn is_live(&self) -> bool {
        self.state == Stage::Live
    }

    /// All there are now, by name.
    pub(super) fn now(desk: &Desk, now: &Moment) -> Vec<Stream> {
        let (sessions, statuses) = (desk.visitors.sessions(), desk.board.statuses());
        let streams = desk.directory.streams().into_iter().map(|standing| {
            let of = |role: Role| {
                let name = &standing.name;
                sessions.iter().filter(move |session| session.role == role && session.stream == *name)
            };
            let destinations = statuses.iter().filter(|status| status.stream.as_ref() == Some(&standing.name));
            let reading = standing.log.reading();
            let bitrates =
                [reading.video.as_ref().and_then(|v| v.bitrate), reading.audio.as_ref().and_then(|a| a.bitrate)];
            // One that another has followed may not have left yet.
            let publisher = of(Role::Publish).next_back().filter(|_| !standing.lost);
            Stream {
                name: standing.name.to_string(),
                app: standing.name.app().to_owned(),
                stream: standing.name.stream().to_owned(),
                state: if standing.lost { Stage::Lost } else { Stage::Live },
                since_at: now.at(standing.since),
                seconds: now.since(standing.since),
                publisher: publisher.map(Publisher::of),
                players: of(Role::Play).count(),
                destinations: destinations.map(|status| status.name.clone()).collect(),
                bitrate: bitrates.into_iter().flatten().reduce(|video, audio| video + audio),
                video: reading.video.map(Video::of),
                audio: reading.audio.map(Audio::of),
                av_skew_seconds: reading.skew.map(|skew| skew as f64 / 1000.0),
                bytes: standing.log.appended(),
                log: Held { bytes: standing.log.bytes(), seconds: seconds(standing.log.span()) },
            }
        });
        streams.collect()
    }
}

impl Video {
    fn of(video: gauge::Video) -> Self {
        let size = video.picture.size;
        Video {
            codec: video.codec.to_string(),
            profile: video.picture.profile,
            level: video.picture.level.map(|level| level.to_string()),
            width: size.map(|size| size.width),
            height: size.map(|size| size.height),
            frame_rate: video.frame_rate.map(|rate| (rate * 100.0).round() / 100.0),
            bitrate: video.bitrate,
            key_frame_interval_seconds: video.key_frame_interval.map(seconds),
            since_key_frame_seconds: video.since_key_frame.map(seconds),
            b_frames: video.b_frames,
        }
    }
}

impl Audio {
    fn of(audio: gauge::Audio) -> Self {
        Audio {
            codec: audio.codec.to_string(),
            sample_rate: audio.sound.sample_rate,
            channels: audio.sound.channels,
            bitrate: audio.bitrate,
        }
    }
}

impl Publisher {
    fn of(session: &Session) -> Self {
        Publisher {
            session: session.id,
            peer: session.peer.ip().to_string(),
            tls: session.tls,
            agent: session.agent.clone(),
        }
    }
}

/// Every stream, by name.
#[utoipa::path(get, path = "/api/v1/streams", tag = "streams", operation_id = "streams", responses((status = OK, body = Streams)))]
pub(super) async fn all(State(desk): State<Arc<Desk>>) -> Json<Streams> {
    Json(Streams { streams: Stream::now(&desk, &desk.now()) })
}

/// One stream. Slashes in its name are slashes of the path.
#[utoipa::path(get, path = "/api/v1/streams/{*name}", tag = "streams", operation_id = "stream",
    params(("name" = String, Path, description = "application and name", example = "live/show")),
    responses((status = OK, body = Stream), (status = NOT_FOUND, body = Told, description = "no_such_stream"))
)]
pub(super) async fn one(State(desk): State<Arc<Desk>>, Named(name): Named) -> Result<Json<Stream>, Problem> {
    let found = Stream::now(&desk, &desk.now()).into_iter().find(|stream| stream.name == name);
    found.map(Json).ok_or(Code::NoSuchStream.into())
}
