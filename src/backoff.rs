//! How long to wait before the next try: twice as long each time, up to a cap, with jitter.

use std::time::Duration;

/// The waits of one destination.
#[derive(Debug)]
pub struct Backoff {
    initial: Duration,
    failures: u32,
    random: fastrand::Rng,
}

impl Backoff {
    /// No failure so far; the first wait is `initial`.
    pub fn new(initial: Duration, random: fastrand::Rng) -> Self {
        Backoff { initial, failures: 0, random }
    }

    /// The wait after one more failure: within a quarter of `initial`, twice that, four times that, … `cap`.
    pub fn next(&mut self, cap: Duration) -> Duration {
        let doubled = self.initial.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        let dice = if mutant!(OwnDice) { fastrand::f64() } else { self.random.f64() };
        doubled.min(cap).mul_f64(0.75 + dice / 2.0)
    }

    /// Starts again with the shortest wait.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL: Duration = Duration::from_millis(250);

    #[test]
    fn waits_double_up_to_the_cap_for_ever_and_no_two_destinations_agree() {
        let cap = Duration::from_secs(5);
        let waits = |seed| {
            let mut backoff = Backoff::new(INITIAL, fastrand::Rng::with_seed(seed));
            (0..100).map(|_| backoff.next(cap)).collect::<Vec<_>>()
        };
        let expected = |n: u32| (INITIAL * 2u32.pow(n.min(10))).min(cap);
        for (n, wait) in (0..).zip(waits(1)) {
            assert!(wait >= expected(n).mul_f64(0.75) && wait <= expected(n).mul_f64(1.25), "{n}: {wait:?}");
        }
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1));
    }

    #[test]
    fn after_a_reset_the_first_wait_is_short_again() {
        let mut backoff = Backoff::new(INITIAL, fastrand::Rng::with_seed(1));
        for _ in 0..10 {
            backoff.next(Duration::from_secs(60));
        }
        backoff.reset();
        assert!(backoff.next(Duration::from_secs(60)) < INITIAL.mul_f64(1.25));
    }
}
