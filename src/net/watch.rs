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
    /// Whether the peer is to be left: bytes have been waiting, and by the next look none of them will have been taken for
    /// `limit`. Asked at each `TICK`; what moved did so up to a tick before it was seen.
    pub fn has_stalled<S: Stream, P: Session, M: Source>(
        &mut self,
        connection: &Connection<S, P, M>,
        limit: Duration,
    ) -> bool {
        let (sent, now) = (connection.sent(), Instant::now());
        if sent != self.sent || !connection.is_blocked() {
            *self = Watch { sent, moved: now };
        }
        let ahead = if mutant!(SeenTooLate) { Duration::ZERO } else { 2 * TICK };
        now - self.moved >= limit.saturating_sub(ahead)
    }
}
