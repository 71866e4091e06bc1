//! Platforms by name: where they take streams, what their keys look like, what they take and what they refuse.
//!
//! The data is `platforms.yaml`, part of the program. A platform changes without telling us: what the user says goes before it, and
//! what is a guess never stops a stream.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use crate::flv::codec::{Codec, FOUR_CCS};
use crate::flv::format::{Level, Size};

/// A place where people broadcast.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// What it is called in a configuration.
    pub id: String,
    /// What it is called by people.
    pub name: String,
    /// Where it takes streams; none where it tells everybody a URL of their own.
    #[serde(default)]
    pub url: Option<String>,
    /// What such a URL looks like.
    #[serde(default)]
    pub url_example: Option<String>,
    /// The same without TLS, where that is taken too.
    #[serde(default)]
    pub plain_url: Option<String>,
    /// A second place that takes the same key.
    #[serde(default)]
    pub backup_url: Option<String>,
    /// What its keys look like, if they look like anything.
    #[serde(default)]
    pub key: Option<Key>,
    /// What it takes.
    pub limits: Limits,
    /// What it looks like when it says no.
    pub refusal: String,
    /// The month in which all this was last looked up.
    pub checked: String,
    /// Where it is from.
    pub source: String,
}

/// What a platform's keys look like.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// A regular expression for all of it, up to its query.
    pub shape: String,
    /// One that nobody has.
    pub example: String,
    /// Whether a query (`?a=b`) belongs to it, which is easily lost in copying.
    #[serde(default)]
    pub query: bool,
}

/// What somebody takes; what is not said is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Codecs of the picture; none means any.
    pub video_codecs: Codecs,
    /// Codecs of the sound; none means any.
    pub audio_codecs: Codecs,
    /// What has to be there.
    pub needs: Vec<Need>,
    /// The highest level of H.264.
    pub level: Option<Level>,
    /// The largest picture. Of one that is higher than wide, that is wanted too.
    pub size: Option<Size>,
    /// Pictures a second.
    pub frame_rate: Option<u32>,
    /// Kilobits a second of the picture.
    pub video_bitrate: Option<u32>,
    /// The same where it depends on the picture's size and rate, the smallest first.
    pub video_bitrates: Vec<Step>,
    /// Kilobits a second of the sound.
    pub audio_bitrate: Option<u32>,
    /// Time between key frames.
    pub key_frame_interval: Option<Interval>,
    /// What it refuses; everything else is worse for viewers, and taken.
    pub refuses: Vec<Matter>,
    /// What is not confirmed.
    pub unsure: Vec<Matter>,
}

/// Something about a stream that a platform does not like. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Matter {
    CodecNotTaken,
    LevelTooHigh,
    NoVideo,
    NoAudio,
    ResolutionTooLarge,
    NotUpright,
    FrameRateTooHigh,
    BitrateTooHigh,
    AudioBitrateTooHigh,
    GopTooLong,
}

/// A half of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Need {
    Audio,
    Video,
}

/// Codecs, each by the name it is printed with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Codecs(pub Vec<Codec>);

/// A bitrate for pictures up to some size and rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Which pictures.
    pub up_to: Format,
    /// Kilobits a second.
    pub kbps: u32,
}

/// Lines, and pictures a second: `1080p30`; without a rate, any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Format {
    /// The shorter side in pixels.
    pub lines: u32,
    /// Pictures a second.
    pub frame_rate: Option<u32>,
}

/// Time between key frames, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// What to set.
    pub best: u32,
    /// What is still fine.
    pub max: u32,
}

/// What is odd about a key. None repeats it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Odd {
    #[error("a whole URL stands where the stream key should be: the key is what the platform shows beside the URL")]
    Url,
    #[error("the key has a space in it: was more copied than the key?")]
    Blank,
    #[error(
        "a key of {platform} goes on with a question mark and more, as in {example}: was only a part of it copied?"
    )]
    NoQuery { platform: &'static str, example: &'static str },
    #[error("the key looks like one of {other}, not of {platform}, whose keys look like {example}")]
    Foreign { platform: &'static str, other: &'static str, example: &'static str },
    #[error("a key of {platform} mostly looks like {example}, and this one does not")]
    Shape { platform: &'static str, example: &'static str },
}

static ALL: LazyLock<Vec<Platform>> =
    LazyLock::new(|| serde_saphyr::from_str(include_str!("platforms.yaml")).expect("a test reads it"));

