//! A trail: how far a session's media had come when so many of its bytes had gone. Along it a number of bytes, sent or
//! acknowledged, can be read as a time.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits::TRAIL;
use crate::rtmp::session::Acknowledged;

/// Marks of one session, in order, and how far its peer says it has come.
#[derive(Debug, Default)]
pub(super) struct Trail {
    marks: VecDeque<Mark>,
    /// The last acknowledgement looked at.
    heard: Acknowledged,
    word: Word,
}

/// The session's first so many bytes carry its media up to this time.
#[derive(Debug, Clone, Copy)]
struct Mark {
    bytes: u64,
    time: Duration,
}

/// What a peer's acknowledgements are worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Word {
    /// There was none yet.
    #[default]
    None,
    /// It has this many bytes.
    Has(u64),
    /// It counts something else, so nobody knows.
    Wrong,
}

impl Trail {
    /// The session's first `bytes` bytes carry its media up to `time`.
    pub(super) fn mark(&mut self, bytes: u64, time: Duration) {
        self.marks.pop_back_if(|last| last.bytes >= bytes);
        self.marks.push_back(Mark { bytes, time });
        if self.marks.len() > TRAIL {
            // Every other one goes, not the oldest: then a trail is coarser, and as long as it has to be.
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// Takes the peer's word for what it has of the `sent` bytes, if it can be true. Some peers count since their last word, or
    /// something else; such a count goes back, or ahead of us, before long, and is not believed from then on.
    pub(super) fn acknowledge(&mut self, heard: Acknowledged, sent: u64) {
        if heard.times == std::mem::replace(&mut self.heard, heard).times {
            return;
        }
        // The number has 32 bits, and the last one that fits is meant: nobody is 4 GiB behind.
        let behind = (sent as u32).wrapping_sub(heard.number);
        let has = sent.checked_sub(behind.into());
        self.word = match (self.word, has) {
            (Word::None, Some(has)) => Word::Has(has),
            (Word::Has(before), Some(has)) if has > before => Word::Has(has),
            _ => Word::Wrong,
        };
    }

    /// Lets go of the marks that nobody asks for any more: `sent` bytes have gone.
    pub(super) fn pass(&mut self, sent: u64) {
        let needed = if let Word::Has(bytes) = self.word { sent.min(bytes) } else { sent };
        while self.marks.get(1).is_some_and(|next| next.bytes <= needed) {
            self.marks.pop_front();
        }
    }

    /// The time of the media that the first `bytes` bytes carry; none before there was any.
    pub(super) fn time_at(&self, bytes: u64) -> Option<Duration> {
        let after = self.marks.partition_point(|mark| mark.bytes <= bytes);
        let Some(next) = self.marks.get(after) else { return self.marks.back().map(|last| last.time) };
        let Some(before) = after.checked_sub(1).map(|at| self.marks[at]) else { return Some(next.time) };
        let share = (bytes - before.bytes) as f64 / (next.bytes - before.bytes) as f64;
        Some(before.time + next.time.saturating_sub(before.time).mul_f64(share))
    }

    /// The time of the media that the peer has acknowledged; none where it does not, or not in a way that can be true.
    pub(super) fn acknowledged(&self) -> Option<Duration> {
        match self.word {
            Word::Has(bytes) => self.time_at(bytes),
            Word::None | Word::Wrong => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// A trail of `seconds` with 1000 bytes each, from byte `from` on.
    fn trail(from: u64, seconds: u64) -> Trail {
        let mut trail = Trail::default();
        for n in 0..=seconds {
            trail.mark(from + 1000 * n, second(n));
        }
        trail
    }

    /// What is believed of a peer that says these numbers, one after the other, when so many bytes have been sent.
    fn believed(trail: &mut Trail, words: &[(u32, u64)]) -> Option<Duration> {
        for (number, sent) in words {
            trail.acknowledge(Acknowledged { times: trail.heard.times + 1, number: *number }, *sent);
        }
        trail.acknowledged()
    }

    #[test]
    fn a_number_of_bytes_is_a_time_and_between_two_marks_it_is_between_two_times() {
        let mut trail = Trail::default();
        assert_eq!(trail.time_at(0), None);
        trail.mark(1000, second(5));
        trail.mark(3000, second(6));
        trail.mark(3000, second(7));
        for (bytes, milliseconds) in [(0, 5000), (1000, 5000), (2000, 6000), (2500, 6500), (3000, 7000), (9000, 7000)] {
            assert_eq!(trail.time_at(bytes), Some(Duration::from_millis(milliseconds)), "{bytes}");
        }
    }

    #[test]
    fn a_trail_has_so_many_marks_and_reaches_as_far_back_as_it_is_asked_for() {
        let mut trail = trail(0, 100_000);
        assert!(trail.marks.len() <= TRAIL, "{}", trail.marks.len());
        for n in [0, 7, 50_000, 99_999, 100_000] {
            assert_eq!(trail.time_at(1000 * n).map(|time| time.as_secs_f64().round() as u64), Some(n));
        }
        trail.pass(50_000_000);
        assert_eq!(trail.time_at(50_000_000), Some(second(50_000)));
        assert!(trail.marks.len() <= TRAIL / 2 + 1, "{}", trail.marks.len());
        assert_eq!(believed(&mut trail, &[(60_000_000, 100_000_000)]), Some(second(60_000)));
        trail.pass(100_000_000);
        assert_eq!(trail.acknowledged(), Some(second(60_000)), "what is asked for is kept");
    }

    #[test]
    fn acknowledgements_count_modulo_2_to_the_32() {
        for from in [0, u64::from(u32::MAX) - 4500, 7 << 32] {
            let mut trail = trail(from, 10);
            let words = [2000, 4000, 5000].map(|bytes| ((from + bytes) as u32, from + bytes + 1000));
            assert_eq!(believed(&mut trail, &words), Some(second(5)), "{from}");
        }
    }

    #[test]
    fn one_that_says_nothing_new_changes_nothing() {
        let mut trail = trail(0, 10);
        assert_eq!(trail.acknowledged(), None);
        trail.acknowledge(Acknowledged::default(), 5000);
        assert_eq!(trail.acknowledged(), None);
        assert_eq!(believed(&mut trail, &[(2000, 5000)]), Some(second(2)));
        trail.acknowledge(trail.heard, 9000);
        assert_eq!(trail.acknowledged(), Some(second(2)));
    }

    #[test]
    fn a_peer_that_lies_is_not_believed_again() {
        let lies: [&[(u32, u64)]; 4] = [
            &[(6000, 5000)],               // more than was sent
            &[(2000, 5000), (1999, 6000)], // it goes back
            &[(1000, 1500), (1000, 2500)], // since its last word
            &[(u32::MAX, 5000)],           // a wrap that cannot be yet
        ];
        for lie in lies {
            let mut trail = trail(0, 10);
            assert_eq!(believed(&mut trail, lie), None, "{lie:?}");
            assert_eq!(believed(&mut trail, &[(9000, 9500), (9500, 10_000)]), None, "{lie:?}");
        }
    }
}
