//! A frame: one message of the stream, as it came; and the preamble: what a decoder must have been given before it.

use std::sync::Arc;

use bytes::Bytes;

use crate::flv::{Codec, Kind, Need, Role, Tag, Tracks};
use crate::limits::{NEEDS, PREAMBLE_BYTES, PREAMBLE_ITEMS};

/// One entry of the log.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Audio, video or data.
    pub kind: Kind,
    /// Milliseconds on the stream's own time line. Within a kind it never goes back.
    pub time: u64,
    /// Milliseconds since the frame before it of the same kind.
    pub delta: u32,
    /// The message payload exactly as the publisher encoded it, which is also an FLV tag body.
    pub payload: Bytes,
    /// The bytes every session in step with the log sends for it. Opaque here; empty where each session makes its own.
    pub wire: Bytes,
    /// Whether decoding may start here.
    pub start: bool,
    /// What is in force here.
    pub preamble: Arc<Preamble>,
}

impl Frame {
    /// Which publisher session it comes from.
    pub(super) fn session(&self) -> u64 {
        self.preamble.session
    }

    /// What the frame costs in memory, roughly, behind one with `before` as its preamble. Payload and wire share one buffer.
    pub(super) fn bytes(&self, before: Option<&Arc<Preamble>>) -> usize {
        let preamble = match before {
            Some(before) if Arc::ptr_eq(before, &self.preamble) => 0,
            _ => self.preamble.bytes(),
        };
        self.payload.len() + size_of::<Frame>() + preamble
    }
}

/// Metadata and the sequence headers and configurations of every track, in the order the publisher first sent them.
///
/// A payload is kept as it came, and may hold the headers of several tracks (E-RTMP ManyTracks). It goes when each of them has a
/// newer one. Until then it stays before those that replace it in part, so that a decoder fed in this order ends up with the newest
/// header of every track.
#[derive(Debug, Clone, Default)]
pub struct Preamble {
    /// Which publisher session it belongs to. Those of two sessions have nothing in common.
    session: u64,
    items: Vec<Item>,
    /// How many items this session has had. Each has a number of its own.
    count: u64,
    needs: Vec<Need>,
}

/// One message of a preamble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Audio, video, or data for the metadata.
    pub kind: Kind,
    /// Header or configuration; what replaces what.
    role: Role,
    codec: Codec,
    /// The tracks for which there is none newer.
    tracks: Tracks,
    /// How many came before it.
    number: u64,
    /// The message payload. Metadata begins with `onMetaData`, without `@setDataFrame`.
    pub payload: Bytes,
}

impl Preamble {
    /// The empty preamble of a new publisher session.
    pub fn new(session: u64) -> Self {
        Preamble { session, ..Preamble::default() }
    }

    /// The preamble with `payload` in its place, or `None` if it is there already: an identical header is no change.
    /// Metadata has no tracks, and takes the place of all metadata.
    pub fn with(&self, kind: Kind, tag: &Tag, payload: Bytes) -> Option<Self> {
        let Tag { role, codec, .. } = *tag;
        let tracks = if kind == Kind::Data { Tracks::of(0) } else { tag.tracks };
        let item = Item { kind, role, codec, tracks, number: self.count, payload };
        let mut preamble = Preamble { items: Vec::new(), count: self.count + 1, needs: self.needs.clone(), ..*self };
        // Behind all that it replaces, in whole or in part; metadata first, whenever it comes.
        let mut place = (kind == Kind::Data).then_some(0);
        for known in &self.items {
            // ffmpeg 9 says the colours of each track as if it were the default track: only the FourCC tells whose they are.
            let other = role == Role::Config && known.codec != codec;
            if (known.kind, known.role) != (kind, role) || other || known.tracks.and(tracks).is_empty() {
                preamble.items.push(known.clone());
                continue;
            }
            if known.tracks == tracks && known.payload == item.payload {
                return None;
            }
            let left = known.tracks.without(tracks);
            if !left.is_empty() {
                preamble.items.push(Item { tracks: left, ..known.clone() });
            }
            place = Some(preamble.items.len());
        }
        preamble.items.insert(place.unwrap_or(preamble.items.len()), item);
        Some(preamble)
    }

    /// Whether `payload` may be kept: publishers send a few kilobytes of headers, and what they send is not trusted.
    pub fn has_room_for(&self, payload: &[u8]) -> bool {
        self.items.len() < PREAMBLE_ITEMS && self.payloads() + payload.len() <= PREAMBLE_BYTES
    }

    fn payloads(&self) -> usize {
        self.items.iter().map(|item| item.payload.len()).sum()
    }

    /// What it costs in memory, roughly and at most: what it has in common with the one before it is counted again.
    fn bytes(&self) -> usize {
        self.payloads() + self.items.len() * size_of::<Item>() + size_of::<Preamble>()
    }

    /// The preamble of a stream that asks this of its receivers too, or `None` if it was known, or there are too many of them.
    pub fn needing(&self, need: Need) -> Option<Self> {
        if self.needs.contains(&need) || self.needs.len() >= NEEDS {
            return None;
        }
        let mut preamble = self.clone();
        preamble.needs.push(need);
        Some(preamble)
    }

