//! TCP keeps bytes in order and nothing else: the same bytes, cut anywhere, tell the same story.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::iter;
use std::sync::LazyLock;

use proptest::prelude::*;
use support::hex::hex;
use support::recording::{HANDSHAKE, Recording};
use support::server::{self, Told};

/// A recording, and what the session makes of it in one piece.
struct Case {
    recording: Recording,
    story: Vec<Told>,
}

static OBS: LazyLock<Case> = LazyLock::new(|| case("obs/29-publish", 320));
static FFMPEG: LazyLock<Case> = LazyLock::new(|| case("ffmpeg/5.1-publish", 320));
static GSTREAMER: LazyLock<Case> = LazyLock::new(|| case("gst/1.22-publish", 280));

/// The others, publishers and players.
static OTHERS: LazyLock<Vec<Case>> = LazyLock::new(|| {
    [
        ("ffmpeg/7.0-publish-hevc", 200),
        ("ffmpeg/9.0-publish-av1-opus", 100),
        ("ffmpeg/9.0-publish-fourcclist", 150),
        ("ffmpeg/9.0-publish-hevc", 300),
        ("ffmpeg/9.0-publish-multitrack", 100),
        ("ffmpeg/9.0-publish-vp9-opus", 200),
        ("gst/1.22-publish-librtmp", 150),
        ("mpv/0.35-publish", 30),
        ("vlc/3.0-publish", 90),
        ("ffmpeg/5.1-play", 10),
        ("ffmpeg/9.0-play-hevc", 10),
        ("ffmpeg/9.0-play-vp9-opus", 10),
        ("gst/1.22-play", 10),
        ("mpv/0.35-play", 10),
        ("rtmpdump/2.4-play", 10),
        ("vlc/3.0-play", 10),
    ]
    .map(|(recording, outputs)| case(recording, outputs))
    .into()
});

/// `outputs` is how many outputs there are at least: a story that ends early could not differ much.
fn case(recording: &str, outputs: usize) -> Case {
    let recording = Recording::load(recording);
    let story = story(&recording.bytes, []);
    assert!(story.len() >= outputs, "{} outputs", story.len());
    Case { recording, story }
}

/// What a session says that hears `bytes` in pieces of these sizes, the rest in one.
fn story(bytes: &[u8], pieces: impl IntoIterator<Item = usize>) -> Vec<Told> {
    let (mut session, mut told, mut rest) = (server::session(), Vec::new(), bytes);
    for piece in pieces.into_iter().chain([usize::MAX]) {
        let (heard, unheard) = rest.split_at(piece.min(rest.len()));
        server::hear(&mut session, heard, &mut told).expect("a good client");
        rest = unheard;
    }
    told
}

impl Case {
    fn is_told_the_same_in(&self, pieces: impl IntoIterator<Item = usize>) {
        let story = story(&self.recording.bytes, pieces);
        let first = iter::zip(&story, &self.story).position(|(a, b)| a != b);
        assert_eq!((story.len(), first), (self.story.len(), None), "outputs, and the first one that differs");
    }
}

fn everybody() -> impl Iterator<Item = &'static Case> {
    [&*OBS, &*FFMPEG, &*GSTREAMER].into_iter().chain(OTHERS.iter())
}

#[test]
fn byte_by_byte_it_is_the_same_story() {
    for case in everybody() {
        case.is_told_the_same_in(iter::repeat_n(1, 8 << 10));
    }
}

#[test]
fn in_the_reads_of_the_recorder_it_is_the_same_story() {
    for case in everybody() {
        let reads = &case.recording.reads;
        assert!(reads.len() > 4 && reads.iter().sum::<usize>() == case.recording.bytes.len(), "{reads:?}");
        case.is_told_the_same_in(reads.iter().copied());
    }
}

#[test]
fn cut_once_anywhere_in_the_opening_it_is_the_same_story() {
    for case in everybody() {
        let opening = &case.recording.bytes[..case.recording.bytes.len().min(4_500)];
        let whole = story(opening, []);
        // The handshake is long and dull: only its seams are of interest.
        let cuts = (0..=3).chain(1530..1545).chain(3065..opening.len());
        for cut in cuts {
            assert!(story(opening, [cut]) == whole, "cut at {cut}");
        }
    }
}

/// The number in an Acknowledgement.
fn acknowledgement(told: &Told) -> Option<u32> {
    match told {
        Told::Reply(bytes) => {
            let number = bytes.strip_prefix(&hex("02 000000 000004 03 00000000")[..])?;
            Some(u32::from_be_bytes(number.try_into().unwrap()))
        }
        _ => None,
    }
}

/// Sizes of pieces: single bytes, chunk headers, segments, whole buffers.
fn pieces() -> impl Strategy<Value = Vec<usize>> {
    let piece = prop_oneof![3 => 1usize..20, 3 => 20usize..2_000, 1 => 2_000usize..70_000];
    prop::collection::vec(piece, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn obs_cut_anywhere_tells_the_same_story(pieces in pieces()) {
        OBS.is_told_the_same_in(pieces);
    }

    #[test]
    fn ffmpeg_cut_anywhere_tells_the_same_story(pieces in pieces()) {
        FFMPEG.is_told_the_same_in(pieces);
    }

    #[test]
    fn gstreamer_cut_anywhere_tells_the_same_story(pieces in pieces()) {
        GSTREAMER.is_told_the_same_in(pieces);
    }

    #[test]
    fn the_others_cut_anywhere_tell_the_same_story(pieces in pieces(), who in any::<prop::sample::Index>()) {
        OTHERS[who.index(OTHERS.len())].is_told_the_same_in(pieces);
    }

    #[test]
    fn interop_26_acknowledgements_grow_and_keep_up_however_the_bytes_are_cut(pieces in pieces()) {
        // The only answers that depend on when bytes arrive. A peer with a window of 20,000 bytes stops at that.
        const WINDOW: u32 = 20_000;
        let recording = &OBS.recording.bytes;
        let (handshake, rest) = recording.split_at(HANDSHAKE);
        let bytes = [handshake, &hex("02 000000 000004 05 00000000 00004e20"), rest].concat();
        let (mut session, mut told, mut heard, mut acknowledged) = (server::session(), Vec::new(), 0usize, 0u32);
        for piece in pieces.into_iter().chain([usize::MAX]) {
            let piece = &bytes[heard..bytes.len().min(heard.saturating_add(piece))];
            server::hear(&mut session, piece, &mut told).unwrap();
            heard += piece.len();
            for told in told.extract_if(.., |told| acknowledgement(told).is_some()) {
                let number = acknowledgement(&told).unwrap();
                prop_assert!(number >= acknowledged + WINDOW / 2, "{number} after {acknowledged}");
                prop_assert!(number as usize <= heard, "{number} of {heard}");
                acknowledged = number;
            }
            // Bytes of a header that is not whole yet are not counted, nor is the handshake.
            let counted = heard.saturating_sub(HANDSHAKE + 18);
            prop_assert!(counted < (acknowledged + WINDOW / 2) as usize, "{counted} heard, {acknowledged} acknowledged");
        }
        prop_assert!(told == OBS.story, "everything else stays the same");
    }
}
