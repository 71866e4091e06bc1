//! A codec, whichever of its names the publisher used: a number in the legacy forms, a FourCC in the enhanced ones.

use std::fmt;

/// A codec, whichever way it was signalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264: legacy id 7 or `avc1`.
    Avc,
    /// H.265: `hvc1`, or the unofficial legacy id 12.
    Hevc,
    /// H.266: `vvc1`.
    Vvc,
    /// `vp08`.
    Vp8,
    /// `vp09`.
    Vp9,
    /// `av01`.
    Av1,
    /// Legacy format 10 or `mp4a`.
    Aac,
    /// Legacy formats 2 and 14 or `.mp3`.
    Mp3,
    /// `Opus`.
    Opus,
    /// `fLaC`.
    Flac,
    /// `ac-3`.
    Ac3,
    /// `ec-3`.
    Eac3,
    /// Another FourCC.
    FourCc([u8; 4]),
    /// Another legacy codec id (video) or sound format (audio).
    Legacy(u8),
    /// None, or none that could be read.
    None,
}

/// Every FourCC that E-RTMP v2 defines, video first.
pub const FOUR_CCS: [(&[u8; 4], Codec); 12] = [
    (b"avc1", Codec::Avc),
    (b"hvc1", Codec::Hevc),
    (b"vvc1", Codec::Vvc),
    (b"vp08", Codec::Vp8),
    (b"vp09", Codec::Vp9),
    (b"av01", Codec::Av1),
    (b"Opus", Codec::Opus),
    (b"fLaC", Codec::Flac),
    (b"mp4a", Codec::Aac),
    (b".mp3", Codec::Mp3),
    (b"ac-3", Codec::Ac3),
    (b"ec-3", Codec::Eac3),
];

impl Codec {
    /// The codec that a FourCC stands for.
    pub fn from_four_cc(four_cc: [u8; 4]) -> Codec {
        let known = FOUR_CCS.iter().find(|(name, _)| **name == four_cc);
        known.map_or(Codec::FourCc(four_cc), |(_, codec)| *codec)
    }
}

impl Codec {
    /// Whether a decoder cannot do without a sequence header (E-RTMP v2, FLV E.4).
    pub fn wants_header(self) -> bool {
        use Codec::{Aac, Av1, Avc, Flac, Hevc, Opus, Vvc};
        matches!(self, Avc | Hevc | Vvc | Av1 | Aac | Opus | Flac)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Codec::Avc => "H.264",
            Codec::Hevc => "HEVC",
            Codec::Vvc => "VVC",
            Codec::Vp8 => "VP8",
            Codec::Vp9 => "VP9",
            Codec::Av1 => "AV1",
            Codec::Aac => "AAC",
            Codec::Mp3 => "MP3",
            Codec::Opus => "Opus",
            Codec::Flac => "FLAC",
            Codec::Ac3 => "AC-3",
            Codec::Eac3 => "E-AC-3",
            Codec::FourCc(four_cc) => return write!(f, "{}", four_cc.escape_ascii()),
            Codec::Legacy(id) => return write!(f, "codec {id}"),
            Codec::None => "none",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codecs_print_without_control_characters() {
        assert_eq!(Codec::FourCc(*b"a\x1b\n\xff").to_string(), r"a\x1b\n\xff");
        assert_eq!(Codec::None.to_string(), "none");
    }
}
