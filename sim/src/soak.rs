//! The soak: thousands of worlds, each drawn from its seed, each with a relay, an encoder or two, players, and servers that
//! break; and laws that watch every step of every one of them.
//!
//! ```text
//!  seed ─► Plan ─► Stage ─► Outcome            Campaign: many seeds, some of them twice
//!           faults   │ gauge, reels, tapes
//!                    └─► laws: readers, destinations, publishers, remains ─► findings
//! ```
//!
//! | module | noun |
//! |---|---|
//! | [`plan`] | what will happen |
//! | `stage` | it happens, and is watched |
//! | `encoder`, `viewer`, `reel` | who sends and who plays, and what was sent |
//! | `gauge` | what goes through the relay's doors |
//! | `readers` | Prefix, Isolation |
//! | `destinations` | Reconnect, HalfOpen, Accounting, Memory of a destination |
//! | `publishers` | PublisherNeverWaits, Takeover |
//! | `remains` | Memory of a stream, Leaks |
//! | [`law`], [`point`] | what has to be so, and what has to be met with |
//! | [`campaign`] | many seeds |

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

pub mod campaign;
mod destinations;
mod encoder;
mod findings;
mod gauge;
pub mod law;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod plan;
pub mod point;
mod publishers;
mod readers;
mod reel;
mod remains;
mod stage;
mod viewer;

pub use campaign::{Campaign, Summary};
pub use law::{Law, Violation};
pub use plan::{Fault, Kind, Plan};
pub use point::{Point, Points};

use crate::trace::Trace;
use stage::Stage;

/// How much of a world is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nothing, which is fastest.
    Nothing,
    /// What is worth an `info` or more.
    Story,
    /// Everything, down to every segment.
    Wire,
}

/// How one world went.
#[derive(Debug)]
pub struct Outcome {
    /// What was planned.
    pub plan: Plan,
    /// The first law that was broken.
    pub violation: Option<Violation>,
    /// Rare situations that were met with.
    pub points: Points,
    /// Simulated time.
    pub lasted: Duration,
    /// Of all bytes that went through the relay's doors, with their times.
    pub digest: u64,
    /// What happened, as far as it was to be told.
    pub trace: String,
}

/// Plays the world of `seed`.
pub fn play(seed: u64, told: Told) -> Outcome {
    crate::quiet::keep();
    let plan = Plan::drawn(seed);
    let trace = Trace::default();
    let _log = (told != Told::Nothing).then(|| trace.install(told == Told::Wire));
    let mut stage = Stage::new(&plan, trace.clone());
    let played = catch_unwind(AssertUnwindSafe(|| stage.play()));
    if let Err(panic) = played {
        stage.found.broken.get_or_insert((Law::NothingPanics, words(&*panic)));
    }
    let (lasted, digest) = (stage.now(), stage.digest());
    let found = std::mem::take(&mut stage.found);
    // What happens while a world is taken down is nobody's business.
    let trace = trace.all();
    drop(stage);
    let violation = found.broken.map(|(law, what)| Violation { law, seed, time: lasted, what });
    Outcome { plan, violation, points: found.points, lasted, digest, trace }
}

/// Plays it twice, and compares what happened.
pub fn play_twice(seed: u64, told: Told) -> Outcome {
    let (mut first, second) = (play(seed, told), play(seed, told));
    if first.violation.is_none() && (first.trace != second.trace || first.digest != second.digest) {
        let lines = first.trace.lines().zip(second.trace.lines());
        let what = match lines.into_iter().find(|(a, b)| a != b) {
            Some((a, b)) => format!("first “{}”, then “{}”", a.trim(), b.trim()),
            None => format!("{:016x}, then {:016x}", first.digest, second.digest),
        };
        first.violation = Some(Violation { law: Law::Determinism, seed, time: first.lasted, what });
    }
    first
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
