//! How much a stream has to send, and whether that is too much for a destination.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Over the limit for this long, a destination is degraded …
pub const NOTED: Duration = Duration::from_secs(10);
/// … and for this long, blocked. It is sent to again when the stream has been within the limit for `NOTED`.
pub const BLOCKED: Duration = Duration::from_secs(30);

/// What a stream has come to, once a second.
#[derive(Debug, Default)]
pub struct Meter(VecDeque<(Instant, u64)>);

impl Meter {
    /// The stream has `bytes` by now.
    pub fn look(&mut self, bytes: u64) {
        let now = Instant::now();
        self.0.push_back((now, bytes));
        // The oldest that is needed is the last one before the longest time.
        while self.0.get(1).is_some_and(|(at, _)| now - *at >= BLOCKED) {
            self.0.pop_front();
        }
    }

    /// Bits a second over the last `time`; none before it has been watched for so long.
    pub fn over(&self, time: Duration) -> Option<u64> {
        let (now, bytes) = self.0.back()?;
        let (then, before) = self.0.iter().rev().find(|(at, _)| *now - *at >= time)?;
        Some(((bytes - before) as f64 * 8.0 / (*now - *then).as_secs_f64()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_known_when_it_has_been_watched_for_long_enough_and_the_past_is_forgotten() {
        let (mut meter, mut bytes) = (Meter::default(), 0);
        let second = Duration::from_secs(1);
        for n in 0..100 {
            meter.look(bytes);
            assert_eq!(meter.over(NOTED).is_some(), n >= 10);
            assert_eq!(meter.over(BLOCKED).is_some(), n >= 30);
            bytes += if n < 50 { 1000 } else { 500 };
            advance(second).await;
        }
        assert_eq!((meter.over(NOTED), meter.over(BLOCKED)), (Some(4000), Some(4000)));
        assert!(meter.0.len() <= 32, "{}", meter.0.len());
    }
}
