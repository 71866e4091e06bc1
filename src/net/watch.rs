//! Notices a peer that takes nothing any more. Asked now and then, it costs the way of a message nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::{Connection, Source, Stream};
use crate::rtmp::session::Session;

/// How often to ask.
pub const TICK: Duration = Duration::from_secs(1);

/// What was known when it was last asked.
#[derive(Debug)]
pub struct Watch {
    sent: u64,
    moved: Instant,
}

impl Default for Watch {
    fn default() -> Self {
        Watch { sent: 0, moved: Instant::now() }
    }
}

impl Watch {
    /// How long bytes have been waiting with none of them taken. Zero where none wait.
    pub fn stalled<S: Stream, P: Session, M: Source>(&mut self, connection: &Connection<S, P, M>) -> Duration {
        let (sent, now) = (connection.sent(), Instant::now());
        if sent != self.sent || !connection.is_blocked() {
            *self = Watch { sent, moved: now };
        }
        now - self.moved
    }
}
