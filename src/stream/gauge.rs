//! The gauge of a stream: what it is made of and how much of it comes, by its headers, sizes and times. Nothing is decoded.
//!
//! All of it is counted on the stream's own time line, so that a burst after a stall is no higher bitrate.

use std::collections::VecDeque;
use std::time::Duration;

use crate::flv::format::{self, Picture, Sound};
use crate::flv::{Codec, Kind, Role, Tag};

/// Rates are over this much of the stream, in milliseconds …
const WINDOW: u64 = 10_000;
/// … which is divided into steps of this much.
const STEP: u64 = 1000;
/// The intervals between key frames that are remembered.
const INTERVALS: usize = 5;

/// What has been measured of one publisher session.
#[derive(Debug, Default)]
pub struct Gauge {
    session: u64,
    picture: Option<Picture>,
    sound: Option<Sound>,
    video: Series,
    audio: Series,
    /// When the last key frame was decoded, and how far those before it lay apart.
    key: Option<u64>,
    intervals: VecDeque<u64>,
    /// Composition times since the last key frame, the least and the greatest; and whether they differed before it.
    shown: Option<(i32, i32)>,
    reordered: bool,
}

/// One half of a stream.
#[derive(Debug, Default)]
struct Series {
    codec: Option<Codec>,
    first: Option<u64>,
    last: u64,
    bytes: u64,
    frames: u64,
    /// Time, bytes and frames at the beginning of each step in the window.
    marks: VecDeque<(u64, u64, u64)>,
}

/// What a gauge shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The picture, once a header or a frame of one has come.
    pub video: Option<Video>,
    /// The sound, likewise.
    pub audio: Option<Audio>,
    /// How much of the stream has been seen.
    pub watched: Duration,
    /// How far the sound is ahead of the picture in what has come, in milliseconds.
    pub skew: Option<i64>,
}

/// The pictures of a stream. Rates are over the last ten seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Video {
    /// Of the default track.
    pub codec: Codec,
    /// Of the default track.
    pub picture: Picture,
    /// Bits a second, of all tracks.
    pub bitrate: Option<u64>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
    /// The longest of the last intervals between key frames, the present one among them if it is longer already.
    pub key_frame_interval: Option<Duration>,
    /// Since the last key frame.
    pub since_key_frame: Option<Duration>,
    /// Frames are shown in another order than they are decoded in.
    pub b_frames: bool,
}

/// The sound of a stream. Rates are over the last ten seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Of the default track.
    pub codec: Codec,
    /// Of the default track.
    pub sound: Sound,
    /// Bits a second, of all tracks.
    pub bitrate: Option<u64>,
}

impl Gauge {
    /// Nothing has come yet of this publisher session.
    pub fn new(session: u64) -> Self {
        Gauge { session, ..Gauge::default() }
    }

    /// Which one it is.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// A header or metadata has come.
    pub fn header(&mut self, kind: Kind, tag: &Tag, payload: &[u8]) {
        match kind {
            Kind::Video if tag.role == Role::Header && tag.tracks.contains(0) => {
                self.video.codec = Some(tag.codec);
                let told = format::picture(payload);
                let before = self.picture.and_then(|picture| picture.size);
                self.picture = Some(Picture { size: told.size.or(before), ..told });
            }
            Kind::Audio if tag.role == Role::Header && tag.tracks.contains(0) => {
                self.audio.codec = Some(tag.codec);
                self.sound = Some(format::sound(payload));
            }
            Kind::Data => {
                // A header knows better.
                let picture = self.picture.get_or_insert_default();
                picture.size = picture.size.or_else(|| format::size_in_metadata(payload));
            }
            Kind::Video | Kind::Audio => {}
        }
    }

    /// A frame has come, for `time` in milliseconds.
    pub fn frame(&mut self, kind: Kind, tag: &Tag, time: u64, payload: &[u8]) {
        let series = match kind {
            Kind::Video => &mut self.video,
            Kind::Audio => &mut self.audio,
            Kind::Data => return,
        };
        if tag.role == Role::Frame && tag.tracks.contains(0) {
            series.codec = Some(tag.codec);
        }
        series.count(time, payload.len() as u64);
        if kind == Kind::Video && tag.role == Role::Frame {
            self.order(tag.key, time, payload);
        }
    }

