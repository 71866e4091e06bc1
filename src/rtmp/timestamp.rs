//! A publisher's time line made straight: 32 bits that wrap, jump and stutter in, 64 bits that never go back out.
//!
//! A step of more than 10 s ahead of the stream, or 1 s back within a series, is no step but a jump. One message that jumps
//! alone is stamped anew; when three in a row do, the source has a new time line and the stream goes on where it was.

use crate::flv::Kind;

/// A message further ahead than this has jumped.
const AHEAD_MS: i64 = 10_000;
/// A message further behind its own series than this has jumped.
const BEHIND_MS: i64 = 1_000;
/// A series' first message may be this far behind the others.
const BEHIND_FIRST_MS: i64 = 10_000;
/// Jumps in a row that make a new time line.
const JUMPS: u32 = 3;
/// The step of a message whose own cannot be believed.
const NOMINAL_MS: i64 = 20;

/// The time line of one publisher session.
#[derive(Debug, Default)]
pub struct Timeline {
    /// What has been added to the source's clock so far, wraps and jumps included.
    source: Option<Clock>,
    newest: i64,
    last: [Option<i64>; 3],
    jumps: u32,
    /// Where the first message is to be put; as it comes if `None`.
    start: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Clock {
    last: u32,
    unwrapped: i64,
    offset: i64,
}

impl Timeline {
    /// A time line whose first message is at `time`, whatever it says: a publisher that came back.
    pub fn starting_at(time: u64) -> Self {
        Timeline { start: Some(time), ..Timeline::default() }
    }

    /// The place of a message in the stream, in milliseconds. Within a kind it never goes back.
    pub fn place(&mut self, kind: Kind, timestamp: u32) -> u64 {
        let clock = self.source.get_or_insert_with(|| {
            let at = self.start.map_or(i64::from(timestamp), |t| t as i64);
            self.newest = at;
            Clock { last: timestamp, unwrapped: i64::from(timestamp), offset: at - i64::from(timestamp) }
        });
        let unwrapped = clock.unwrapped + i64::from(timestamp.wrapping_sub(clock.last).cast_signed());
        let last = self.last[kind as usize];
        let wanted = unwrapped + clock.offset;
        let floor = last.map_or(self.newest - BEHIND_FIRST_MS, |last| last - BEHIND_MS);
        let jumped = !(floor..=self.newest + AHEAD_MS).contains(&wanted);
        let time = match jumped {
            false => {
                (clock.last, clock.unwrapped) = (timestamp, unwrapped);
                self.jumps = 0;
                wanted
            }
            // Data says little about the time line: some encoders stamp all of it 0.
            true if kind == Kind::Data => self.newest,
            true => {
                self.jumps += 1;
                let time = last.unwrap_or(self.newest) + NOMINAL_MS;
                if self.jumps == JUMPS {
                    *clock = Clock { last: timestamp, unwrapped, offset: time - unwrapped };
                    self.jumps = 0;
                }
                time
            }
        };
        let time = time.max(last.unwrap_or(0)).max(0);
        self.last[kind as usize] = Some(time);
        self.newest = self.newest.max(time);
        time as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Audio, Data, Video};

    fn placed(line: &mut Timeline, messages: &[(Kind, u32)]) -> Vec<u64> {
        messages.iter().map(|&(kind, t)| line.place(kind, t)).collect()
    }

    #[test]
    fn an_ordinary_stream_keeps_its_times() {
        let messages = [(Video, 0), (Audio, 57), (Video, 33), (Audio, 80), (Video, 67), (Audio, 80)];
        assert_eq!(placed(&mut Timeline::default(), &messages), [0, 57, 33, 80, 67, 80]);
    }

    #[test]
    fn the_clock_goes_on_past_2_to_the_32_and_past_2_to_the_31() {
        let top = u32::MAX - 10;
        assert_eq!(
            placed(&mut Timeline::default(), &[(Video, top), (Video, 23)]),
            [u64::from(top), u64::from(top) + 34]
        );
        // OBS keeps 31 bits; seen from 32 that is a jump back, and three in a row go on from where the stream was.
        let mut line = Timeline::default();
        let times = placed(&mut line, &[(Video, 0x7fff_fff0), (Video, 10), (Video, 43), (Video, 76), (Video, 109)]);
        assert!(times.is_sorted() && times[4] - times[0] < 200, "{times:?}");
        assert_eq!(times[4] - times[3], 33);
    }

    #[test]
    fn a_small_step_back_is_held_and_a_jump_back_never_passed_on() {
        assert_eq!(placed(&mut Timeline::default(), &[(Video, 500), (Video, 480), (Video, 520)]), [500, 500, 520]);
        let mut line = Timeline::default();
        let messages =
            [(Video, 2_500_000), (Audio, 2_500_010), (Video, 0), (Audio, 10), (Video, 40), (Audio, 33), (Video, 80)];
        let times = placed(&mut line, &messages);
        assert_eq!(times, [2_500_000, 2_500_010, 2_500_020, 2_500_030, 2_500_040, 2_500_033, 2_500_080]);
    }

    #[test]
    fn a_single_message_hours_away_is_stamped_anew() {
        let messages = [(Video, 1000), (Video, 9_000_000), (Video, 1080), (Audio, 1085)];
        assert_eq!(placed(&mut Timeline::default(), &messages), [1000, 1020, 1080, 1085]);
    }

    #[test]
    fn data_that_is_always_stamped_zero_does_not_move_the_stream() {
        let messages = [(Video, 50_000), (Data, 0), (Data, 0), (Data, 0), (Video, 50_040)];
        assert_eq!(placed(&mut Timeline::default(), &messages), [50_000, 50_000, 50_000, 50_000, 50_040]);
    }

    #[test]
    fn a_publisher_that_came_back_goes_on_where_it_is_told() {
        let messages = [(Audio, 0), (Video, 0), (Audio, 23), (Video, 40)];
        assert_eq!(placed(&mut Timeline::starting_at(70_000), &messages), [70_000, 70_000, 70_023, 70_040]);
    }
}