/// All there are.
pub fn all() -> &'static [Platform] {
    &ALL
}

/// Their names.
pub fn ids() -> impl Iterator<Item = &'static str> {
    all().iter().map(|platform| &*platform.id)
}

/// The platform of this name.
pub fn named(id: &str) -> Option<&'static Platform> {
    all().iter().find(|platform| platform.id == id)
}

impl Platform {
    /// What is odd about a key for it. `Url` and `Blank` are wrong everywhere; the rest is as sure as the data is.
    pub fn odd(&'static self, key: &str) -> Option<Odd> {
        if key.contains("://") {
            return Some(Odd::Url);
        }
        if key.chars().any(char::is_whitespace) {
            return Some(Odd::Blank);
        }
        let Key { example, query, .. } = self.key.as_ref()?;
        let platform = &self.name;
        let like = |platform: &Platform| platform.key.as_ref().is_some_and(|known| known.fits(key));
        if !like(self) {
            // Some keys look like anything.
            let telling = |other: &&Platform| ["facebook", "twitch", "kick", "restream"].contains(&&*other.id);
            return Some(match all().iter().filter(telling).find(|other| like(other)) {
                Some(other) => Odd::Foreign { platform, other: &other.name, example },
                None => Odd::Shape { platform, example },
            });
        }
        (*query && !key.contains('?')).then_some(Odd::NoQuery { platform, example })
    }
}

/// Two are the same if they have the same name: there is one of each.
impl PartialEq for Platform {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Platform {}

impl Key {
    fn fits(&self, key: &str) -> bool {
        let key = key.split_once('?').map_or(key, |(key, _)| key);
        Regex::new(&format!("^(?:{})$", self.shape)).is_ok_and(|shape| shape.is_match(key))
    }
}

impl Limits {
    /// Kilobits a second for a picture of this size and rate, as far as they are known; the most there is for one that is too large.
    pub fn video_bitrate(&self, size: Option<Size>, frame_rate: Option<u32>) -> Option<u32> {
        let fits = |step: &&Step| {
            size.is_some_and(|size| size.width.min(size.height) <= step.up_to.lines)
                && step.up_to.frame_rate.is_none_or(|most| frame_rate.is_some_and(|rate| rate <= most))
        };
        let step = self.video_bitrates.iter().find(fits).or(self.video_bitrates.last());
        step.map(|step| step.kbps).or(self.video_bitrate)
    }
}

impl TryFrom<Vec<String>> for Codecs {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        let codec = |name: &String| {
            let known = FOUR_CCS.iter().map(|(_, codec)| *codec).find(|codec| codec.to_string() == *name);
            known.ok_or_else(|| format!("{name} is no codec"))
        };
        names.iter().map(codec).collect::<Result<_, _>>().map(Codecs)
    }
}

impl TryFrom<String> for Format {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const LOOKS: &str = "a format looks like 1080p or 1080p30";
        let (lines, rate) = text.split_once('p').ok_or(LOOKS)?;
        let frame_rate = if rate.is_empty() { None } else { Some(rate.parse().map_err(|_| LOOKS)?) };
        Ok(Format { lines: lines.parse().map_err(|_| LOOKS)?, frame_rate })
    }
}

impl fmt::Display for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(Codec::to_string).collect();
        match &names[..] {
            [most @ .., last] if !most.is_empty() => write!(f, "{} or {last}", most.join(", ")),
            names => f.write_str(&names.concat()),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}p{}", self.lines, self.frame_rate.map(|rate| rate.to_string()).unwrap_or_default())
    }
}

/// `2 s`, or `2-4 s`.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { best, max } = self;
        if best == max { write!(f, "{best} s") } else { write!(f, "{best}-{max} s") }
    }
}

/// The stable name: `gop_too_long`.
impl Matter {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Matter::CodecNotTaken => "codec_not_taken",
            Matter::LevelTooHigh => "level_too_high",
            Matter::NoVideo => "no_video",
            Matter::NoAudio => "no_audio",
            Matter::ResolutionTooLarge => "resolution_too_large",
            Matter::NotUpright => "not_upright",
            Matter::FrameRateTooHigh => "frame_rate_too_high",
            Matter::BitrateTooHigh => "bitrate_too_high",
            Matter::AudioBitrateTooHigh => "audio_bitrate_too_high",
            Matter::GopTooLong => "gop_too_long",
        }
    }
}