    /// Key frames and the order of those between them.
    fn order(&mut self, key: bool, time: u64, payload: &[u8]) {
        if key {
            if let Some(before) = self.key.replace(time) {
                self.intervals.push_back(time.saturating_sub(before));
                if self.intervals.len() > INTERVALS {
                    self.intervals.pop_front();
                }
            }
            self.reordered = self.is_reordered();
            self.shown = None;
        }
        if let Some(later) = format::composition_time(payload) {
            let (least, greatest) = self.shown.unwrap_or((later, later));
            self.shown = Some((least.min(later), greatest.max(later)));
        }
    }

    fn is_reordered(&self) -> bool {
        self.shown.is_some_and(|(least, greatest)| least != greatest)
    }

    /// What it shows.
    pub fn read(&self) -> Reading {
        let newest = self.video.last.max(self.audio.last);
        let first = [self.video.first, self.audio.first].into_iter().flatten().min();
        let since_key_frame = self.key.map(|key| self.video.last.saturating_sub(key));
        let longest = self.intervals.iter().max().copied();
        Reading {
            video: self.video.codec.map(|codec| Video {
                codec,
                picture: self.picture.unwrap_or_default(),
                bitrate: self.video.bitrate(),
                frame_rate: self.video.rate(),
                key_frame_interval: since_key_frame.max(longest).filter(|_| longest.is_some()).map(milliseconds),
                since_key_frame: since_key_frame.map(milliseconds),
                b_frames: self.reordered || self.is_reordered(),
            }),
            audio: self.audio.codec.map(|codec| Audio {
                codec,
                sound: self.sound.unwrap_or_default(),
                bitrate: self.audio.bitrate(),
            }),
            watched: milliseconds(first.map_or(0, |first| newest.saturating_sub(first))),
            skew: self.video.first.and(self.audio.first).map(|_| self.audio.last as i64 - self.video.last as i64),
        }
    }
}

impl Series {
    fn count(&mut self, time: u64, bytes: u64) {
        self.first.get_or_insert(time);
        self.last = time;
        self.bytes += bytes;
        self.frames += 1;
        if self.marks.back().is_none_or(|(mark, ..)| time >= mark + STEP) {
            self.marks.push_back((time, self.bytes, self.frames));
        }
        while self.marks.get(1).is_some_and(|(mark, ..)| mark + WINDOW <= time) {
            self.marks.pop_front();
        }
    }

    /// Milliseconds of the window, and what has come in it; none before there is a step of it.
    fn window(&self) -> Option<(u64, u64, u64)> {
        let &(mark, bytes, frames) = self.marks.front()?;
        let time = self.last - mark;
        (time >= STEP).then_some((time, self.bytes - bytes, self.frames - frames))
    }

    fn bitrate(&self) -> Option<u64> {
        self.window().map(|(time, bytes, _)| bytes * 8000 / time)
    }

    fn rate(&self) -> Option<f64> {
        self.window().map(|(time, _, frames)| frames as f64 * 1000.0 / time as f64)
    }
}

