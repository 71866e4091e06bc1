//! The enhanced forms of a payload: ModEx blocks, then FourCC and body, of one track or of several (E-RTMP v2).

use super::Codec;

/// The packet type of a ModEx block, in audio and video alike.
const MOD_EX: u8 = 7;

/// The parts of a payload, one for each track, and what stands before them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packets<'a> {
    /// What all of them are.
    pub(super) packet_type: u8,
    /// The codec has a FourCC.
    pub(super) enhanced: bool,
    /// There are ModEx blocks before it.
    pub(super) mod_ex: bool,
    /// Each names its track.
    pub(super) multitrack: bool,
    single: Option<Packet<'a>>,
    /// The codec they share, if they share one, and the tracks not looked at yet.
    many: Option<(Option<Codec>, &'a [u8])>,
}

/// One track's part of a payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) track: u8,
    pub(super) codec: Codec,
    pub(super) body: &'a [u8],
}

/// What follows the first byte, behind any ModEx blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest<'a> {
    pub(super) packet_type: u8,
    mod_ex: bool,
    bytes: &'a [u8],
}

impl<'a> Rest<'a> {
    /// Skips ModEx blocks (E-RTMP "ModEx"): size, data, then a type and the next packet type.
    pub(super) fn read(packet_type: u8, bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest { packet_type, mod_ex: packet_type == MOD_EX, bytes };
        while rest.packet_type == MOD_EX {
            let (&size, after) = rest.bytes.split_first()?;
            let (size, after) = match size {
                u8::MAX => {
                    let (&size, after) = after.split_first_chunk()?;
                    (usize::from(u16::from_be_bytes(size)) + 1, after)
                }
                size => (usize::from(size) + 1, after),
            };
            let (&types, after) = after.get(size..)?.split_first()?;
            (rest.packet_type, rest.bytes) = (types & 0x0f, after);
        }
        Some(rest)
    }

    /// FourCC and body, or a multitrack header and tracks (E-RTMP "Multitrack Streaming"), where that is what the packet type
    /// `multitrack` says.
    pub(super) fn packets(self, multitrack: u8) -> Option<Packets<'a>> {
        let Rest { packet_type, mod_ex, bytes } = self;
        let packets = Packets { packet_type, enhanced: true, mod_ex, multitrack: false, single: None, many: None };
        if packet_type != multitrack {
            let (codec, body) = split_codec(bytes)?;
            return Some(Packets { single: Some(Packet { track: 0, codec, body }), ..packets });
        }
        let (&types, bytes) = bytes.split_first()?;
        let packets = Packets { packet_type: types & 0x0f, multitrack: true, ..packets };
        match types >> 4 {
            0 => {
                let (codec, bytes) = split_codec(bytes)?;
                let (&track, body) = bytes.split_first()?;
                Some(Packets { single: Some(Packet { track, codec, body }), ..packets })
            }
            1 => {
                let (codec, bytes) = split_codec(bytes)?;
                Some(Packets { many: Some((Some(codec), bytes)), ..packets })
            }
            2 => Some(Packets { many: Some((None, bytes)), ..packets }),
            _ => None,
        }
    }
}

impl<'a> Packets<'a> {
    /// The one part of a payload in a legacy form.
    pub(super) fn legacy(packet_type: u8, codec: Codec, body: &'a [u8]) -> Self {
        let single = Some(Packet { track: 0, codec, body });
        Packets { packet_type, enhanced: false, mod_ex: false, multitrack: false, single, many: None }
    }
}

/// Ends with the bytes, or where they stop making sense.
impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        if let Some(single) = self.single.take() {
            return Some(single);
        }
        let (shared, bytes) = self.many.take()?;
        let (packet, rest) = split_track(shared, bytes)?;
        self.many = Some((shared, rest));
        Some(packet)
    }
}

fn split_track(shared: Option<Codec>, bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let (codec, bytes) = match shared {
        Some(codec) => (codec, bytes),
        None => split_codec(bytes)?,
    };
    let (&[track, size @ ..], bytes) = bytes.split_first_chunk::<4>()?;
    let [high, middle, low] = size;
    let size = u32::from_be_bytes([0, high, middle, low]) as usize;
    let (body, rest) = bytes.split_at_checked(size)?;
    Some((Packet { track, codec, body }, rest))
}

fn split_codec(bytes: &[u8]) -> Option<(Codec, &[u8])> {
    let (&four_cc, rest) = bytes.split_first_chunk()?;
    Some((Codec::from_four_cc(four_cc), rest))
}