    /// What the stream has asked of its receivers so far, beyond the legacy forms.
    pub fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// What a reader needs that has been given `sent`: all of it at first and from a new publisher session, else what has come
    /// since.
    pub fn since<'a>(&'a self, sent: Option<&Preamble>) -> impl Iterator<Item = &'a Item> {
        let count = sent.filter(|s| s.session == self.session).map_or(0, |s| s.count);
        self.items.iter().filter(move |item| item.number >= count)
    }

    /// The publisher's metadata.
    pub fn metadata(&self) -> Option<&Bytes> {
        self.items.iter().find(|i| i.kind == Kind::Data).map(|i| &i.payload)
    }

    /// The sequence header of the default video track.
    pub fn video_header(&self) -> Option<&Bytes> {
        let header = |i: &&Item| i.kind == Kind::Video && i.role == Role::Header && i.tracks.contains(0);
        self.items.iter().find(header).map(|i| &i.payload)
    }

    /// Whether a header or configuration of this kind is there.
    pub fn has(&self, kind: Kind) -> bool {
        self.items.iter().any(|i| i.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(role: Role, codec: Codec, tracks: Tracks) -> Tag {
        Tag { role, tracks, codec, key: false }
    }

    /// Puts headers, each written as its tracks and a letter: `01a` is for tracks 0 and 1.
    fn put(preamble: &Preamble, headers: &str) -> Preamble {
        headers.split_whitespace().fold(preamble.clone(), |preamble, header| {
            let tracks = header.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
            let payload = Bytes::copy_from_slice(header.as_bytes());
            preamble.with(Kind::Video, &tag(Role::Header, Codec::Avc, tracks), payload).unwrap_or(preamble)
        })
    }

    fn say<'a>(items: impl Iterator<Item = &'a Item>) -> String {
        items.map(|item| String::from_utf8_lossy(&item.payload).into_owned()).collect::<Vec<_>>().join(" ")
    }

    /// The header that a decoder has for each track after it was given these.
    fn decoded(given: &[String]) -> [String; 4] {
        let mut tracks = [const { String::new() }; 4];
        for header in given.iter().flat_map(|given| given.split_whitespace()) {
            for digit in header.bytes().filter(u8::is_ascii_digit) {
                tracks[usize::from(digit - b'0')] = header.to_owned();
            }
        }
        tracks
    }

    #[test]
    fn a_payload_goes_when_each_of_its_tracks_has_a_newer_header() {
        for (headers, kept) in [
            ("0a 1a 0b", "0b 1a"),
            ("01a 1b", "01a 1b"),
            ("01a 1b 0b", "0b 1b"),
            ("01a 1b 01c", "01c"),
            ("01a 1b 12c", "01a 12c"),
            ("0a 1a 2a 02b", "1a 02b"),
            ("12a 0a 01b", "12a 01b"),
        ] {
            assert_eq!(say(put(&Preamble::new(1), headers).items.iter()), kept, "{headers}");
        }
    }

    #[test]
    fn interop_68_an_identical_header_is_no_change_but_one_that_comes_back_is() {
        let preamble = put(&Preamble::new(1), "01a");
        let both = tag(Role::Header, Codec::Avc, Tracks::from_iter([0, 1]));
        assert!(preamble.with(Kind::Video, &both, "01a".into()).is_none());
        let between = put(&preamble, "1b");
        let back = put(&between, "01a");
        assert_eq!(say(back.since(Some(&between))), "01a");
    }

    /// Whatever was sent before, and however much of what came since was missed: what is given next puts it right.
    #[test]
    fn whoever_is_given_a_preamble_has_the_newest_header_of_every_track() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..500 {
            let mut history = vec![Preamble::new(1)];
            let mut all = Vec::new();
            for _ in 0..8 {
                let tracks: String = "0123".chars().filter(|_| random.bool()).collect();
                let header = format!("{}{}", if tracks.is_empty() { "0" } else { &tracks }, random.char('a'..='b'));
                history.push(put(&history[history.len() - 1], &header));
                all.push(header);
            }
            let last = &history[history.len() - 1];
            assert_eq!(decoded(&[say(last.since(None))]), decoded(&all), "{all:?}");
            let at = random.usize(..history.len());
            let given = [say(history[at].since(None)), say(last.since(Some(&history[at])))];
            assert_eq!(decoded(&given), decoded(&all), "{all:?}, joined at {at}");
        }
    }

    #[test]
    fn colours_are_kept_for_each_codec_and_replaced_by_newer_ones() {
        let config = |preamble: Preamble, codec, payload: &'static str| {
            preamble.with(Kind::Video, &tag(Role::Config, codec, Tracks::of(0)), payload.into()).expect("a change")
        };
        let preamble = config(put(&Preamble::new(1), "0a"), Codec::Av1, "av1");
        let preamble = config(config(preamble, Codec::Hevc, "hevc"), Codec::Av1, "av1 again");
        assert_eq!(say(preamble.since(None)), "0a av1 again hevc");
    }

    #[test]
    fn a_preamble_has_its_limits() {
        let header = tag(Role::Header, Codec::Avc, Tracks::of(0));
        let full = Preamble::new(1).with(Kind::Video, &header, vec![0; PREAMBLE_BYTES - 1].into());
        let full = full.expect("a change");
        assert!(full.has_room_for(&[0]) && !full.has_room_for(&[0; 2]));
        let colours = |n: usize| tag(Role::Config, Codec::FourCc((n as u32).to_be_bytes()), Tracks::of(0));
        let many = (0..PREAMBLE_ITEMS).fold(Preamble::new(1), |preamble, n| {
            assert!(preamble.has_room_for(b"x"), "{n}");
            preamble.with(Kind::Video, &colours(n), "x".into()).expect("a change")
        });
        assert!(!many.has_room_for(b"x"));
        let codecs = (0..=NEEDS as u8).map(|n| Need::Codec(Kind::Video, Codec::FourCc([n; 4])));
        let needy = codecs.fold(Preamble::new(1), |preamble, need| preamble.needing(need).unwrap_or(preamble));
        assert_eq!(needy.needs().len(), NEEDS);
    }
}
