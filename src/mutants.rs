//! Deliberate bugs, one at a time, to see that the laws of `sim` catch them. In no build but those with `--features mutants`.
//!
//! The product asks `mutant!(Name)` where the bug would be. Without the feature that is `false`, and nothing of this is there.

/// Whether this bug is chosen.
macro_rules! mutant {
    ($name:ident) => {{
        #[cfg(feature = "mutants")]
        let chosen = $crate::mutants::chosen() == Some($crate::mutants::Mutant::$name);
        #[cfg(not(feature = "mutants"))]
        let chosen = $crate::mutants::none();
        chosen
    }};
}

/// The answer where there are none.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn none() -> bool {
    false
}

#[cfg(feature = "mutants")]
pub use with_the_feature::*;

#[cfg(feature = "mutants")]
mod with_the_feature {
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Makes one of them real on this thread, or none.
    pub fn choose(mutant: Option<Mutant>) {
        CHOSEN.set(mutant);
    }

    /// The one that is real.
    pub fn chosen() -> Option<Mutant> {
        CHOSEN.get()
    }

    /// Bugs, two or more for each law.
    macro_rules! mutants {
        ($($(#[doc = $text:literal])+ $name:ident: $law:literal,)+) => {
            /// A bug.
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum Mutant { $($(#[doc = $text])+ $name,)+ }

            impl Mutant {
                /// All of them: the bug, the law it breaks, and what it does.
                pub const ALL: &[(Mutant, &str, &str)] = &[$((Mutant::$name, $law, concat!($($text),+)),)+];
            }
        };
    }

    mutants! {
        /// a session is given no metadata and headers
        NoPreamble: "Prefix",
        /// a reader starts at any frame
        StartsAnywhere: "Prefix",
        /// a destination that is lost ends the stream for all
        OneEndsAll: "Isolation",
        /// only the first reader hears of a frame
        OnlyTheFirstHears: "Isolation",
        /// the publisher is read once a second
        ReadsSlowly: "PublisherNeverWaits",
        /// the publisher is read every ten seconds once the log has something
        StopsReading: "PublisherNeverWaits",
        /// the waits between tries are ten times as long
        WaitsTooLong: "Reconnect",
        /// a session begins while the one before is ending (found by a scenario, and mended)
        TwoAtOnce: "Reconnect",
        /// the log lets go of nothing
        LogGrows: "Memory",
        /// a connection takes from the log what its peer does not take
        OutboxGrows: "Memory",
        /// the log forgets some of the bytes it lets go of
        Miscounts: "Memory",
        /// a reader that has gone stays in the log's list
        WakerStays: "Leaks",
        /// a stream that has ended stays in the directory
        EntryStays: "Leaks",
        /// a silent publisher keeps its place
        NeverTakesOver: "Takeover",
        /// a replaced publisher's goodbye ends the stream
        LateGoodbyeHits: "Takeover",
        /// a server that takes nothing is never given up
        NeverStalled: "HalfOpen",
        /// a stall is counted from one look to another (found by the soak, and mended)
        SeenTooLate: "HalfOpen",
        /// a destination is always live
        AlwaysLive: "HalfOpen",
        /// a destination gives up after three failures
        GivesUp: "Liveness",
        /// a reader that was behind finds no place to start again
        StaysBehind: "Liveness",
        /// messages are counted twice
        CountsTwice: "Accounting",
        /// what is left out is not counted
        ForgetsDrops: "Accounting",
        /// a stream that begins anew loses its row while the old one says goodbye (found by the soak, and mended)
        ForgetsRow: "Accounting",
        /// the jitter comes from nobody's seed
        OwnDice: "Determinism",
        /// readers are called in any order
        AnyOrder: "Determinism",
    }
}
