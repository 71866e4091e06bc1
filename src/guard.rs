//! The guard: what a stream is made of, held against what a platform takes, and told as plain advice.
//!
//! Nothing is decoded, and nothing is refused for a guess: what a platform is known to refuse would end the session there
//! anyway, without a word; everything else is sent, and told.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::flv::Codec;
use crate::flv::format::Size;
use crate::platforms::{Codecs, Interval, Matter, Need, Platform};
use crate::stream::Reading;
use crate::stream::gauge::{Audio, Video};

/// What a destination does with advice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// A stream that the platform is known to refuse is not sent there; everything else is told.
    #[default]
    Refuse,
    /// Everything is told, and sent.
    Advise,
    /// Nothing is told.
    Ignore,
}

/// Something about a stream that a platform does not like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What it is about. The names are stable.
    pub matter: Matter,
    /// What is wrong and what to do about it, for people.
    pub text: String,
    /// The platform is known to refuse such a stream.
    pub refused: bool,
    /// The limit is known, not guessed.
    pub confirmed: bool,
}

/// What is not there after this much of a stream will not come.
pub const SETTLED: Duration = Duration::from_secs(3);
/// Bitrates are those of the last ten seconds, and nothing is said of them before.
const STEADY: Duration = Duration::from_secs(10);
/// A bitrate wobbles by so many percent around what the encoder was told.
const WOBBLE: u64 = 10;
/// Key frames wobble by so much around the interval that the encoder was told.
const SLACK: Duration = Duration::from_millis(500);

/// Whether enough has come to say what cannot change any more: which codecs there are, and whether both halves are there.
pub fn can_tell(reading: &Reading) -> bool {
    let both = reading.video.is_some() && reading.audio.is_some();
    both || reading.watched >= SETTLED
}

/// What a platform does not like about a stream, as far as can be told by now.
pub fn advise(platform: &Platform, reading: &Reading) -> Vec<Advice> {
    let Reading { video, audio, .. } = reading;
    let mut told = Told { platform, advice: Vec::new() };
    if can_tell(reading) {
        told.missing(video.is_some(), audio.is_some());
    }
    let steady = reading.watched >= STEADY;
    if let Some(video) = video {
        told.picture(video, steady);
    }
    if let Some(audio) = audio {
        told.sound(audio, steady);
    }
    told.advice
}

/// Advice for one platform, as it comes.
struct Told<'a> {
    platform: &'a Platform,
    advice: Vec<Advice>,
}

