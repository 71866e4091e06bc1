//! The film that is published: sound H.264 and AAC of a chosen bitrate, with a stamp in every message.
//!
//! Thirty pictures a second, a key frame eight times as large as the others every two seconds, and 43 sounds a second. Pictures
//! are one of a real encoder's, filled up with filler units (H.264 7.4.2.7), so that programs which look inside find nothing wrong.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rtmp_relay::flv::{Kind, Role, classify};
use rtmp_relay::rtmp::server::Event;
use rtmp_relay::rtmp::session::{Output, Session};
use rtmp_relay::rtmp::{ServerSession, handshake};

/// What an encoder has sent once, at 30 pictures a second: its headers and pictures are used.
const RECORDING: &[u8] = include_bytes!("../../../fixtures/obs/29-publish.c2s.bin");

/// Pictures a second, pictures from key frame to key frame, and how much larger a key frame is.
const RATE: u64 = 30;
const GOP: u64 = 60;
const KEY_WEIGHT: u64 = 8;
/// Samples a second and in one sound.
const SAMPLES: u64 = 44_100;
const SOUND: u64 = 1024;
/// Bits a second that go to the sound.
const SOUND_BITS: u64 = 128_000;

/// Before each stamp, so that it is found and nothing else is taken for one. It is the identifier of user data (H.264 D.1.7).
const MARK: [u8; 16] = *b"rtmp-relay bench";
const STAMP: usize = MARK.len() + 8 + 2 + 4 + 4;
/// Where it is: behind header, length, unit type, payload type and size; or behind the header of a sound.
const VIDEO_AT: usize = 5 + 4 + 1 + 1 + 1;
const AUDIO_AT: usize = 2;

/// What a message says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When it was handed to the network, in nanoseconds of the load's own clock.
    pub(crate) sent: u64,
    /// Which stream it is of.
    pub(crate) stream: u16,
    /// How many messages of the stream came before it.
    pub(crate) number: u32,
    /// How many of its kind did.
    pub(crate) of_kind: u32,
}

impl Stamp {
    /// The stamp of a message, if it has one.
    pub(crate) fn read(payload: &[u8]) -> Option<Stamp> {
        let at = |at: usize| payload.get(at..at + STAMP)?.strip_prefix(&MARK);
        let bytes = at(VIDEO_AT).or_else(|| at(AUDIO_AT))?;
        let (sent, rest) = bytes.split_first_chunk()?;
        let (stream, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let of_kind = rest.first_chunk()?;
        Some(Stamp {
            sent: u64::from_be_bytes(*sent),
            stream: u16::from_be_bytes(*stream),
            number: u32::from_be_bytes(*number),
            of_kind: u32::from_be_bytes(*of_kind),
        })
    }

    fn bytes(self) -> [u8; STAMP] {
        let mut bytes = [0; STAMP];
        let parts = [
            &MARK[..],
            &self.sent.to_be_bytes(),
            &self.stream.to_be_bytes(),
            &self.number.to_be_bytes(),
            &self.of_kind.to_be_bytes(),
        ];
        bytes.copy_from_slice(&parts.concat());
        bytes
    }
}

/// Templates of one bitrate.
#[derive(Debug, Clone)]
pub(crate) struct Film {
    /// Sequence headers, which go first.
    pub(crate) headers: Vec<(Kind, Vec<u8>)>,
    key: Vec<u8>,
    inter: Vec<u8>,
    sound: Vec<u8>,
}

/// One message before it is stamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shot {
    /// When it is due, from the film's beginning.
    pub(crate) time: Duration,
    /// Audio or video.
    pub(crate) kind: Kind,
    /// Whether decoding may begin here.
    pub(crate) key: bool,
    /// How many of its kind came before it.
    pub(crate) of_kind: u32,
}

impl Film {
    /// A film of so many bits a second.
    pub(crate) fn new(bitrate: u64) -> Result<Film> {
        // AAC-LC, 44.1 kHz, two channels.
        let mut headers = vec![(Kind::Audio, vec![0xaf, 0, 0x12, 0x10])];
        let (mut key, mut inter) = (None, None);
        let mut session = ServerSession::new(handshake::random(1));
        session.input().extend_from_slice(RECORDING);
        while let Some(output) = session.poll()? {
            let message = match output {
                Output::Event(Event::Message(message)) => message,
                Output::Event(Event::Request(request)) => {
                    session.accept(request);
                    continue;
                }
                Output::Event(Event::Stopped) | Output::Transmit(_) => continue,
            };
            let Some(Kind::Video) = message.media() else { continue };
            let tag = classify(Kind::Video, &message.payload);
            match tag.role {
                Role::Header => headers.push((Kind::Video, message.payload.to_vec())),
                Role::Frame if tag.key => key = key.or(Some(message.payload)),
                Role::Frame => inter = inter.or(Some(message.payload)),
                _ => {}
            }
        }
        let sounds = SOUND_BITS.min(bitrate / 4);
        let pictures = (bitrate - sounds) / 8 * GOP / RATE;
        let size = pictures / (KEY_WEIGHT + GOP - 1);
        let film = Film {
            headers,
            key: picture(&key.context("no key frame was recorded")?, KEY_WEIGHT * size),
            inter: picture(&inter.context("no other frame was recorded")?, size),
            sound: sound(sounds / 8 * SOUND / SAMPLES),
        };
        ensure!(film.inter.len() as u64 <= size + 64, "a bitrate of {bitrate} is too low");
        Ok(film)
    }

