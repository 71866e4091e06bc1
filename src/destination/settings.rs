//! What can be set for each destination.

use std::time::Duration;

use crate::guard::Guard;
use crate::limits::{DESTINATION_JOIN, DESTINATION_LAG, RECONNECT_FIRST, RECONNECT_MAX, STALL, STEP};
use crate::platforms::Platform;
use crate::rtmp::chunk::DEFAULT_SIZE;
use crate::stream::{Join, Merge};

/// How a destination is sent to. The default is right for every platform that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The chunk size it is sent with, in bytes.
    pub chunk_size: usize,
    /// What waits a moment, so that it leaves in one write with what comes next.
    pub merge: Merge,
    /// How soon it is tried again.
    pub reconnect: Reconnect,
    /// How long it may keep us waiting.
    pub timeouts: Timeouts,
    /// Further behind than this, it jumps to the newest key frame.
    pub max_lag: Duration,
    /// A stream with more bits a second is not for it.
    pub max_bitrate: Option<u64>,
    /// Whose server it is.
    pub platform: Option<&'static Platform>,
    /// What is done about what the platform does not like.
    pub guard: Guard,
    /// It is never connected to at an address inside our own network, wherever its name leads.
    pub public_only: bool,
}

/// Waits between tries: `initial`, then twice as long each time, up to `max` or to the error's own cap if that is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Reconnect {
    pub initial: Duration,
    pub max: Duration,
}

/// Patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For each step on the way to an accepted stream: name, TCP, handshake, each command.
    pub connect: Duration,
    /// For a server that takes none of the bytes that wait for it.
    pub progress: Duration,
}

impl Settings {
    /// Where in a stream its sessions begin: not long ago, so that they do not begin with a burst.
    pub fn join(&self) -> Join {
        Join { newest_if_within: DESTINATION_JOIN, lag_max: self.max_lag }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            chunk_size: DEFAULT_SIZE,
            merge: Merge::None,
            reconnect: Reconnect::default(),
            timeouts: Timeouts::default(),
            max_lag: DESTINATION_LAG,
            max_bitrate: None,
            platform: None,
            guard: Guard::default(),
            public_only: false,
        }
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        Reconnect { initial: RECONNECT_FIRST, max: RECONNECT_MAX }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { connect: STEP, progress: STALL }
    }
}