impl Told<'_> {
    fn tell(&mut self, matter: Matter, text: String) {
        let limits = &self.platform.limits;
        let confirmed = !limits.unsure.contains(&matter);
        let text =
            if confirmed { text } else { format!("{text} (this is said of {}, and not confirmed)", self.name()) };
        self.advice.push(Advice { matter, text, refused: limits.refuses.contains(&matter), confirmed });
    }

    fn name(&self) -> &str {
        &self.platform.name
    }

    fn missing(&mut self, video: bool, audio: bool) {
        for need in &self.platform.limits.needs {
            match need {
                Need::Video if !video => self.tell(
                    Matter::NoVideo,
                    format!("{} wants a picture, and the stream has none: look at the sources in OBS", self.name()),
                ),
                Need::Audio if !audio => self.tell(
                    Matter::NoAudio,
                    format!(
                        "{} wants sound, and the stream has none: give OBS an audio source, be it a silent one",
                        self.name()
                    ),
                ),
                Need::Video | Need::Audio => {}
            }
        }
    }

    fn picture(&mut self, video: &Video, steady: bool) {
        let limits = &self.platform.limits;
        self.codec(&limits.video_codecs, video.codec, "Video Encoder");
        if let (Codec::Avc, Some(most), Some(level)) = (video.codec, limits.level, video.picture.level)
            && level > most
        {
            let text = format!(
                "{} takes H.264 up to level {most}, and yours has level {level}: set a smaller resolution or frame rate in OBS",
                self.name()
            );
            self.tell(Matter::LevelTooHigh, text);
        }
        if let (Some(most), Some(size)) = (limits.size, video.picture.size) {
            self.size(most, size);
        }
        // 59.94 is called 60, and what is measured wobbles.
        let rate = video.frame_rate.map(|rate| rate.round() as u32);
        if let (Some(most), Some(rate)) = (limits.frame_rate, rate)
            && rate > most + 1
        {
            let text = format!(
                "{} takes {most} pictures a second, and yours has {rate}: set FPS to {most} in OBS (Settings, Video)",
                self.name()
            );
            self.tell(Matter::FrameRateTooHigh, text);
        }
        let bitrate = video.bitrate.filter(|_| steady);
        let most = limits.video_bitrate(video.picture.size, rate);
        if let Some((most, kbps)) = beyond(most, bitrate) {
            let format = video.picture.size.filter(|_| !limits.video_bitrates.is_empty());
            let of = format.map(|size| format!(" for {size} at {} pictures a second", rate.unwrap_or_default()));
            let text = format!(
                "{} takes {most} kbit/s of video{}, and yours has {kbps}: set Video Bitrate to {most} in OBS (Settings, Output)",
                self.name(),
                of.unwrap_or_default()
            );
            self.tell(Matter::BitrateTooHigh, text);
        }
        if let (Some(interval), Some(yours)) = (limits.key_frame_interval, video.key_frame_interval)
            && yours > Duration::from_secs(interval.max.into()) + SLACK
        {
            self.gop(interval, yours);
        }
    }

    fn sound(&mut self, audio: &Audio, steady: bool) {
        let limits = &self.platform.limits;
        self.codec(&limits.audio_codecs, audio.codec, "Audio Encoder");
        if let Some((most, kbps)) = beyond(limits.audio_bitrate, audio.bitrate.filter(|_| steady)) {
            let text = format!(
                "{} takes {most} kbit/s of sound, and yours has {kbps}: set Audio Bitrate to {most} in OBS (Settings, Output, Audio)",
                self.name()
            );
            self.tell(Matter::AudioBitrateTooHigh, text);
        }
    }

    fn codec(&mut self, taken: &Codecs, codec: Codec, setting: &str) {
        if taken.0.is_empty() || taken.0.contains(&codec) {
            return;
        }
        let text = format!(
            "{} takes {taken}, and the stream has {codec}: set {setting} to {} in OBS (Settings, Output)",
            self.name(),
            taken.0[0]
        );
        self.tell(Matter::CodecNotTaken, text);
    }

    fn size(&mut self, most: Size, size: Size) {
        let sorted = |Size { width, height }: Size| (width.min(height), width.max(height));
        let ((short, long), (most_short, most_long)) = (sorted(size), sorted(most));
        if short > most_short || long > most_long {
            let text = format!(
                "{} takes pictures up to {most}, and yours has {size}: set Output Resolution in OBS (Settings, Video)",
                self.name()
            );
            self.tell(Matter::ResolutionTooLarge, text);
        }
        if most.height > most.width && size.width > size.height {
            let text = format!(
                "{} shows upright pictures like {most}, and yours is {size}: set an upright Base (Canvas) Resolution in OBS (Settings, Video)",
                self.name()
            );
            self.tell(Matter::NotUpright, text);
        }
    }

    fn gop(&mut self, interval: Interval, yours: Duration) {
        let text = format!(
            "{} wants a key frame every {interval}, and yours comes every {} s: set Keyframe Interval to {} in OBS (Settings, Output)",
            self.name(),
            (yours.as_secs_f64() * 10.0).round() / 10.0,
            interval.best
        );
        self.tell(Matter::GopTooLong, text);
    }
}

