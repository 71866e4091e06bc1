//! An FLV tag body, which is also an RTMP message payload: a look at its first bytes says what it is, and nothing more.
//!
//! Sources: FLV E.4 (Adobe Flash Video File Format 10.1) for the legacy forms, Enhanced RTMP v2 for FourCCs, multitrack
//! and ModEx.

use std::fmt;

pub mod codec;
mod enhanced;
pub mod file;
pub mod format;
pub mod tracks;

pub use codec::Codec;
pub use tracks::Tracks;

use enhanced::{Packets, Rest};

/// Audio, video or data: which of the three parallel series a payload belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Metadata, cue points, text: AMF0.
    Data,
}

/// What a payload does for whoever receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// What a decoder needs before the first frame: a sequence header, or onMetaData.
    Header,
    /// What it needs beside the header: colour information, channel layout (E-RTMP Metadata, MultichannelConfig).
    Config,
    /// Coded media, or data that is not onMetaData.
    Frame,
    /// The end of the sequence. The header stays valid.
    End,
    /// A command to the player's seeking (frame type 5): passed on, never kept.
    Command,
    /// Nothing inside: no bytes at all (for audio, E-RTMP: silence), or a header without content. Must not replace a
    /// header that has some.
    Empty,
    /// Cut short, or newer than this code: passed on, never kept.
    Unknown,
}

/// What the first bytes of a payload say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// What it does.
    pub role: Role,
    /// The tracks it is for; of a header, those it has content for. 0 is the default track.
    pub tracks: Tracks,
    /// The codec of the default track, or else of the first one.
    pub codec: Codec,
    /// Decoding may start here: a key frame of the default video track.
    pub key: bool,
}

/// What a payload asks of its receiver beyond the legacy forms: what E-RTMP peers announce when they connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// A codec by its FourCC.
    Codec(Kind, Codec),
    /// Several tracks of a kind.
    Multitrack,
    /// ModEx blocks.
    ModEx,
}

/// Says what a payload is, whatever its bytes.
pub fn classify(kind: Kind, payload: &[u8]) -> Tag {
    if payload.is_empty() {
        return Tag::of(Role::Empty);
    }
    let tag = match kind {
        Kind::Audio => audio(payload).and_then(|packets| tag(audio_role(packets.packet_type)?, packets)),
        Kind::Video => video(payload).and_then(video_tag),
        Kind::Data => Some(data(payload)),
    };
    tag.unwrap_or(Tag::of(Role::Unknown))
}

/// What a payload asks for; nothing in the legacy forms. Repeats what several tracks ask for.
pub fn needs(kind: Kind, payload: &[u8]) -> impl Iterator<Item = Need> {
    let packets = match kind {
        Kind::Audio => audio(payload),
        Kind::Video => video(payload).and_then(|video| video.packets),
        Kind::Data => None,
    };
    let packets = packets.filter(|packets| packets.enhanced);
    let multitrack = packets.filter(|packets| packets.multitrack).map(|_| Need::Multitrack);
    let mod_ex = packets.filter(|packets| packets.mod_ex).map(|_| Need::ModEx);
    let codecs = packets.into_iter().flatten().map(move |packet| Need::Codec(kind, packet.codec));
    codecs.chain(multitrack).chain(mod_ex)
}

/// Of an onMetaData payload, the bytes from the string `"onMetaData"` on, without the `"@setDataFrame"` that publishers
/// put before it.
pub fn metadata(payload: &[u8]) -> Option<&[u8]> {
    let payload = payload.strip_prefix(SET_DATA_FRAME).unwrap_or(payload);
    payload.starts_with(ON_META_DATA).then_some(payload)
}

impl Kind {
    /// All three, in order.
    pub const ALL: [Kind; 3] = [Kind::Audio, Kind::Video, Kind::Data];

    /// The tag type in a file (FLV E.4.1), which is the message type id on the wire (RTMP §7.1).
    pub fn tag_type(self) -> u8 {
        match self {
            Kind::Audio => 8,
            Kind::Video => 9,
            Kind::Data => 18,
        }
    }

    /// The kind of a tag type or message type id, if it is one of the three.
    pub fn from_tag_type(tag_type: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.tag_type() == tag_type)
    }
}

/// `"@setDataFrame"` as an AMF0 string.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

/// `"onMetaData"` as an AMF0 string.
const ON_META_DATA: &[u8] = b"\x02\x00\x0aonMetaData";

