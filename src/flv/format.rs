//! A format: what headers and metadata say of the picture and the sound, as far as people ask about it. Nothing is decoded, and
//! nothing that is relayed depends on it.

use std::fmt;

use h264_reader::avcc::AvcDecoderConfigurationRecord;
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::nal::{Nal, RefNal};
use serde::Deserialize;

use super::enhanced::{Packet, Packets};
use super::{Codec, audio, metadata, packet_type, video};
use crate::rtmp::amf0::Amf0;

/// A picture, before it is decoded. What is not known is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Picture {
    /// Width and height.
    pub size: Option<Size>,
    /// The profile of H.264 (A.2) or HEVC (A.3).
    pub profile: Option<&'static str>,
    /// The level of H.264 or HEVC.
    pub level: Option<Level>,
}

/// Sound, before it is decoded. What is not known is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sound {
    /// Samples a second of each channel.
    pub sample_rate: Option<u32>,
    /// How many channels.
    pub channels: Option<u8>,
}

/// Width and height: `1920x1080`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Size {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

/// A level of H.264 or HEVC, ten times what is said: 42 is 4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Level(pub u8);

/// Of a sequence header, what it says of the default track's picture.
pub fn picture(payload: &[u8]) -> Picture {
    match video(payload).and_then(|video| video.packets).and_then(header) {
        Some(packet) if packet.codec == Codec::Avc => avc(packet.body),
        Some(packet) if packet.codec == Codec::Hevc => hevc(packet.body),
        _ => Picture::default(),
    }
}

/// Of a sequence header, what it says of the default track's sound.
pub fn sound(payload: &[u8]) -> Sound {
    match audio(payload).and_then(header) {
        Some(packet) if packet.codec == Codec::Aac => aac(packet.body),
        Some(packet) if packet.codec == Codec::Opus => opus(packet.body),
        _ => Sound::default(),
    }
}

/// The default track's part of a sequence header.
fn header(mut packets: Packets<'_>) -> Option<Packet<'_>> {
    let is_header = packets.packet_type == packet_type::SEQUENCE_START;
    packets.find(|packet| packet.track == 0).filter(|_| is_header)
}

/// What `onMetaData` says of the size, which is what encoders say of themselves.
pub fn size_in_metadata(payload: &[u8]) -> Option<Size> {
    let values = Amf0::read_all(metadata(payload)?).ok()?;
    let number = |key: &str| {
        let value = values.iter().find_map(|value| value.get(key)?.as_f64())?;
        (1.0..65_536.0).contains(&value).then_some(value as u32)
    };
    Some(Size { width: number("width")?, height: number("height")? })
}

/// How much later than it is decoded a frame of the default track is shown, in milliseconds (FLV E.4.3.1, E-RTMP "Enhanced
/// Video"); none if that is not said, as in AV1.
pub fn composition_time(payload: &[u8]) -> Option<i32> {
    let packets = video(payload)?.packets?;
    let (enhanced, coded_frames) = (packets.enhanced, packets.packet_type == packet_type::CODED_FRAMES);
    let packet = packets.into_iter().find(|packet| packet.track == 0)?;
    let bytes = match packet.codec {
        Codec::Avc | Codec::Hevc if !enhanced => payload.get(2..5)?,
        Codec::Avc | Codec::Hevc | Codec::Vvc if coded_frames => packet.body.get(..3)?,
        // CodedFramesX: there is none.
        Codec::Avc | Codec::Hevc | Codec::Vvc => return Some(0),
        _ => return None,
    };
    let [a, b, c] = *bytes.first_chunk()?;
    Some(i32::from_be_bytes([a, b, c, 0]) >> 8)
}

/// An AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).
fn avc(record: &[u8]) -> Picture {
    let &[1, profile, _, level, ..] = record else { return Picture::default() };
    let profile = match profile {
        66 => Some("Baseline"),
        77 => Some("Main"),
        88 => Some("Extended"),
        100 => Some("High"),
        110 => Some("High 10"),
        122 => Some("High 4:2:2"),
        244 => Some("High 4:4:4"),
        _ => None,
    };
    Picture { size: avc_size(record), profile, level: Some(Level(level)) }
}

fn avc_size(record: &[u8]) -> Option<Size> {
    let record = AvcDecoderConfigurationRecord::try_from(record).ok()?;
    let nal = record.sequence_parameter_sets().next()?.ok().filter(|nal| !nal.is_empty())?;
    let sps = SeqParameterSet::from_bits(RefNal::new(nal, &[], true).rbsp_bits()).ok()?;
    // A picture is at most 139264 macroblocks (H.264 A.3.1): more is a lie, and sums of it would not fit.
    let sides = [sps.pic_width_in_mbs_minus1, sps.pic_height_in_map_units_minus1];
    if sides.iter().any(|side| *side > 139_264) {
        return None;
    }
    let (width, height) = sps.pixel_dimensions().ok()?;
    Some(Size { width, height })
}

/// An HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.2.1). Its size is in its parameter sets only; metadata has it too.
fn hevc(record: &[u8]) -> Picture {
    let Some(&[1, profile, _, _, _, _, _, _, _, _, _, _, level]) = record.first_chunk::<13>() else {
        return Picture::default();
    };
    let profile = match profile & 0x1f {
        1 => Some("Main"),
        2 => Some("Main 10"),
        3 => Some("Main Still Picture"),
        4 => Some("Range Extensions"),
        _ => None,
    };
    // It has thirty times what is said (A.4).
    Picture { size: None, profile, level: Some(Level(level / 3)) }
}

/// An AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1). An object type of more than five bits is left alone.
fn aac(config: &[u8]) -> Sound {
    const RATES: [u32; 13] =
        [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
    const CHANNELS: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 8];
    let Some(&[first, second]) = config.first_chunk::<2>() else { return Sound::default() };
    let bits = u16::from_be_bytes([first, second]);
    let (object, rate, channels) = (bits >> 11, usize::from(bits >> 7 & 0xf), usize::from(bits >> 3 & 0xf));
    if object == 31 {
        return Sound::default();
    }
    let channels = CHANNELS.get(channels).copied().filter(|channels| *channels > 0 && rate < RATES.len());
    Sound { sample_rate: RATES.get(rate).copied(), channels }
}

/// An identification header (RFC 7845 §5.1). The rate is the one before encoding.
fn opus(head: &[u8]) -> Sound {
    let Some(&[channels, _, _, a, b, c, d]) = head.strip_prefix(b"OpusHead\x01").and_then(<[u8]>::first_chunk::<7>)
    else {
        return Sound::default();
    };
    Sound { sample_rate: Some(u32::from_le_bytes([a, b, c, d])), channels: Some(channels) }
}

impl TryFrom<String> for Level {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (whole, tenth) = text.split_once('.').ok_or("a level looks like 4.2")?;
        let digits = whole.parse::<u8>().ok().zip(tenth.parse::<u8>().ok()).filter(|(w, t)| *w < 10 && *t < 10);
        digits.map(|(whole, tenth)| Level(10 * whole + tenth)).ok_or("a level looks like 4.2")
    }
}

