//! A stream is a bounded log of immutable frames; every reader is a cursor on that log.
//!
//! ```text
//!  Publication ─append─► ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒ Log        Directory: name ─► Log
//!                          ▲      ▲       ▲
//!                        Cursor Cursor  Cursor
//! ```
//! Nothing here knows RTMP, sockets or peers. A reader is known to the log as a `Waker` only.

pub mod cursor;
pub mod directory;
pub mod frame;
pub mod gauge;
pub mod hops;
pub mod log;
pub mod pattern;
pub mod right;

pub use cursor::{Cursor, Join, Skipped};
pub use directory::{Directory, Name, Publication};
pub use frame::{Frame, Preamble};
pub use gauge::Reading;
pub use hops::Hops;
pub use log::{Log, Merge};
pub use pattern::Pattern;
pub use right::{Holder, Right, Takeover};
