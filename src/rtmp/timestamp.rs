//! A publisher's time line made straight: 32 bits that wrap, jump and stutter in, 64 bits that never go back out.
//!
//! A step of more than 10 s ahead of the stream, or 1 s back within a series, is no step but a jump. One message that jumps
//! alone is stamped anew; when three of a series in a row do, the source has a new time line and the stream goes on where it
//! was. The other series follows as soon as it jumps to the same time line, and keeps its own where it never does.

use crate::flv::Kind;

/// A message further ahead than this has jumped.
const AHEAD_MS: i64 = 10_000;
/// A message further behind its own series than this has jumped.
const BEHIND_MS: i64 = 1_000;
/// A series' first message may be this far behind the others.
const BEHIND_FIRST_MS: i64 = 10_000;
/// Jumps of one series in a row that make a new time line.
const JUMPS: u32 = 3;
/// The step of a message whose own cannot be believed.
const NOMINAL_MS: i64 = 20;

/// The time line of one publisher session.
#[derive(Debug, Default)]
pub struct Timeline {
    series: [Series; 3],
    newest: i64,
    /// Where the first message is to be put; as it comes if `None`.
    start: Option<u64>,
}

/// Audio, video or data.
#[derive(Debug, Default, Clone, Copy)]
struct Series {
    clock: Option<Clock>,
    /// The place of the last message.
    last: Option<i64>,
    jumps: u32,
}

/// A timestamp of the source, and what it is on the stream's time line.
#[derive(Debug, Clone, Copy)]
struct Clock {
    source: u32,
    stream: i64,
}

impl Clock {
    /// Of the two ways round to `timestamp`, the shorter. FLV and OBS keep 31 bits of the 32, so no more are looked at: both
    /// kinds of clocks come round there.
    fn read(self, timestamp: u32) -> i64 {
        let steps = timestamp.wrapping_sub(self.source) << 1;
        self.stream + i64::from(steps.cast_signed() >> 1)
    }
}

impl Timeline {
    /// A time line whose first message is at `time`, whatever it says: a publisher that came back.
    pub fn starting_at(time: u64) -> Self {
        Timeline { start: Some(time), ..Timeline::default() }
    }

    /// The place of a message in the stream, in milliseconds. Within a kind it never goes back.
    pub fn place(&mut self, kind: Kind, timestamp: u32) -> u64 {
        let others = self.series.map(|series| series.clock);
        let series = &mut self.series[kind as usize];
        if others.iter().all(Option::is_none) {
            self.newest = self.start.map_or(i64::from(timestamp), |time| time as i64);
            series.clock = Some(Clock { source: timestamp, stream: self.newest });
        }
        let floor = series.last.map_or(self.newest - BEHIND_FIRST_MS, |last| last - BEHIND_MS);
        let sound = floor..=self.newest + AHEAD_MS;
        let clocks = [series.clock].into_iter().chain(others).flatten();
        let time = match clocks.map(|clock| clock.read(timestamp)).find(|time| sound.contains(time)) {
            Some(time) => {
                (series.clock, series.jumps) = (Some(Clock { source: timestamp, stream: time }), 0);
                time
            }
            // Data says little about the time line: some encoders stamp all of it 0.
            None if kind == Kind::Data => self.newest,
            None => {
                let time = series.last.unwrap_or(self.newest) + NOMINAL_MS;
                series.jumps += 1;
                if series.jumps == JUMPS {
                    (series.clock, series.jumps) = (Some(Clock { source: timestamp, stream: time }), 0);
                }
                time
            }
        };
        let time = time.max(series.last.unwrap_or(0)).max(0);
        series.last = Some(time);
        self.newest = self.newest.max(time);
        time as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        // OBS keeps 31 bits, and sound may still be on the far side of the wrap.
        let top = 0x7fff_fff0;
        let messages = [(Video, top), (Audio, top - 20), (Video, 17), (Audio, top + 3), (Video, 50), (Audio, 10)];
        let times = placed(&mut Timeline::default(), &messages);
        let top = u64::from(top);
        assert_eq!(times, [top, top - 20, top + 33, top + 3, top + 66, top + 26]);
    }

    #[test]
    fn a_small_step_back_is_held() {
        assert_eq!(placed(&mut Timeline::default(), &[(Video, 500), (Video, 480), (Video, 520)]), [500, 500, 520]);
    }

