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
    /// Of that, what the peer's host has not acknowledged, where the system says.
    queued: u64,
    /// When the peer last took something …
    taken: Instant,
    /// … or had nothing to take.
    moved: Instant,
    waiting: bool,
}

impl Default for Watch {
    fn default() -> Self {
        let now = Instant::now();
        Watch { sent: 0, queued: 0, taken: now, moved: now, waiting: false }
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
        let queued = connection.delivery().map_or(0, |delivery| delivery.queued as u64);
        // What the system has been given since, and does not hold any more. In TLS it is given a little more than was sent,
        // so that a queue which only grows is never taken for one that moves.
        let taken = sent + self.queued > self.sent + queued;
        if taken {
            self.taken = now;
        }
        self.waiting = queued > 0 || connection.is_blocked();
        if taken || !self.waiting {
            self.moved = now;
        }
        (self.sent, self.queued) = (sent, queued);
        let ahead = if mutant!(SeenTooLate) { Duration::ZERO } else { 2 * TICK };
        now - self.moved >= limit.saturating_sub(ahead)
    }

    /// How long it has been, when last asked, since the peer took something: its host, where the system says, else the
    /// system itself.
    pub fn idle(&self) -> Duration {
        self.taken.elapsed()
    }

    /// Whether there was something to take, when last asked.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }
}
