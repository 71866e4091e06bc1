//! Points: rare situations that a soak has to come through now and then, or it does not test what it seems to.

use std::collections::BTreeMap;

/// How often each was reached.
pub type Points = BTreeMap<Point, u64>;

macro_rules! points {
    ($($(#[doc = $text:literal])* $name:ident,)*) => {
        /// A rare situation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point { $($(#[doc = $text])* $name,)* }

        impl Point {
            /// All of them.
            pub const ALL: &[Point] = &[$(Point::$name,)*];

            /// What it is.
            pub fn sentence(self) -> &'static str {
                match self { $(Point::$name => concat!($($text,)*).trim_ascii(),)* }
            }
        }
    };
}

points! {
    /// A server resets its connection in the middle of a message.
    Reset,
    /// A server is gone between the headers and the first frame.
    GoneAtTheStart,
    /// A destination jumps, and a key frame is the first that is left out.
    DropAtKey,
    /// A destination jumps, and something else is.
    DropElsewhere,
    /// A destination takes nothing, is degraded, and live again in the same session.
    StalledAndRecovered,
    /// A destination takes nothing, and is given up.
    GivenUp,
    /// A publisher takes another's place.
    Takeover,
    /// It does while a destination is connecting.
    TakeoverWhileConnecting,
    /// A publisher is refused because another is there.
    Busy,
    /// A lost publisher comes back within the grace, and a destination's session goes on.
    Resumed,
    /// A publisher's grace runs out.
    GraceOver,
    /// A stream begins while its destination still ends the session before it.
    WaitsForItsPlace,
    /// The clock of an encoder passes 2^32, and a reader goes on.
    ClockWraps,
    /// The clock of an encoder passes 2^31, and a reader goes on.
    ClockTurnsNegative,
    /// The relay is told to stop while a destination is connecting or waits for its next attempt.
    ShutdownWhileReconnecting,
    /// The relay crashes while a destination is live.
    RelayCrash,
    /// A server says no to `connect` or to a key.
    Rejected,
    /// A server says that the key is in use.
    AlreadyLive,
    /// A server ends a started publish.
    Kicked,
    /// A step of an attempt times out.
    StepTimedOut,
    /// A connect is refused.
    ConnectFailed,
    /// A server breaks the protocol.
    ProtocolError,
    /// A session that comes back starts in a GOP that had begun before it was accepted.
    JoinsHeldGop,
    /// A session that comes back waits for the next key frame.
    WaitsForKey,
    /// A log lets go of frames because of its bytes, before its time.
    LogFull,
    /// A backoff is reset by ten good seconds.
    BackoffReset,
    /// A destination finds its server at another address.
    Moved,
    /// Two destinations are down at once.
    TwoDown,
}