impl TryFrom<String> for Size {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (width, height) = text.split_once('x').ok_or("a size looks like 1920x1080")?;
        let sides = width.parse().ok().zip(height.parse().ok());
        sides.map(|(width, height)| Size { width, height }).ok_or("a size looks like 1920x1080")
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::hex;
    use super::*;

    /// Captured: the records of OBS 29 and ffmpeg 5.1.
    const OBS: &str = "0142c01effe1001b6742c01eda0280bfe5c05a808080a0000003002000000791e2c5d401000468ce3c80";
    const FFMPEG: &str = "0142c01effe100196742c01eda0280bfe5c044000003000400000300f23c58ba8001000468ce3c80";

    #[test]
    fn headers_tell_size_profile_and_level() {
        for header in [format!("1700000000{OBS}"), format!("9061766331{OBS}"), format!("1700000000{FFMPEG}")] {
            let Picture { size, profile, level } = picture(&hex(&header));
            let size = size.expect("a size");
            assert_eq!((size.to_string(), profile, level), ("640x360".to_owned(), Some("Baseline"), Some(Level(30))));
        }
        assert_eq!(picture(&hex(&format!("1701000000{OBS}"))), Picture::default(), "a frame is no header");
        let hevc = picture(&hex("906876633101016000000090000000000 03cf000fcfdf8f8"));
        assert_eq!((hevc.size, hevc.profile, hevc.level), (None, Some("Main"), Some(Level(20))));
        assert_eq!(picture(&hex("906176303181000c000a0e02")), Picture::default());
    }

    #[test]
    fn headers_tell_the_sample_rate_and_the_channels() {
        for (header, rate, channels) in [
            ("af001190", 48_000, 2),
            ("af00118856e500", 48_000, 1),
            ("af001210", 44_100, 2),
            ("90 6d703461 11b0", 48_000, 6),
            ("90 4f707573 4f70757348656164 01 01 3801 80bb0000 000000", 48_000, 1),
        ] {
            let known = Sound { sample_rate: Some(rate), channels: Some(channels) };
            assert_eq!(sound(&hex(header)), known, "{header}");
        }
    }

    #[test]
    fn metadata_tells_the_size_if_it_makes_sense() {
        let of = |width: f64, height: f64| {
            let properties = [("width", Amf0::Number(width)), ("height", Amf0::Number(height))];
            let mut payload = Vec::new();
            Amf0::String("onMetaData".to_owned()).write(&mut payload);
            Amf0::object(properties).write(&mut payload);
            size_in_metadata(&payload)
        };
        assert_eq!(of(1280.0, 720.0), Some(Size { width: 1280, height: 720 }));
        for (width, height) in [(0.0, 720.0), (f64::NAN, 720.0), (1280.0, -1.0), (1280.0, f64::INFINITY)] {
            assert_eq!(of(width, height), None, "{width} {height}");
        }
    }

    #[test]
    fn composition_times_are_read_with_their_sign() {
        for (payload, time) in [
            ("1701 000050 0000", Some(80)),
            ("2701 ffffde 0000", Some(-34)),
            ("a1 68766331 0000a0 00", Some(160)),
            ("a3 68766331 000001", Some(0)),
            ("a1 61763031 120032", None),
            ("2701 ff", None),
        ] {
            assert_eq!(composition_time(&hex(payload)), time, "{payload}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_nothing_panics(
            header in prop::sample::select(vec![OBS, FFMPEG]),
            damage in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..24),
            len in any::<prop::sample::Index>(),
        ) {
            let mut payload = hex(&format!("1700000000{header}"));
            for (at, byte) in damage {
                *at.get_mut(&mut payload[5..]) = byte;
            }
            payload.truncate(len.index(payload.len() + 1));
            picture(&payload);
            sound(&payload);
            composition_time(&payload);
            size_in_metadata(&payload);
        }

        #[test]
        fn whatever_a_parameter_set_says_nothing_panics(sps in prop::collection::vec(any::<u8>(), 0..80)) {
            let record = [&[1, 100, 0, 31, 0xff, 0xe1, 0, sps.len() as u8][..], &sps, &[0]].concat();
            avc(&record);
            let named = [&[1, 100, 0, 31, 0xff, 0xe1, 0, sps.len() as u8 + 1, 0x67][..], &sps, &[0]].concat();
            avc(&named);
        }
    }
}
