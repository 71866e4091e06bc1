//! Notices a peer that takes nothing any more. Asked now and then, it costs the way of a message nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::{Connection, Delivery, Source, Stream};
use crate::rtmp::session::Session;

/// How often to ask.
pub const TICK: Duration = Duration::from_secs(1);

/// What was known when it was last asked.
#[derive(Debug)]
pub struct Watch {
    sent: u64,
    /// What the system knew of that, where it says.
    delivery: Option<Delivery>,
    /// When the peer last took something …
    taken: Instant,
    /// … or had nothing to take.
    moved: Instant,
    waiting: bool,
}

impl Default for Watch {
    fn default() -> Self {
        let now = Instant::now();
        Watch { sent: 0, delivery: None, taken: now, moved: now, waiting: false }
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
        let delivery = connection.delivery();
        let (before, queued) = (queued(self.delivery), queued(delivery));
        // What the system has been given since, and does not hold any more. In TLS it is given a little more than was sent,
        // so that a queue which only grows is never taken for one that moves.
        let taken = sent + before > self.sent + queued;
        if taken {
            self.taken = now;
        }
        self.waiting = queued > 0 || connection.is_blocked();
        if taken || !self.waiting {
            self.moved = now;
        }
        (self.sent, self.delivery) = (sent, delivery);
        let ahead = if mutant!(SeenTooLate) { Duration::ZERO } else { 2 * TICK };
        now - self.moved >= limit.saturating_sub(ahead)
    }

    /// How long it has been, when last asked, since the peer took something: its host, where the system says, else the
    /// system itself.
    pub fn idle(&self) -> Duration {
        self.taken.elapsed()
    }

    /// Bytes that the peer's host had taken, when last asked; the system itself, where it does not say.
    pub fn taken(&self) -> u64 {
        self.sent.saturating_sub(queued(self.delivery))
    }

    /// What the system knew, when last asked, of what it had been given.
    pub fn delivery(&self) -> Option<Delivery> {
        self.delivery
    }

    /// Whether there was something to take, when last asked.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }
}

/// Bytes that the peer's host has not acknowledged.
fn queued(delivery: Option<Delivery>) -> u64 {
    delivery.map_or(0, |delivery| delivery.queued as u64)
}