impl fmt::Display for Matter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_says_where_its_facts_are_from_and_none_is_refused_for_a_guess() {
        let ids: Vec<&str> = all().iter().map(|platform| &*platform.id).collect();
        let wanted = "youtube facebook instagram twitch kick x tiktok linkedin vimeo restream cloudflare";
        assert_eq!(ids.join(" "), wanted);
        for platform in all() {
            let id = &platform.id;
            assert!(platform.source.len() > 20 && platform.checked.len() == 7, "{id}");
            assert!(platform.url.is_some() != platform.url_example.is_some(), "{id}: a URL, or what one looks like");
            let Limits { refuses, unsure, .. } = &platform.limits;
            assert!(!refuses.iter().any(|matter| unsure.contains(matter)), "{id} refuses what is a guess");
            for matter in [&refuses[..], unsure].concat() {
                assert!(platform.limits.has(matter), "{id} has no limit for {matter}");
            }
        }
    }

    impl Limits {
        /// Whether there is anything to go wrong.
        fn has(&self, matter: Matter) -> bool {
            match matter {
                Matter::CodecNotTaken => !self.video_codecs.0.is_empty(),
                Matter::LevelTooHigh => self.level.is_some(),
                Matter::NoVideo => self.needs.contains(&Need::Video),
                Matter::NoAudio => self.needs.contains(&Need::Audio),
                Matter::ResolutionTooLarge => self.size.is_some(),
                Matter::NotUpright => self.size.is_some_and(|size| size.height > size.width),
                Matter::FrameRateTooHigh => self.frame_rate.is_some(),
                Matter::BitrateTooHigh => self.video_bitrate(None, None).is_some(),
                Matter::AudioBitrateTooHigh => self.audio_bitrate.is_some(),
                Matter::GopTooLong => self.key_frame_interval.is_some(),
            }
        }
    }

    #[test]
    fn every_example_of_a_key_is_one_and_nobody_elses() {
        for platform in all() {
            let Some(key) = &platform.key else { continue };
            assert_eq!(platform.odd(&key.example), None, "{}", platform.id);
            assert_eq!(platform.odd(&format!(" {}", key.example)), Some(Odd::Blank), "{}", platform.id);
        }
    }

    #[test]
    fn a_key_that_is_odd_is_told_in_words_that_help_and_do_not_repeat_it() {
        for (id, key, starts) in [
            ("youtube", "rtmp://a.rtmp.youtube.com/live2/CANARY", "a whole URL stands where"),
            ("youtube", "CANARY CANARY", "the key has a space in it"),
            ("youtube", "CANARY", "a key of YouTube mostly looks like abcd-efgh-ijkl-mnop"),
            ("youtube", "live_1_CANARY", "the key looks like one of Twitch, not of YouTube"),
            ("twitch", "abcd-efgh-ijkl-mnop", "a key of Twitch mostly looks like live_123456789"),
            ("facebook", "FB-1-0-CANARY", "a key of Facebook goes on with a question mark"),
            ("linkedin", "https://CANARY", "a whole URL stands where"),
        ] {
            let odd = named(id).and_then(|platform| platform.odd(key)).expect(key).to_string();
            assert!(odd.starts_with(starts) && !odd.contains("CANARY"), "{odd}");
        }
        let sound = |id: &str, key: &str| named(id).expect(id).odd(key).is_none();
        assert!(sound("twitch", "live_1_abc?bandwidthtest=true") && sound("linkedin", "anything"));
        assert!(sound("facebook", "FB-1-0-Abc_d?s_bl=1&s_ps=1"));
    }

    #[test]
    fn a_bitrate_depends_on_size_and_rate_where_the_platform_says_so() {
        let facebook = &named("facebook").expect("it is there").limits;
        for (width, height, rate, kbps) in [
            (640, 360, Some(30), 1000),
            (1280, 720, Some(30), 4000),
            (1280, 720, Some(60), 6000),
            (720, 1280, Some(25), 4000),
            (1920, 1080, Some(60), 9000),
            (3840, 2160, Some(60), 9000),
            (640, 360, None, 1000),
        ] {
            assert_eq!(facebook.video_bitrate(Some(Size { width, height }), rate), Some(kbps), "{width}x{height}");
        }
        assert_eq!(facebook.video_bitrate(None, Some(30)), Some(9000), "what is not known is not held against anybody");
    }
}
