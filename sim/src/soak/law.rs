//! Laws: what has to be so in every world, whatever happens.

use std::fmt;
use std::time::Duration;

/// What has to be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// See `sentence`.
    Prefix,
    /// See `sentence`.
    Isolation,
    /// See `sentence`.
    PublisherNeverWaits,
    /// See `sentence`.
    Reconnect,
    /// See `sentence`.
    Memory,
    /// See `sentence`.
    Leaks,
    /// See `sentence`.
    Takeover,
    /// See `sentence`.
    HalfOpen,
    /// See `sentence`.
    Liveness,
    /// See `sentence`.
    Accounting,
    /// See `sentence`.
    Determinism,
    /// See `sentence`.
    NothingPanics,
}

impl Law {
    /// All of them.
    pub const ALL: [Law; 12] = [
        Law::Prefix,
        Law::Isolation,
        Law::PublisherNeverWaits,
        Law::Reconnect,
        Law::Memory,
        Law::Leaks,
        Law::Takeover,
        Law::HalfOpen,
        Law::Liveness,
        Law::Accounting,
        Law::Determinism,
        Law::NothingPanics,
    ];

    /// What it says.
    pub fn sentence(self) -> &'static str {
        match self {
            Law::Prefix => {
                "a session gets metadata and the headers in force, then what was published from a key frame on, byte for byte, \
                 in order and in time; where something is missing, headers and a key frame come again"
            }
            Law::Isolation => "who is not named in the fault script misses nothing, and gets nothing late",
            Law::PublisherNeverWaits => "no write of the encoder's is held up by the relay for more than 50 ms",
            Law::Reconnect => {
                "a destination waits after a failure as long as its backoff says, tries then, and is never at a server twice"
            }
            Law::Memory => {
                "what is held, for a stream and for a destination, stays under its limit, and is what the counters say"
            }
            Law::Leaks => "when everybody has gone no task, connection, log or byte is left",
            Law::Takeover => {
                "a publisher is let in within a second once the one before it has been silent for two, and not before"
            }
            Law::HalfOpen => "a peer that is dead or takes nothing is not called live, and is left within ten seconds",
            Law::Liveness => "when all faults have healed every destination is receiving again in time",
            Law::Accounting => "bytes, messages, drops, attempts and reconnects are what went through the doors",
            Law::Determinism => "the same seed gives the same trace, byte for byte",
            Law::NothingPanics => "no task panics, and no world comes to an end of its own",
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A law that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub law: Law,
    /// In which world.
    pub seed: u64,
    /// Simulated time.
    pub time: Duration,
    /// How.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { law, seed, time, what } = self;
        write!(f, "seed {seed}, at {:.3} s: {law} broken: {what}", time.as_secs_f64())
    }
}
