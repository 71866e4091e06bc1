//! The log and its cursors against a model that is too simple to be wrong.

#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use rtmp_relay::flv::{Kind, classify};
use rtmp_relay::limits::MERGE;
use rtmp_relay::stream::cursor::Read;
use rtmp_relay::stream::log::Limits;
use rtmp_relay::stream::{Cursor, Directory, Frame, Hops, Join, Log, Merge, Name, Preamble, Skipped};

const FRAME_MS: u64 = 100;
const LOG: Limits = Limits { time: Duration::from_secs(3), bytes: usize::MAX };
const PATIENT: Join = Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX };

fn log() -> Arc<Log> {
    Arc::new(Log::new(LOG))
}

/// `I` is a key frame, `P` another video frame, `A` audio; a frame every 100 ms. `from` is the number of the first.
fn append(log: &Log, from: u64, pattern: &str) {
    for (n, letter) in (from..).zip(pattern.chars()) {
        log.append(Frame {
            kind: if letter == 'A' { Kind::Audio } else { Kind::Video },
            time: n * FRAME_MS,
            delta: 0,
            payload: Bytes::from(n.to_string()),
            wire: Bytes::new(),
            start: letter == 'I',
            preamble: Arc::new(Preamble::new(1)),
        });
    }
}

/// What a cursor reads, as `3!45`: numbers of frames, `!` before those that do not follow the one before.
fn read(cursor: &mut Cursor) -> String {
    let mut text = String::new();
    cursor.read(|frame, jumped| {
        text += if jumped { "!" } else { "" };
        text += std::str::from_utf8(&frame.payload).unwrap();
        text += " ";
        true
    });
    text
}

#[test]
fn a_late_joiner_starts_at_the_newest_key_frame() {
    let log = log();
    append(&log, 0, "IPPIPP");
    assert_eq!(read(&mut Cursor::new(log, PATIENT)), "!3 4 5 ");
}

#[test]
fn one_that_came_first_misses_nothing() {
    let log = log();
    let mut cursor = Cursor::new(log.clone(), PATIENT);
    append(&log, 0, "PIPPIP");
    assert_eq!(read(&mut cursor), "!1 2 3 4 5 ");
}

#[test]
fn one_that_wants_it_fresh_waits_for_the_next_key_frame() {
    let log = log();
    append(&log, 0, "IPPPP");
    let mut cursor = Cursor::new(log.clone(), Join { newest_if_within: Duration::from_millis(300), ..PATIENT });
    assert_eq!(read(&mut cursor), "");
    append(&log, 5, "PIP");
    assert_eq!(read(&mut cursor), "!6 7 ");
    assert_eq!(cursor.skipped().all(), 0, "what it never began with is not skipped");
}

#[test]
fn interop_78_a_slow_reader_jumps_to_the_newest_key_frame_and_says_how_much_it_missed() {
    let log = log();
    append(&log, 0, "IPP");
    let mut cursor = Cursor::new(log.clone(), Join { lag_max: Duration::from_millis(500), ..PATIENT });
    assert_eq!(read(&mut cursor), "!0 1 2 ");
    append(&log, 3, "PPIPPP");
    assert_eq!(read(&mut cursor), "3 4 5 6 7 8 ", "500 ms behind is not over the limit");
    append(&log, 9, "PPPPIPPIP");
    assert_eq!(read(&mut cursor), "!16 17 ");
    assert_eq!(cursor.skipped().all(), 7);
    append(&log, 18, "PPPPPPPP");
    assert_eq!(read(&mut cursor), "", "no newer key frame to go on with yet");
    append(&log, 26, "PI");
    assert_eq!(read(&mut cursor), "!27 ");
    assert_eq!((cursor.skipped(), cursor.behind()), (Skipped { lag: 16, log: 0 }, 0));
}