/// Frame types (FLV E.4.3.1, E-RTMP "Enhanced Video").
mod frame_type {
    pub(super) const KEY: u8 = 1;
    pub(super) const GENERATED_KEY: u8 = 4;
    pub(super) const COMMAND: u8 = 5;
}

/// Packet types (E-RTMP "Enhanced Video", "Enhanced Audio"); the first three are also those of legacy AVC and AAC.
mod packet_type {
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CODED_FRAMES: u8 = 1;
    pub(super) const SEQUENCE_END: u8 = 2;
    pub(super) const VIDEO_CODED_FRAMES_X: u8 = 3;
    pub(super) const VIDEO_METADATA: u8 = 4;
    pub(super) const VIDEO_MPEG2TS_SEQUENCE_START: u8 = 5;
    pub(super) const VIDEO_MULTITRACK: u8 = 6;
    pub(super) const AUDIO_MULTICHANNEL_CONFIG: u8 = 4;
    pub(super) const AUDIO_MULTITRACK: u8 = 5;
}

/// A video payload: its frame type, and its parts unless it is a command.
struct Video<'a> {
    frame_type: u8,
    packets: Option<Packets<'a>>,
}

fn data(payload: &[u8]) -> Tag {
    match metadata(payload) {
        Some(metadata) if metadata.len() > ON_META_DATA.len() => Tag::of(Role::Header),
        Some(_) => Tag::of(Role::Empty),
        None => Tag::of(Role::Frame),
    }
}

fn audio(payload: &[u8]) -> Option<Packets<'_>> {
    let (&first, rest) = payload.split_first()?;
    match first >> 4 {
        9 => Rest::read(first & 0x0f, rest)?.packets(packet_type::AUDIO_MULTITRACK),
        sound_format => legacy_audio(sound_format, rest),
    }
}

fn video(payload: &[u8]) -> Option<Video<'_>> {
    let (&first, rest) = payload.split_first()?;
    let frame_type = first >> 4 & 0x07;
    let command = frame_type == frame_type::COMMAND;
    if first & 0x80 == 0 {
        let packets = if command { None } else { Some(legacy_video(first & 0x0f, rest)?) };
        return Some(Video { frame_type, packets });
    }
    let rest = Rest::read(first & 0x0f, rest)?;
    // On Metadata the frame type is to be ignored, and ffmpeg 9 writes 5 there.
    let command = command && rest.packet_type != packet_type::VIDEO_METADATA;
    let packets = if command { None } else { Some(rest.packets(packet_type::VIDEO_MULTITRACK)?) };
    Some(Video { frame_type, packets })
}

/// FLV E.4.2. Only AAC has packet types.
fn legacy_audio(sound_format: u8, rest: &[u8]) -> Option<Packets<'_>> {
    match sound_format {
        10 => {
            let (&packet_type, body) = rest.split_first()?;
            let known = packet_type <= packet_type::CODED_FRAMES;
            known.then_some(Packets::legacy(packet_type, Codec::Aac, body))
        }
        2 | 14 => Some(Packets::legacy(packet_type::CODED_FRAMES, Codec::Mp3, rest)),
        id => Some(Packets::legacy(packet_type::CODED_FRAMES, Codec::Legacy(id), rest)),
    }
}

/// FLV E.4.3. Codec id 12 is HEVC in the shape of AVC, from encoders older than E-RTMP.
fn legacy_video(codec_id: u8, rest: &[u8]) -> Option<Packets<'_>> {
    match codec_id {
        7 => avc(Codec::Avc, rest),
        12 => avc(Codec::Hevc, rest),
        id => Some(Packets::legacy(packet_type::CODED_FRAMES, Codec::Legacy(id), rest)),
    }
}

fn avc(codec: Codec, rest: &[u8]) -> Option<Packets<'_>> {
    let (&[packet_type, _composition_time @ ..], body) = rest.split_first_chunk::<4>()?;
    let known = packet_type <= packet_type::SEQUENCE_END;
    known.then_some(Packets::legacy(packet_type, codec, body))
}

fn audio_role(packet_type: u8) -> Option<Role> {
    match packet_type {
        packet_type::SEQUENCE_START => Some(Role::Header),
        packet_type::CODED_FRAMES => Some(Role::Frame),
        packet_type::SEQUENCE_END => Some(Role::End),
        packet_type::AUDIO_MULTICHANNEL_CONFIG => Some(Role::Config),
        _ => None,
    }
}