    /// AlexxIT/go2rtc#1943: the source's time line goes back to 0.
    #[test]
    fn interop_74_a_jump_back_is_never_passed_on_and_sound_keeps_its_distance_to_the_picture() {
        let mut messages = vec![(Video, 2_500_000), (Audio, 2_500_010)];
        messages.extend((0..20).flat_map(|n| [(Video, 40 * n), (Audio, 40 * n + 7)]));
        let times = placed(&mut Timeline::default(), &messages);
        // Three of the picture and two of the sound were stamped anew; from then on they are 7 ms apart, as they were.
        assert_eq!(times[..6], [2_500_000, 2_500_010, 2_500_020, 2_500_030, 2_500_040, 2_500_050]);
        for (n, pair) in times[6..].chunks(2).enumerate() {
            let video = 2_500_060 + 40 * n as u64;
            assert_eq!(pair, [video, video + 7], "pair {n}");
        }
    }

    #[test]
    fn a_series_that_stays_on_a_time_line_of_its_own_keeps_its_pace() {
        // Sound by the time of day, the picture from 0: hours apart for ever.
        let messages: Vec<_> = (0..100).flat_map(|n| [(Video, 40 * n), (Audio, 70_000_000 + 40 * n)]).collect();
        let times = placed(&mut Timeline::default(), &messages);
        for pair in times[10..].chunks(2) {
            assert!(pair[0].abs_diff(pair[1]) <= 60, "{pair:?}");
        }
        assert!(times[10..].chunks(2).is_sorted_by_key(|pair| (pair[0], pair[1])), "{times:?}");
        assert_eq!(times[198] - times[10], 40 * 94);
    }

    #[test]
    fn a_restart_in_mid_session_goes_on_where_the_stream_was() {
        let before = (0..50).map(|n| (Video, 1_000_000 + 40 * n));
        let after = (0..50).map(|n| (Video, 40 * n));
        let far_ahead = (0..50).map(|n| (Video, 3_000_000_000 + 40 * n));
        let messages: Vec<_> = before.chain(after).chain(far_ahead).collect();
        let times = placed(&mut Timeline::default(), &messages);
        assert!(times.windows(2).all(|pair| (20..=40).contains(&(pair[1] - pair[0]))), "{times:?}");
    }

    /// bluenviron/mediamtx#6255: one frame of a video recorder.
    #[test]
    fn interop_75_a_message_hours_away_is_stamped_anew_and_the_time_line_kept() {
        let messages = [(Video, 1000), (Video, 9_000_000), (Video, 1080), (Audio, 1085)];
        assert_eq!(placed(&mut Timeline::default(), &messages), [1000, 1020, 1080, 1085]);
        let messages = [(Video, 9_000_000), (Video, 0), (Video, 5), (Video, 9_000_120)];
        assert_eq!(placed(&mut Timeline::default(), &messages), [9_000_000, 9_000_020, 9_000_040, 9_000_120]);
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

    /// Kinds and timestamps: steps of a source, and anything.
    fn messages() -> impl Strategy<Value = Vec<(Kind, u32)>> {
        let kind = prop::sample::select(vec![Audio, Video, Data]);
        let times = prop_oneof![8 => 0u32..20_000, 2 => 0x7fff_0000u32..=0x8001_0000, 1 => any::<u32>()];
        prop::collection::vec((kind, times), 1..200)
    }

    proptest! {
        #[test]
        fn whatever_a_source_says_no_series_goes_back_and_nothing_leaps_ahead(
            messages in messages(),
            start in prop::option::of(0u64..1 << 40),
        ) {
            let mut line = start.map_or_else(Timeline::default, Timeline::starting_at);
            let (mut newest, mut last) = (start.unwrap_or(messages[0].1.into()), [0; 3]);
            for (kind, timestamp) in messages {
                let time = line.place(kind, timestamp);
                prop_assert!(time >= last[kind as usize], "{:?} {} after {}", kind, time, last[kind as usize]);
                prop_assert!(time <= newest + AHEAD_MS as u64, "{} after {}", time, newest);
                (newest, last[kind as usize]) = (newest.max(time), time);
            }
        }
    }
}