fn milliseconds(time: u64) -> Duration {
    Duration::from_millis(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flv::classify;

    const KEY: &[u8] = b"\x17\x01\0\0\x50";
    const INTER: &[u8] = b"\x27\x01\0\0\x50";
    const SOUND: &[u8] = b"\xaf\x01sound";

    fn put(gauge: &mut Gauge, kind: Kind, time: u64, payload: &[u8]) {
        gauge.frame(kind, &classify(kind, payload), time, payload);
    }

    /// Twenty-five pictures of 1000 bytes a second, the key frames `gop` milliseconds apart.
    fn pictures(gauge: &mut Gauge, times: std::ops::Range<u64>, gop: u64) {
        for time in times.step_by(40) {
            let payload = [if time % gop == 0 { KEY } else { INTER }, &[0; 995]].concat();
            put(gauge, Kind::Video, time, &payload);
        }
    }

    #[test]
    fn rates_are_those_of_the_last_ten_seconds_of_the_stream() {
        let mut gauge = Gauge::default();
        pictures(&mut gauge, 0..960, 2000);
        assert_eq!(gauge.read().video.expect("a picture").bitrate, None, "it is too early to say");
        pictures(&mut gauge, 960..30_000, 2000);
        let video = gauge.read().video.expect("a picture");
        assert_eq!((video.bitrate, video.frame_rate), (Some(200_000), Some(25.0)));
        // Twice as many bytes, for a while.
        for time in (30_000..40_000).step_by(20) {
            put(&mut gauge, Kind::Video, time, &[INTER, &[0; 995]].concat());
        }
        let bitrate = gauge.read().video.and_then(|video| video.bitrate).expect("a rate");
        assert!((370_000..=400_000).contains(&bitrate), "{bitrate}");
        assert!(gauge.video.marks.len() <= 12, "{}", gauge.video.marks.len());
        assert_eq!(gauge.read().watched, Duration::from_millis(39_980));
    }

    #[test]
    fn the_longest_of_the_last_key_frame_intervals_is_shown_and_one_that_does_not_end() {
        let mut gauge = Gauge::default();
        let shown =
            |gauge: &Gauge| gauge.read().video.and_then(|video| video.key_frame_interval).map(|i| i.as_millis());
        pictures(&mut gauge, 0..2000, 2000);
        assert_eq!(shown(&gauge), None, "one key frame is no interval");
        pictures(&mut gauge, 2000..4000, 2000);
        assert_eq!(shown(&gauge), Some(2000));
        pictures(&mut gauge, 4000..8000, 8000);
        assert_eq!(shown(&gauge), Some(5960));
        pictures(&mut gauge, 8000..32_000, 2000);
        assert_eq!(shown(&gauge), Some(2000), "long ago");
        assert_eq!(gauge.read().video.and_then(|v| v.since_key_frame), Some(milliseconds(1960)));
    }

    #[test]
    fn a_picture_shown_out_of_order_is_noticed_and_forgotten_when_there_are_none_any_more() {
        let mut gauge = Gauge::default();
        let b_frames = |gauge: &Gauge| gauge.read().video.is_some_and(|video| video.b_frames);
        pictures(&mut gauge, 0..4000, 2000);
        assert!(!b_frames(&gauge));
        put(&mut gauge, Kind::Video, 4000, KEY);
        put(&mut gauge, Kind::Video, 4040, b"\x27\x01\0\0\xa0");
        assert!(b_frames(&gauge));
        pictures(&mut gauge, 6000..6040, 2000);
        assert!(b_frames(&gauge), "in the GOP before");
        pictures(&mut gauge, 6040..8040, 2000);
        assert!(!b_frames(&gauge));
    }

    #[test]
    fn a_header_knows_the_size_better_than_metadata_whichever_comes_first() {
        let metadata = b"\x02\0\x0aonMetaData\x08\0\0\0\0\0\x05width\0\x40\x94\0\0\0\0\0\0\0\x06height\0\x40\x86\x80\0\0\0\0\0\0\0\x09";
        let avc = crate::flv::tests::hex(
            "1700000000 0142c01effe1001b6742c01eda0280bfe5c05a808080a0000003002000000791e2c5d401000468ce3c80",
        );
        let size = |gauge: &Gauge| gauge.picture.and_then(|picture| picture.size).map(|size| size.to_string());
        let mut gauge = Gauge::default();
        gauge.header(Kind::Data, &classify(Kind::Data, metadata), metadata);
        assert_eq!(gauge.read().video, None, "metadata is no picture");
        assert_eq!(size(&gauge).as_deref(), Some("1280x720"));
        gauge.header(Kind::Video, &classify(Kind::Video, &avc), &avc);
        gauge.header(Kind::Data, &classify(Kind::Data, metadata), metadata);
        assert_eq!(size(&gauge).as_deref(), Some("640x360"));
        put(&mut gauge, Kind::Audio, 0, SOUND);
        assert_eq!(gauge.read().audio.map(|audio| audio.codec), Some(Codec::Aac));
    }
}