fn video_role(packet_type: u8) -> Option<Role> {
    match packet_type {
        packet_type::SEQUENCE_START | packet_type::VIDEO_MPEG2TS_SEQUENCE_START => Some(Role::Header),
        packet_type::CODED_FRAMES | packet_type::VIDEO_CODED_FRAMES_X => Some(Role::Frame),
        packet_type::SEQUENCE_END => Some(Role::End),
        packet_type::VIDEO_METADATA => Some(Role::Config),
        _ => None,
    }
}

fn video_tag(video: Video<'_>) -> Option<Tag> {
    let Some(mut packets) = video.packets else { return Some(Tag::of(Role::Command)) };
    let tag = tag(video_role(packets.packet_type)?, packets)?;
    // Headers carry a frame type too, mostly 1; it means nothing.
    let key = tag.role == Role::Frame
        && matches!(video.frame_type, frame_type::KEY | frame_type::GENERATED_KEY)
        && packets.any(|packet| packet.track == 0 && !packet.body.is_empty());
    Some(Tag { key, ..tag })
}

/// The tag of parts that are all `role`; none if there are no parts.
fn tag(role: Role, packets: Packets<'_>) -> Option<Tag> {
    let mut named = packets;
    let named = named.find(|packet| packet.track == 0).or_else(|| packets.clone().next())?;
    let all: Tracks = packets.map(|packet| packet.track).collect();
    let full: Tracks = packets.filter(|packet| !packet.body.is_empty()).map(|packet| packet.track).collect();
    let (role, tracks) = match role {
        Role::Header if full.is_empty() => (Role::Empty, all),
        Role::Header => (role, full),
        _ => (role, all),
    };
    Some(Tag { role, tracks, codec: named.codec, key: false })
}

impl Tag {
    fn of(role: Role) -> Tag {
        Tag { role, tracks: Tracks::default(), codec: Codec::None, key: false }
    }
}

