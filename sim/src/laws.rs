//! Laws: what has to be so whatever happens. Each panics with what is not.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::peer::{Media, Session};

/// A tape without metadata and headers.
fn frames(tape: &[Media]) -> Vec<&Media> {
    tape.iter().filter(|media| !media.is_preamble()).collect()
}

/// Frames as they were sent, by payload, each with its place among them.
struct Originals<'a>(BTreeMap<&'a Bytes, (usize, &'a Media)>);

impl<'a> Originals<'a> {
    fn of(sent: &'a [Media]) -> Self {
        Originals(frames(sent).into_iter().enumerate().map(|(at, media)| (&media.payload, (at, media))).collect())
    }

    fn find(&self, got: &Media) -> (usize, &'a Media) {
        *self.0.get(&got.payload).unwrap_or_else(|| panic!("nobody has sent {got:?}"))
    }
}

/// A reader begins with metadata, the video header, the audio header and a key frame.
pub fn begins_with_preamble_and_key(got: &[Media]) {
    let start: Vec<String> = got.iter().take(3).map(Media::to_string).collect();
    assert_eq!(start, ["metadata", "video header", "audio header"]);
    assert!(got.get(3).is_some_and(Media::is_key), "after the preamble: {:?}", got.get(3));
}

/// A reader gets what was sent, byte for byte and in order, and where it has missed something it goes on with a key frame.
/// Says which stretches of what was sent it got, counted in frames without metadata and headers.
pub fn runs(sent: &[Media], got: &[Media]) -> Vec<Range<usize>> {
    let originals = Originals::of(sent);
    let mut runs: Vec<Range<usize>> = Vec::new();
    for media in frames(got) {
        let (at, _) = originals.find(media);
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            last => {
                assert!(media.is_key(), "it goes on with {media:?}, after {last:?}");
                assert!(last.is_none_or(|run| run.end < at), "{media:?} comes again");
                runs.push(at..at + 1);
            }
        }
    }
    runs
}

/// A reader that was there to the end has missed nothing after its first frame; says how many frames that were.
pub fn misses_nothing(sent: &[Media], got: &[Media]) -> usize {
    let runs = runs(sent, got);
    let [run] = &runs[..] else { panic!("it has got {runs:?}") };
    assert_eq!(run.end, frames(sent).len(), "the last frame sent is not the last one it has got");
    run.len()
}

/// Within audio and within video, time never goes back.
pub fn time_never_goes_back(got: &[Media]) {
    for (at, media) in got.iter().enumerate() {
        let before = got[..at].iter().rev().find(|m| m.kind == media.kind);
        assert!(before.is_none_or(|before| before.time <= media.time), "{before:?}, then {media:?}");
    }
}

/// Between two frames a reader got as much time passes as between the same two when they were sent.
pub fn keeps_pace(sent: &[Media], got: &[Media]) {
    let originals = Originals::of(sent);
    let step = |from: &Media, to: &Media| i64::from(to.time) - i64::from(from.time);
    for pair in frames(got).windows(2) {
        let expected = step(originals.find(pair[0]).1, originals.find(pair[1]).1);
        assert_eq!(step(pair[0], pair[1]), expected, "from {:?} to {:?}", pair[0], pair[1]);
    }
}

/// A server never sees two connections of one destination at once.
pub fn one_session_at_a_time(sessions: &[Session]) {
    for pair in sessions.windows(2) {
        let (closed, opened) = (pair[0].closed, pair[1].opened);
        assert!(closed.is_some_and(|closed| closed <= opened), "one ends at {closed:?}, the next begins at {opened:?}");
    }
}

/// Everything a reader got was under way for no longer than this.
pub fn arrives_within(limit: Duration, sent: &[Media], got: &[Media]) {
    let originals = Originals::of(sent);
    for media in frames(got) {
        let took = media.at - originals.find(media).1.at;
        assert!(took <= limit, "{media:?} took {took:?}");
    }
}