#[test]
fn what_the_log_had_no_room_for_is_told_apart_from_lag() {
    let log = log();
    let mut cursor = Cursor::new(log.clone(), PATIENT);
    append(&log, 0, "IPP");
    assert_eq!(read(&mut cursor), "!0 1 2 ");
    append(&log, 3, &"IPPPPPPPPP".repeat(4));
    assert_eq!(read(&mut cursor), "!33 34 35 36 37 38 39 40 41 42 ");
    assert_eq!(cursor.skipped(), Skipped { lag: 0, log: 30 });
    assert_eq!(cursor.span(), Some((0, 43)));
}

#[test]
fn whole_gops_go_first_and_a_gop_over_the_limit_goes_too() {
    let log = log();
    append(&log, 0, &"IPPPPPPPPP".repeat(3));
    let mut cursor = Cursor::new(log.clone(), PATIENT);
    append(&log, 30, "PP");
    assert_eq!(read(&mut cursor).split(' ').next(), Some("!20"), "3.1 s: the first GOP has gone");
    append(&log, 32, &"P".repeat(1000));
    let mut late = Cursor::new(log.clone(), PATIENT);
    assert_eq!(read(&mut late), "", "no place to start is held");
    assert!(log.bytes() < 31 * (200 + 4), "{}", log.bytes());
}

#[test]
fn what_a_log_holds_in_preambles_counts() {
    let log = Arc::new(Log::new(Limits { time: Duration::MAX, bytes: 1_000_000 }));
    let mut preamble = Arc::new(Preamble::new(1));
    for n in 0..100u8 {
        let header = Bytes::from([&b"\x17\0\0\0\0"[..], &vec![n; 100_000]].concat());
        preamble = Arc::new(preamble.with(Kind::Video, &classify(Kind::Video, &header), header).unwrap());
        for _ in 0..3 {
            let (payload, wire, preamble) = (Bytes::from("x"), Bytes::new(), preamble.clone());
            log.append(Frame { kind: Kind::Video, time: 0, delta: 0, payload, wire, start: true, preamble });
            assert_eq!(log.bytes(), log.recount());
        }
    }
    assert!((900_000..=1_000_000).contains(&log.bytes()), "{}: nine headers and what follows each", log.bytes());
}

#[test]
fn a_reader_waits_ten_seconds_of_media_for_a_key_frame_and_then_starts_without() {
    let log = log();
    append(&log, 0, "P");
    let mut cursor = Cursor::new(log.clone(), PATIENT);
    for n in 1..=100 {
        append(&log, n, "P");
        assert_eq!(read(&mut cursor), "");
    }
    append(&log, 101, "P");
    assert_eq!(read(&mut cursor), "");
    append(&log, 102, "PP");
    assert_eq!(read(&mut cursor), "!102 103 ");
}

#[test]
fn the_end_comes_after_what_is_left() {
    let log = log();
    append(&log, 0, "IP");
    let mut cursor = Cursor::new(log.clone(), PATIENT);
    log.end();
    assert_eq!(cursor.read(|_, _| false), Read::More);
    assert_eq!(cursor.read(|_, _| true), Read::Ended);
}

/// How often a reader has been called.
#[derive(Default)]
struct Calls(AtomicU32);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_reader_that_has_gone_is_called_no_more() {
    let (log, calls) = (log(), Arc::new(Calls::default()));
    let mut cursor = Cursor::new(log.clone(), PATIENT);
    cursor.wake(calls.clone().into());
    log.announce();
    drop(cursor);
    log.announce();
    assert_eq!(calls.0.load(Ordering::Relaxed), 1);
    assert_eq!(Arc::strong_count(&calls), 1, "and nothing holds its waker");
}

/// Appends frames written as `I0` (a key frame at 0 ms), `P33`, `A23`.
fn tell(log: &Log, frames: &str) {
    for word in frames.split(' ') {
        let (letter, time) = word.split_at(1);
        log.append(Frame {
            kind: if letter == "A" { Kind::Audio } else { Kind::Video },
            time: time.parse().unwrap(),
            delta: 0,
            payload: Bytes::copy_from_slice(word.as_bytes()),
            wire: Bytes::new(),
            start: letter == "I",
            preamble: Arc::new(Preamble::new(1)),
        });
    }
}