/// In words: `HEVC`, `multitrack`.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Codec(_, codec) => fmt::Display::fmt(codec, f),
            Need::Multitrack => f.write_str("multitrack"),
            Need::ModEx => f.write_str("ModEx"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use Kind::{Audio, Data, Video};
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
    }

    /// A tag in words: role, codec, tracks if there are others than 0, and "key".
    fn say(kind: Kind, payload: &[u8]) -> String {
        let Tag { role, tracks, codec, key } = classify(kind, payload);
        let mut line = format!("{role:?}");
        if codec != Codec::None {
            line += &format!(" {codec}");
        }
        if !tracks.without(Tracks::of(0)).is_empty() {
            line += &format!(" tracks {tracks:?}");
        }
        if key {
            line += " key";
        }
        line
    }

    fn assert_says(tags: &[(Kind, &str, &str)]) {
        for &(kind, payload, line) in tags {
            assert_eq!(say(kind, &hex(payload)), line, "{kind:?} {payload}");
        }
    }

    /// Captured (fixtures §3.10).
    const ZOO: &[(Kind, &str, &str)] = &[
        // ffmpeg 9.0.2, H.264 + AAC
        (Video, "17000000000164000cffe1001a6764000cacd941419f9f01", "Header H.264"),
        (Audio, "af00118856e500", "Header AAC"),
        (Video, "17010000500000029d0605ffff99dc45e9bde6d948b7962c", "Frame H.264 key"),
        (Video, "27010000a000000603419a231888ffba7f83d2faeee80189", "Frame H.264"),
        (Audio, "af01dc004c61766336332e312e313032000268aa59ea104d", "Frame AAC"),
        (Video, "1702000000", "End H.264"),
        // ffmpeg 9.0.2, HEVC + Opus
        (Video, "90687663310101600000009000000000003cf000fcfdf8f8", "Header HEVC"),
        (Audio, "904f7075734f707573486561640101380180bb0000000000", "Header Opus"),
        (Audio, "944f707573010100000004", "Config Opus"),
        (Video, "d468766331020009636f6c6f72496e666f03000b636f6c6f72436f6e66696703000009000009", "Config HEVC"),
        (Video, "91687663310000500000106e2801ac74c2ea93e64e69611d", "Frame HEVC key"),
        (Video, "a1687663310000a0000006df0201d0195e20e185480b2106", "Frame HEVC"),
        (Audio, "914f707573f87249472710e4c85b78278b87174141dd28b1", "Frame Opus"),
        (Video, "a368766331000001be0001e024ffe89029308c22e0432818", "Frame HEVC"),
        // ffmpeg 9.0.2, AV1 + FLAC
        (Video, "906176303181000c000a0e0200000521e7f66017c0810104", "Header AV1"),
        (Audio, "90664c6143040004000000000008150bb800f00000000000", "Header FLAC"),
        (Audio, "94664c6143010100000004", "Config FLAC"),
        (Video, "d461763031020009636f6c6f72496e666f03000b636f6c6f", "Config AV1"),
        (Video, "916176303112000a0e0200000521e7f66257c88101048232", "Frame AV1 key"),
        (Audio, "91664c6143fff8aa0800ed4c000000eb01d602c003a7048a", "Frame FLAC"),
        (Audio, "91664c6143", "Frame FLAC"),
        (Video, "a161763031120032f22f281000400000391101020810409f", "Frame AV1"),
        // ffmpeg 9.0.2, two H.264 + two AAC tracks
        (Video, "960061766331010142c00bffe100186742c00bda0a37e4c0", "Header H.264 tracks [1]"),
        (Audio, "95006d70346101118856e500", "Header AAC tracks [1]"),
        (Audio, "95046d70346101010100000004", "Config AAC tracks [1]"),
        (Audio, "95016d70346101dc004c61766336332e312e313032000268", "Frame AAC tracks [1]"),
        (Video, "96036176633101000002440605ffff40dc45e9bde6d948b7", "Frame H.264 tracks [1]"),
        (Video, "a6036176633101000002f4419a208bc3d27be5ce3fe36703", "Frame H.264 tracks [1]"),
        // OBS 29.0.2, x264 + AAC
        (Audio, "af00119056e500", "Header AAC"),
        (Audio, "af01211004608c1c", "Frame AAC"),
        (Video, "270100000000000007419a20368078c0", "Frame H.264"),
    ];

    /// From the specifications.
    const ZOO_ON_PAPER: &[(Kind, &str, &str)] = &[
        // Legacy video: key frame, generated key frame, disposable; HEVC as id 12; a packet type of no meaning.
        (Video, "12 0000", "Frame codec 2 key"),
        (Video, "44 00", "Frame codec 4 key"),
        (Video, "32 00", "Frame codec 2"),
        (Video, "1c 00 000000 01", "Header HEVC"),
        (Video, "1c 01 000000 00", "Frame HEVC key"),
        (Video, "27 00 000000 01", "Header H.264"),
        (Video, "17 03 000000 00", "Unknown"),
        (Video, "57 00", "Command"),
        (Video, "52 01", "Command"),
        // Legacy audio.
        (Audio, "2f fffb", "Frame MP3"),
        (Audio, "e2 fffb", "Frame MP3"),
        (Audio, "b6 00", "Frame codec 11"),
        (Audio, "af 02 00", "Unknown"),
        // Enhanced video.
        (Video, "91 76703039 82", "Frame VP9 key"),
        (Video, "91 76703038 82", "Frame VP8 key"),
        (Video, "c3 76766331 00", "Frame VVC key"),
        (Video, "a0 68766331 01", "Header HEVC"),
        (Video, "95 61763031 80", "Header AV1"),
        (Video, "92 68766331", "End HEVC"),
        (Video, "d1 01", "Command"),
        (Video, "91 71757578 00", "Frame quux key"),
        (Video, "98 68766331 00", "Unknown"),
        // Enhanced audio; 3 is no CodedFramesX there.
        (Audio, "91 2e6d7033 fffb", "Frame MP3"),
        (Audio, "91 61632d33 0b77", "Frame AC-3"),
        (Audio, "91 65632d33 0b77", "Frame E-AC-3"),
        (Audio, "92 4f707573", "End Opus"),
        (Audio, "93 4f707573 00", "Unknown"),
        // Multitrack: OneTrack; ManyTracks with the default track first, second, missing; ManyTracksManyCodecs; nested;
        // reserved.
        (Video, "96 03 61766331 00 11", "Frame H.264 key"),
        (Video, "96 13 61766331 00000005 1111111111 01000003 222222", "Frame H.264 tracks [0, 1] key"),
        (Video, "96 13 61766331 01000003 222222 00000005 1111111111", "Frame H.264 tracks [0, 1] key"),
        (Video, "96 13 61766331 02000003 222222 01000001 11", "Frame H.264 tracks [1, 2]"),
        (Video, "96 21 61763031 00000002 1200 68766331 01000006 000000bbbbbb", "Frame AV1 tracks [0, 1] key"),
        (Video, "96 21 68766331 01000006 000000bbbbbb 61763031 00000002 1200", "Frame AV1 tracks [0, 1] key"),
        (Audio, "95 11 6d703461 01000001 aa 00000001 bb", "Frame AAC tracks [0, 1]"),
        (Video, "96 06 61766331 00 11", "Unknown"),
        (Audio, "95 05 6d703461 00 11", "Unknown"),
        (Video, "96 31 61766331 00 11", "Unknown"),
        // ModEx: +500 000 ns; twice, of unknown type; before a command; before Multitrack.
        (Video, "97 02 07a120 03 68766331 00", "Frame HEVC key"),
        (Audio, "97 02 07a120 01 4f707573 00", "Frame Opus"),
        (Video, "97 02 07a120 07 00 ff 13 68766331 00", "Frame HEVC key"),
        (Video, "d7 02 07a120 01 00", "Command"),
        (Video, "97 02 07a120 06 00 61766331 01 01", "Header H.264 tracks [1]"),
        // Data.
        (Data, "02000a6f6e4d65746144617461 03 000009", "Header"),
        (Data, "02000d40736574446174614672616d65 02000a6f6e4d65746144617461 08 00000000 000009", "Header"),
        (Data, "02000a6f6e4375655d6f696e74 05", "Frame"),
        (Data, "02000d40736574446174614672616d65 02000a6f6e54657874446174 61 05", "Frame"),
        (Data, "11", "Frame"),
    ];

    #[test]
    fn what_encoders_send_is_recognised() {
        assert_says(ZOO);
    }

    #[test]
    fn what_the_specifications_allow_is_recognised() {
        assert_says(ZOO_ON_PAPER);
    }

    #[test]
    fn interop_69_a_header_without_content_is_empty() {
        assert_says(&[
            // Before the real one, from ffmpeg ([R harlanc/xiu#110]).
            (Audio, "af 00", "Empty AAC"),
            (Video, "17 00 000000", "Empty H.264"),
            (Video, "90 68766331", "Empty HEVC"),
            (Audio, "90 4f707573", "Empty Opus"),
            (Video, "96 00 61766331 01", "Empty H.264 tracks [1]"),
            (Data, "02000a6f6e4d65746144617461", "Empty"),
            (Audio, "", "Empty"),
            (Video, "", "Empty"),
            (Data, "", "Empty"),
        ]);
    }

    #[test]
    fn interop_69_short_payloads_of_every_kind_start_nothing() {
        for kind in Kind::ALL {
            for first in 0..=u8::MAX {
                for second in 0..=u8::MAX {
                    for len in 0..=2 {
                        let tag = classify(kind, &[first, second][..len]);
                        assert_ne!(tag.role, Role::Header, "{kind:?} {first:02x} {second:02x}");
                        assert!(!tag.key || tag.codec != Codec::Avc);
                    }
                }
            }
        }
    }

    #[test]
    fn a_key_frame_without_content_starts_nothing() {
        assert_says(&[
            (Video, "17 01 000000", "Frame H.264"),
            (Video, "91 61763031", "Frame AV1"),
            (Video, "96 13 61766331 00 000000", "Frame H.264"),
        ]);
    }

    #[test]
    fn a_mod_ex_block_of_more_than_255_bytes_has_a_longer_size() {
        let block = |size: &str, len: usize| [hex(size), vec![0; len], hex("01 68766331 00")].concat();
        for (size, len) in [("97 fe", 255), ("97 ff 00ff", 256), ("97 ff ffff", 65_536)] {
            assert_eq!(say(Video, &block(size, len)), "Frame HEVC key");
            assert_eq!(say(Video, &block(size, len)[..len]), "Unknown");
        }
    }

    #[test]
    fn cut_headers_are_unknown_at_every_length() {
        for (kind, payload, whole) in [
            (Video, "17 01 000050", 5),
            (Audio, "af 01", 2),
            (Video, "91 68766331", 5),
            (Audio, "91 4f707573", 5),
            (Video, "96 03 61766331 01", 7),
            (Video, "96 13 61766331 01 000003 222222", 13),
            (Video, "96 21 68766331 01 000006 000000bbbbbb", 16),
            (Video, "97 02 07a120 03 68766331", 10),
        ] {
            let payload = hex(payload);
            assert_eq!(payload.len(), whole);
            for len in 1..whole {
                assert_eq!(say(kind, &payload[..len]), "Unknown", "{payload:02x?} cut after {len}");
            }
            assert!(say(kind, &payload).starts_with("Frame"));
        }
    }

    #[test]
    fn interop_80_a_cut_payload_is_never_taken_for_something_else() {
        for &(kind, payload, _) in ZOO.iter().chain(ZOO_ON_PAPER) {
            let payload = hex(payload);
            let whole = classify(kind, &payload);
            for len in 0..payload.len() {
                let cut = classify(kind, &payload[..len]);
                let nothing = if kind == Data { Role::Frame } else { Role::Unknown };
                let known = [whole.role, Role::Empty, nothing];
                assert!(known.contains(&cut.role), "{kind:?} {payload:02x?} cut after {len}: {cut:?}");
                assert!(!cut.key || whole.key);
            }
        }
    }

    #[test]
    fn metadata_begins_at_its_name() {
        let bare = hex("02000a6f6e4d65746144617461 05");
        let set = [SET_DATA_FRAME, &bare].concat();
        assert_eq!(metadata(&bare), Some(&bare[..]));
        assert_eq!(metadata(&set), Some(&bare[..]));
        assert_eq!(metadata(SET_DATA_FRAME), None);
        assert_eq!(metadata(&bare[..12]), None);
        assert_eq!(metadata(&[SET_DATA_FRAME, &set].concat()), None);
    }

    #[test]
    fn tag_types_are_8_9_and_18() {
        assert_eq!(Kind::ALL.map(Kind::tag_type), [8, 9, 18]);
        assert_eq!(Kind::ALL.map(|kind| Kind::from_tag_type(kind.tag_type())), Kind::ALL.map(Some));
        assert_eq!(Kind::from_tag_type(15), None);
    }

    #[test]
    fn a_header_is_for_the_tracks_it_has_content_for() {
        assert_says(&[
            (Video, "96 10 61766331 00000002 0142 01000001 01", "Header H.264 tracks [0, 1]"),
            (Video, "96 10 61766331 00000000 02000001 01", "Header H.264 tracks [2]"),
            (Audio, "95 20 4f707573 01000001 4f 6d703461 02000002 1190", "Header Opus tracks [1, 2]"),
            (Video, "96 10 61766331 00000000 01000000", "Empty H.264 tracks [0, 1]"),
            (Video, "96 12 61766331 00000000 01000000", "End H.264 tracks [0, 1]"),
        ]);
    }

    #[test]
    fn the_enhanced_forms_need_to_be_announced_and_the_legacy_ones_nothing() {
        for (kind, payload, expected) in [
            (Video, "17 01 000000 65", ""),
            (Video, "1c 01 000000 65", ""),
            (Audio, "af 01 21", ""),
            (Data, "02000a6f6e4d65746144617461 03 000009", ""),
            (Video, "91 68766331 000000 26", "HEVC"),
            (Audio, "91 6d703461 21", "AAC"),
            (Video, "d1 01", ""),
            (Video, "96 03 61766331 01 65", "H.264 multitrack"),
            (Video, "96 21 61763031 00000002 1200 68766331 01000006 000000bbbbbb", "AV1 HEVC multitrack"),
            (Video, "97 02 07a120 03 68766331 00", "HEVC ModEx"),
            (Video, "91 6876", ""),
        ] {
            let said: Vec<_> = needs(kind, &hex(payload)).map(|need| need.to_string()).collect();
            assert_eq!(said.join(" "), expected, "{payload}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_only_frames_of_the_default_video_track_are_key(
            (kind, payload, _) in prop::sample::select([ZOO, ZOO_ON_PAPER].concat()),
            damage in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..4),
            len in any::<prop::sample::Index>(),
        ) {
            let mut payload = hex(payload);
            for (at, byte) in damage {
                *at.get_mut(&mut payload) = byte;
            }
            payload.truncate(len.index(payload.len() + 1));
            prop_assert!(needs(kind, &payload).count() <= 2 + payload.len());
            let tag = classify(kind, &payload);
            prop_assert!(!tag.key || (kind, tag.role, tag.tracks.contains(0)) == (Video, Role::Frame, true));
            prop_assert!(!payload.is_empty() || tag.role == Role::Empty);
        }
    }
}
