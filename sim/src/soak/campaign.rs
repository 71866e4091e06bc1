//! A campaign: many seeds on several threads, and what came of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::plan::Kind;
use super::point::{Point, Points};
use super::{Outcome, Told, play, play_twice};

/// One seed in so many is played twice.
const TWICE: u64 = 10;
/// From so many seeds on, a point that was never reached is a failure.
const ENOUGH: u64 = 2_000;

/// Which seeds, and how.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// The seeds.
    pub seeds: Range<u64>,
    /// Worlds at a time.
    pub jobs: usize,
    /// No new world is begun after this long.
    pub limit: Option<Duration>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Summary {
    /// Worlds played.
    pub seeds: u64,
    /// Of them, how many were played twice.
    pub twice: u64,
    /// Simulated time, each world once.
    pub simulated: Duration,
    /// Time it took.
    pub took: Duration,
    /// Faults, by kind.
    pub faults: BTreeMap<Kind, u64>,
    /// Worlds that reached each point.
    pub points: Points,
    /// Worlds in which a law was broken.
    pub failures: Vec<Outcome>,
    /// Deliberate bugs that a law has caught, and all of them; none in a build without them.
    pub mutants: Option<(usize, usize)>,
}

impl Campaign {
    /// Plays the worlds; `progress` is called after each.
    pub fn run(&self, progress: impl Fn(&Summary) + Sync) -> Summary {
        let begun = Instant::now();
        let (next, summary) = (AtomicU64::new(self.seeds.start), Mutex::new(Summary::default()));
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| {
                    while self.limit.is_none_or(|limit| begun.elapsed() < limit) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= self.seeds.end {
                            break;
                        }
                        let twice = seed % TWICE == 0;
                        let outcome = if twice { play_twice(seed, Told::Story) } else { play(seed, Told::Nothing) };
                        // Numbers only: a panic while they were added would leave nothing worse than a wrong one.
                        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
                        summary.add(outcome, twice);
                        summary.took = begun.elapsed();
                        progress(&summary);
                    }
                });
            }
        });
        let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        summary.failures.sort_by_key(|outcome| outcome.plan.seed);
        summary
    }
}

impl Summary {
    fn add(&mut self, outcome: Outcome, twice: bool) {
        self.seeds += 1;
        self.twice += u64::from(twice);
        self.simulated += outcome.lasted;
        for fault in &outcome.plan.faults {
            *self.faults.entry(fault.kind).or_default() += 1;
        }
        for point in outcome.points.keys() {
            *self.points.entry(*point).or_default() += 1;
        }
        if outcome.violation.is_some() {
            self.failures.push(outcome);
        }
    }

    /// Points that were never reached.
    pub fn missed(&self) -> Vec<Point> {
        Point::ALL.iter().copied().filter(|point| !self.points.contains_key(point)).collect()
    }

    /// No law was broken, no mutant has survived, and no point was missed where there were seeds enough to reach all.
    pub fn is_good(&self) -> bool {
        let caught = self.mutants.is_none_or(|(caught, all)| caught == all);
        self.failures.is_empty() && caught && (self.seeds < ENOUGH || self.missed().is_empty())
    }

    /// Simulated seconds a second.
    pub fn speed(&self) -> f64 {
        self.simulated.as_secs_f64() / self.took.as_secs_f64().max(0.001)
    }

    /// All of it as one JSON object on one line.
    pub fn json(&self) -> String {
        let mut text = format!(
            "{{\"seeds\":{},\"twice\":{},\"sim_hours\":{:.2},\"wall_s\":{:.1},\"speed\":{:.0}",
            self.seeds,
            self.twice,
            self.simulated.as_secs_f64() / 3600.0,
            self.took.as_secs_f64(),
            self.speed()
        );
        let list = |items: Vec<String>| items.join(",");
        let faults = list(self.faults.iter().map(|(kind, n)| format!("\"{kind:?}\":{n}")).collect());
        let points = list(self.points.iter().map(|(point, n)| format!("\"{point:?}\":{n}")).collect());
        let missed = list(self.missed().iter().map(|point| format!("\"{point:?}\"")).collect());
        let violations = self.failures.iter().filter_map(|outcome| outcome.violation.as_ref());
        let violations = list(violations.map(|v| format!("{{\"seed\":{},\"law\":\"{}\"}}", v.seed, v.law)).collect());
        let (caught, all) =
            self.mutants.map_or(("null".into(), "null".into()), |(c, a)| (c.to_string(), a.to_string()));
        // Writing to a string does not fail.
        let _ = write!(
            text,
            ",\"faults\":{{{faults}}},\"points\":{{{points}}},\"missed\":[{missed}],\"violations\":[{violations}],\
             \"mutants_caught\":{caught},\"mutants\":{all}}}"
        );
        text
    }
}
