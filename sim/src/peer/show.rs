//! A show: what an encoder has to send, message by message.

use std::collections::VecDeque;

use bytes::BytesMut;
use rtmp_relay::flv::Kind;
use rtmp_relay::rtmp::amf0::Amf0;

/// What a show looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Picture {
    /// Frames from key frame to key frame.
    pub(crate) gop: u32,
    /// Video frames a second.
    pub(crate) rate: u32,
    /// Bytes of a key frame; every third, the first among them, may have more.
    pub(crate) key: [usize; 2],
    /// Bytes of any other video frame, and of an audio frame.
    pub(crate) inter: usize,
    pub(crate) sound: usize,
    /// Samples of an audio frame, at 48 kHz.
    pub(crate) samples: u32,
    /// Its clock at the beginning, in milliseconds. It wraps.
    pub(crate) clock: u32,
    /// HEVC by its FourCC (E-RTMP "Enhanced Video"), else H.264.
    pub(crate) hevc: bool,
}

/// More than one chunk in every third key frame.
impl Default for Picture {
    fn default() -> Self {
        Picture {
            gop: 60,
            rate: 30,
            key: [64_000, 16_000],
            inter: 1_200,
            sound: 150,
            samples: 1_024,
            clock: 0,
            hevc: false,
        }
    }
}

/// A synthetic stream: H.264-like video at 30 frames a second, AAC-like audio. Frames and the video header are each session's
/// own, metadata and audio header are not.
pub(crate) struct Show {
    session: u8,
    picture: Picture,
    start: VecDeque<(u32, Kind, Vec<u8>)>,
    video: u32,
    audio: u32,
}

impl Show {
    pub(crate) fn new(session: u8, picture: Picture) -> Self {
        let metadata = {
            let mut out = BytesMut::new();
            Amf0::from("@setDataFrame").write(&mut out);
            Amf0::from("onMetaData").write(&mut out);
            Amf0::object([("width", Amf0::Number(1280.0)), ("height", Amf0::Number(720.0))]).write(&mut out);
            out.to_vec()
        };
        let head = if picture.hevc { b"\x90hvc1" } else { b"\x17\x00\x00\x00\x00" };
        let video = [head, &b"\x01\x64\x00\x1f\xff\xe1\x00\x02\x67"[..], &[session]].concat();
        let audio = b"\xaf\x00\x11\x90".to_vec();
        let start = [(Kind::Data, metadata), (Kind::Video, video), (Kind::Audio, audio)];
        let start = start.into_iter().map(|(kind, payload)| (picture.clock, kind, payload)).collect();
        Show { session, picture, start, video: 0, audio: 0 }
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
        let Picture { gop, rate, key, inter, sound, samples, clock, hevc } = self.picture;
        let (video_time, audio_time) = (self.video * 1000 / rate, self.audio * samples / 48);
        if audio_time < video_time {
            self.audio += 1;
            let payload = self.payload(b"\xaf\x01", self.audio - 1, sound);
            return Some((clock.wrapping_add(audio_time), Kind::Audio, payload));
        }
        self.video += 1;
        let number = self.video - 1;
        let [key_head, inter_head] =
            if hevc { [b"\x93hvc1", b"\xa3hvc1"] } else { [b"\x17\x01\x00\x00\x00", b"\x27\x01\x00\x00\x00"] };
        let payload = match (number.is_multiple_of(gop), number.is_multiple_of(3 * gop)) {
            (true, third) => self.payload(key_head, number, key[usize::from(!third)]),
            (false, _) => self.payload(inter_head, number, inter),
        };
        Some((clock.wrapping_add(video_time), Kind::Video, payload))
    }
}
