//! Platforms: what is known of them, for forms.

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Json;
use crate::platforms::{self, Need};

/// Every platform that has a name here.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Platforms {
    platforms: Vec<Platform>,
}

/// A place where people broadcast.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Platform {
    /// What it is called in a configuration.
    #[schema(example = "youtube")]
    id: &'static str,
    /// What it is called by people.
    name: &'static str,
    /// Where it takes streams; none where it tells everybody a URL of their own.
    url: Option<&'static str>,
    /// What such a URL looks like.
    url_example: Option<&'static str>,
    /// The same without TLS, where that is taken too.
    plain_url: Option<&'static str>,
    /// A second place that takes the same key.
    backup_url: Option<&'static str>,
    /// What its keys look like, if they look like anything.
    key: Option<Key>,
    limits: Limits,
    /// What it looks like when it says no.
    refusal: &'static str,
    /// The month in which all this was last looked up.
    checked: &'static str,
    /// Where it is from.
    source: &'static str,
}

/// What a platform's keys look like.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlatformKey)]
pub(super) struct Key {
    /// A regular expression for all of it, up to its query.
    shape: &'static str,
    /// One that nobody has.
    example: &'static str,
    /// Whether a query (`?a=b`) belongs to it, which is easily lost in copying.
    query: bool,
}

/// What a platform takes; what is not said is not limited.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlatformLimits)]
pub(super) struct Limits {
    /// None means any.
    video_codecs: Vec<String>,
    /// None means any.
    audio_codecs: Vec<String>,
    /// `audio`, `video`: what has to be there.
    needs: Vec<&'static str>,
    /// The highest level of H.264.
    level: Option<String>,
    /// The largest picture.
    #[schema(example = "1920x1080")]
    size: Option<String>,
    frame_rate: Option<u32>,
    video_bitrate: Option<u64>,
    /// The same where it depends on the picture's size and rate, the smallest first.
    video_bitrates: Vec<Step>,
    audio_bitrate: Option<u64>,
    key_frame_interval: Option<Interval>,
    /// What it refuses; everything else is worse for viewers, and taken.
    refuses: Vec<String>,
    /// What is not confirmed.
    unsure: Vec<String>,
}

/// A bitrate for pictures up to some size and rate.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Step {
    #[schema(example = "1080p30")]
    up_to: String,
    bitrate: u64,
}

/// Time between key frames.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Interval {
    best_seconds: u32,
    max_seconds: u32,
}

impl Platform {
    fn of(platform: &'static platforms::Platform) -> Self {
        Platform {
            id: &platform.id,
            name: &platform.name,
            url: platform.url.as_deref(),
            url_example: platform.url_example.as_deref(),
            plain_url: platform.plain_url.as_deref(),
            backup_url: platform.backup_url.as_deref(),
            key: platform.key.as_ref().map(|key| Key { shape: &key.shape, example: &key.example, query: key.query }),
            limits: Limits::of(&platform.limits),
            refusal: &platform.refusal,
            checked: &platform.checked,
            source: &platform.source,
        }
    }
}

impl Limits {
    fn of(limits: &'static platforms::Limits) -> Self {
        let codecs = |codecs: &platforms::Codecs| codecs.0.iter().map(ToString::to_string).collect();
        let named = |matters: &[platforms::Matter]| matters.iter().map(ToString::to_string).collect();
        let bits = |kbps: u32| u64::from(kbps) * 1000;
        let step = |step: &platforms::Step| Step { up_to: step.up_to.to_string(), bitrate: bits(step.kbps) };
        let needs = limits.needs.iter().map(|need| match need {
            Need::Audio => "audio",
            Need::Video => "video",
        });
        Limits {
            video_codecs: codecs(&limits.video_codecs),
            audio_codecs: codecs(&limits.audio_codecs),
            needs: needs.collect(),
            level: limits.level.map(|level| level.to_string()),
            size: limits.size.map(|size| size.to_string()),
            frame_rate: limits.frame_rate,
            video_bitrate: limits.video_bitrate.map(bits),
            video_bitrates: limits.video_bitrates.iter().map(step).collect(),
            audio_bitrate: limits.audio_bitrate.map(bits),
            key_frame_interval: limits
                .key_frame_interval
                .map(|interval| Interval { best_seconds: interval.best, max_seconds: interval.max }),
            refuses: named(&limits.refuses),
            unsure: named(&limits.unsure),
        }
    }
}

/// Every platform that has a name here, and what is known of it.
#[utoipa::path(get, path = "/api/v1/platforms", tag = "relay", operation_id = "platforms", responses((status = OK, body = Platforms)))]
pub(super) async fn all() -> Json<Platforms> {
    Json(Platforms { platforms: platforms::all().iter().map(Platform::of).collect() })
}