    /// What is sent of a shot.
    pub(crate) fn payload(&self, shot: Shot, stamp: Stamp) -> Vec<u8> {
        let (template, at) = match (shot.kind, shot.key) {
            (Kind::Video, true) => (&self.key, VIDEO_AT),
            (Kind::Video, false) => (&self.inter, VIDEO_AT),
            (Kind::Audio | Kind::Data, _) => (&self.sound, AUDIO_AT),
        };
        let mut payload = template.clone();
        payload[at..at + STAMP].copy_from_slice(&stamp.bytes());
        payload
    }
}

/// All shots in the order of their times, for ever.
pub(crate) fn shots() -> impl Iterator<Item = Shot> {
    let (mut pictures, mut sounds) = (0_u32, 0_u32);
    std::iter::repeat_with(move || {
        let picture = Duration::from_nanos(u64::from(pictures) * 1_000_000_000 / RATE);
        let sound = Duration::from_nanos(u64::from(sounds) * SOUND * 1_000_000_000 / SAMPLES);
        if picture <= sound {
            pictures += 1;
            let of_kind = pictures - 1;
            Shot { time: picture, kind: Kind::Video, key: u64::from(of_kind) % GOP == 0, of_kind }
        } else {
            sounds += 1;
            Shot { time: sound, kind: Kind::Audio, key: false, of_kind: sounds - 1 }
        }
    })
}

/// A picture with room for a stamp in front, filled up to `size` bytes.
fn picture(real: &[u8], size: u64) -> Vec<u8> {
    let (header, units) = real.split_at(5);
    // No time between decoding and showing: there are no pictures in between.
    let mut payload = vec![header[0], header[1], 0, 0, 0];
    let user_data = [&[6, 5, STAMP as u8][..], &[0; STAMP], &[0x80]].concat();
    payload.extend((user_data.len() as u32).to_be_bytes());
    payload.extend(user_data);
    payload.extend(units);
    let filler = (size as usize).saturating_sub(payload.len() + 4 + 2);
    payload.extend((filler as u32 + 2).to_be_bytes());
    payload.push(12);
    payload.resize(payload.len() + filler, 0xff);
    payload.push(0x80);
    payload
}

/// A sound of `size` bytes with room for a stamp.
fn sound(size: u64) -> Vec<u8> {
    let mut payload = vec![0xaf, 1];
    payload.resize((size as usize).max(AUDIO_AT + STAMP), 0x21);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_film_has_its_bitrate_and_every_message_its_stamp() {
        for bitrate in [1_000_000, 6_000_000] {
            let film = Film::new(bitrate).expect("a film");
            let stamp = Stamp { sent: u64::MAX - 7, stream: 3, number: 9, of_kind: 4 };
            let mut bytes = 0;
            for shot in shots().take_while(|shot| shot.time < Duration::from_secs(10)) {
                let payload = film.payload(shot, stamp);
                assert_eq!(Stamp::read(&payload), Some(stamp), "{shot:?}");
                assert_eq!(classify(shot.kind, &payload).key, shot.key, "{shot:?}");
                bytes += payload.len() as u64;
            }
            let measured = bytes * 8 / 10;
            assert!(measured.abs_diff(bitrate) < bitrate / 50, "{measured} instead of {bitrate}");
        }
    }

    #[test]
    fn shots_come_in_the_order_of_their_times_and_are_numbered_by_kind() {
        let first: Vec<Shot> = shots().take_while(|shot| shot.time < Duration::from_secs(2)).collect();
        assert!(first.is_sorted_by_key(|shot| shot.time));
        let of = |kind| first.iter().filter(move |shot| shot.kind == kind).map(|shot| shot.of_kind);
        assert!(of(Kind::Video).eq(0..60) && of(Kind::Audio).eq(0..87));
        assert_eq!(first.iter().filter(|shot| shot.key).count(), 1);
    }
}