#[test]
fn a_reader_that_merges_gets_sound_with_the_next_picture_and_pictures_at_once() {
    let log = log();
    let (mut merging, mut plain) =
        (Cursor::new(log.clone(), PATIENT).merging(Merge::Audio), Cursor::new(log.clone(), PATIENT));
    for (frames, merged) in [
        ("I0", "!I0 "),
        ("A2", ""),
        ("A25", ""),
        ("P33", "A2 A25 P33 "),
        ("A48 P66 A71", "A48 P66 "),
        ("P100", "A71 P100 "),
    ] {
        tell(&log, frames);
        assert_eq!(read(&mut merging), merged, "{frames}");
        assert_eq!(read(&mut plain).trim_start_matches('!').trim_end(), frames);
    }
    tell(&log, "A117");
    assert_eq!((read(&mut merging).as_str(), log.waiting()), ("", None), "nobody has asked to be called");
    merging.wake(std::task::Waker::noop().clone());
    assert_eq!(log.waiting(), Some(8));
    log.release();
    assert_eq!((read(&mut merging).as_str(), log.waiting()), ("A117 ", None));
    tell(&log, "A140");
    log.end();
    assert_eq!(read(&mut merging), "A140 ", "the end holds nothing back");
}

#[tokio::test]
async fn a_publisher_that_is_lost_leaves_no_sound_waiting() {
    let publication = Directory::new(LOG).publish(Name::new("live/show").unwrap(), Hops::default()).unwrap();
    let log = publication.log().clone();
    let mut cursor = Cursor::new(log.clone(), PATIENT).merging(Merge::Audio);
    tell(&log, "I0 A5");
    assert_eq!(read(&mut cursor), "!I0 ");
    drop(publication);
    assert_eq!(read(&mut cursor), "A5 ");
    assert!(!log.has_ended());
}

#[test]
fn sound_without_pictures_waits_no_longer_than_the_limit() {
    let (log, limit) = (log(), MERGE.as_millis() as u64);
    let mut cursor = Cursor::new(log.clone(), PATIENT).merging(Merge::Audio);
    tell(&log, "I0 A5");
    assert_eq!(read(&mut cursor), "!I0 ");
    tell(&log, &format!("A{}", 4 + limit));
    assert_eq!(read(&mut cursor), "");
    tell(&log, &format!("A{}", 5 + limit));
    assert_eq!(read(&mut cursor), format!("A5 A{} A{} ", 4 + limit, 5 + limit));
}

#[test]
fn who_lets_sound_wait_is_not_called_for_it() {
    let (log, calls) = (log(), Arc::new(Calls::default()));
    let mut cursor = Cursor::new(log.clone(), PATIENT).merging(Merge::Audio);
    cursor.wake(calls.clone().into());
    let called = |frames: &str| {
        tell(&log, frames);
        log.announce();
        calls.0.swap(0, Ordering::Relaxed)
    };
    assert_eq!([called("I0"), called("A5"), called("A28"), called("P33"), called("P66 A51")], [1, 0, 0, 1, 1]);
    log.release();
    assert_eq!(calls.0.swap(0, Ordering::Relaxed), 1);
    log.end();
    assert_eq!(calls.0.load(Ordering::Relaxed), 1);
}