/// The limit and what there is, in kbit/s, if that is clearly more.
fn beyond(most: Option<u32>, bitrate: Option<u64>) -> Option<(u32, u64)> {
    let (most, kbps) = (most?, bitrate? / 1000);
    (kbps > u64::from(most) * (100 + WOBBLE) / 100).then_some((most, kbps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flv::format::{Level, Picture, Sound};
    use crate::platforms;

    /// What every platform takes: 720x1280, H.264 at 2.5 Mbit/s, AAC.
    fn good() -> Reading {
        let picture = Picture { size: Some(Size { width: 720, height: 1280 }), level: Some(Level(31)), profile: None };
        let video = Video {
            codec: Codec::Avc,
            picture,
            bitrate: Some(2_500_000),
            frame_rate: Some(30.0),
            key_frame_interval: Some(Duration::from_secs(2)),
            since_key_frame: None,
            b_frames: true,
        };
        let audio = Audio { codec: Codec::Aac, sound: Sound::default(), bitrate: Some(128_000) };
        Reading { video: Some(video), audio: Some(audio), watched: Duration::from_secs(60), skew: None }
    }

    fn with(change: impl FnOnce(&mut Video)) -> Reading {
        let mut reading = good();
        change(reading.video.as_mut().expect("a picture"));
        reading
    }

    /// Matters, those that are refused with a `!`, those that are not confirmed with a `?`.
    fn told(platform: &str, reading: &Reading) -> String {
        let advice = advise(platforms::named(platform).expect("a platform"), reading);
        let mark = |a: &Advice| {
            format!(
                "{}{}",
                a.matter,
                if a.refused {
                    "!"
                } else if a.confirmed {
                    ""
                } else {
                    "?"
                }
            )
        };
        advice.iter().map(mark).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_every_platform_takes_is_advised_against_by_none() {
        for platform in platforms::all() {
            assert_eq!(told(&platform.id, &good()), "", "{}", platform.id);
        }
    }

    #[test]
    fn each_platform_is_told_what_it_does_not_like() {
        let size = |width, height| with(|video| video.picture.size = Some(Size { width, height }));
        let bitrate = |kbps: u64| with(|video| video.bitrate = Some(kbps * 1000));
        let gop = |ms| with(|video| video.key_frame_interval = Some(Duration::from_millis(ms)));
        let mut silent = good();
        silent.audio = None;
        let mut loud = good();
        loud.audio.as_mut().expect("sound").bitrate = Some(320_000);
        for (platform, reading, expected) in [
            ("facebook", &gop(10_000), "gop_too_long"),
            ("facebook", &gop(4_100), ""),
            ("twitch", &gop(2_100), ""),
            ("twitch", &gop(4_000), "gop_too_long"),
            ("youtube", &gop(10_000), "gop_too_long?"),
            ("facebook", &silent, "no_audio!"),
            ("youtube", &silent, "no_audio"),
            ("twitch", &silent, ""),
            ("twitch", &bitrate(6_500), ""),
            ("twitch", &bitrate(6_700), "bitrate_too_high"),
            ("facebook", &bitrate(4_300), ""),
            ("facebook", &bitrate(4_500), "bitrate_too_high"),
            ("kick", &bitrate(10_000), "bitrate_too_high?"),
            ("youtube", &bitrate(10_000), ""),
            ("kick", &size(1920, 1080), ""),
            ("kick", &size(2560, 1440), "resolution_too_large!"),
            ("instagram", &size(1280, 720), "not_upright?"),
            ("tiktok", &size(1080, 1920), ""),
            ("instagram", &size(1080, 1920), "resolution_too_large?"),
            ("linkedin", &with(|video| video.frame_rate = Some(60.0)), "frame_rate_too_high?"),
            ("linkedin", &with(|video| video.frame_rate = Some(30.4)), ""),
            ("facebook", &with(|video| video.picture.level = Some(Level(51))), "level_too_high"),
            ("twitch", &with(|video| video.codec = Codec::Hevc), "codec_not_taken!"),
            ("youtube", &with(|video| video.codec = Codec::Hevc), ""),
            ("cloudflare", &with(|video| video.codec = Codec::Av1), "codec_not_taken?"),
            ("x", &loud, "audio_bitrate_too_high"),
            ("facebook", &loud, "audio_bitrate_too_high"),
            ("twitch", &loud, ""),
        ] {
            assert_eq!(told(platform, reading), expected, "{platform}: {reading:?}");
        }
    }

    #[test]
    fn nothing_is_said_before_it_can_be_told() {
        let mut reading = good();
        reading.audio = None;
        reading.watched = SETTLED - Duration::from_millis(1);
        assert!(!can_tell(&reading));
        assert_eq!(told("facebook", &reading), "");
        reading.watched = SETTLED;
        assert_eq!(told("facebook", &reading), "no_audio!");
        let mut early = with(|video| video.bitrate = Some(60_000_000));
        early.watched = STEADY - Duration::from_millis(1);
        assert_eq!(told("twitch", &early), "");
        assert_eq!(advise(platforms::named("facebook").expect("a platform"), &Reading::default()), []);
    }
}