/// One step of a world with one log and one reader.
#[derive(Debug, Clone)]
enum Step {
    Append(char),
    Read(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let letter = prop_oneof![1 => Just('I'), 5 => Just('P'), 5 => Just('A')];
    let step = prop_oneof![8 => letter.prop_map(Step::Append), 1 => (1..40usize).prop_map(Step::Read)];
    prop::collection::vec(step, 0..300)
}

/// All of it in ten lines: every frame ever appended, where the log begins, where the reader is.
#[derive(Default)]
struct Model {
    all: Vec<char>,
    first: usize,
    at: usize,
    /// Looking for a key frame, since when there was this much.
    seeking: Option<usize>,
}

const LAG: usize = 12;

impl Model {
    fn append(&mut self, letter: char) {
        self.all.push(letter);
        while self.all.len() - 1 - self.first > 30 {
            let key = (self.first + 1..self.all.len()).find(|n| self.all[*n] == 'I');
            self.first = key.unwrap_or(self.first + 1);
        }
    }

    fn read(&mut self, at_most: usize) -> Vec<usize> {
        let end = self.all.len();
        let behind = self.at < self.first || end.saturating_sub(1 + self.at) > LAG;
        if let Some(since) = self.seeking.or(behind.then_some(end)) {
            let mut keys = (self.at.max(self.first)..end).filter(|n| self.all[*n] == 'I');
            let key = if behind { keys.next_back() } else { keys.next() };
            self.at = key.unwrap_or(end);
            self.seeking = Some(since.max(1)).filter(|since| key.is_none() && end.saturating_sub(*since) <= 100);
        }
        let to = if self.seeking.is_some() { self.at } else { end.min(self.at + at_most) };
        let read = (self.at..to).collect();
        self.at = to;
        read
    }
}

proptest! {
    /// Whatever comes, and whenever either reads: what one has and the other has not is sound, less of it than the limit.
    #[test]
    fn merging_loses_nothing_and_changes_no_order(
        frames in prop::collection::vec((prop::sample::select(vec!['I', 'P', 'A', 'A']), 0..50u64, 0..8u8), 0..200)
    ) {
        let log = Arc::new(Log::new(Limits { time: Duration::MAX, bytes: usize::MAX }));
        let mut plain = Cursor::new(log.clone(), PATIENT);
        let mut merging = Cursor::new(log.clone(), PATIENT).merging(Merge::Audio);
        let (mut all, mut merged) = (String::new(), String::new());
        let mut time = 0;
        for (letter, after, then) in frames {
            time += after;
            tell(&log, &format!("{letter}{time}"));
            match then {
                0 => log.release(),
                1 => all += &read(&mut plain),
                2 | 3 => merged += &read(&mut merging),
                _ => {
                    all += &read(&mut plain);
                    merged += &read(&mut merging);
                    let waits: Vec<&str> = all.strip_prefix(&merged).expect("the same, in the same order").split_whitespace().collect();
                    let times: Vec<u64> = waits.iter().filter_map(|word| word.strip_prefix('A')?.parse().ok()).collect();
                    prop_assert_eq!(times.len(), waits.len(), "only sound waits: {:?}", &waits);
                    if let (Some(first), Some(last)) = (times.first(), times.last()) {
                        prop_assert!(u128::from(last - first) < MERGE.as_millis());
                    }
                }
            }
        }
        log.end();
        all += &read(&mut plain);
        merged += &read(&mut merging);
        prop_assert_eq!(all, merged);
    }

    #[test]
    fn a_cursor_reads_what_the_model_reads(steps in steps()) {
        let log = log();
        let mut cursor = Cursor::new(log.clone(), Join { lag_max: Duration::from_millis(LAG as u64 * FRAME_MS), ..PATIENT });
        let mut model = Model { seeking: Some(0), ..Model::default() };
        for step in &steps {
            match step {
                Step::Append(letter) => {
                    append(&log, model.all.len() as u64, &letter.to_string());
                    model.append(*letter);
                }
                Step::Read(at_most) => {
                    let mut read = Vec::new();
                    cursor.read(|frame, jumped| {
                        let number: usize = std::str::from_utf8(&frame.payload).unwrap().parse().unwrap();
                        assert!(jumped || read.last().is_none_or(|last| last + 1 == number));
                        read.push(number);
                        read.len() < *at_most
                    });
                    prop_assert_eq!(read, model.read(*at_most));
                }
            }
        }
    }
}
