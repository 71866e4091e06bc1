//! What is known of every destination, for whoever shows it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::feed::Stats;
use crate::stream::Name;

/// Where a destination's life stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// No stream to send.
    Waiting,
    /// On the way to `NetStream.Publish.Start`.
    Connecting,
    /// Accepted, and bytes have left in the last seconds.
    Live,
    /// Accepted, but no bytes leave: the stream pauses, or the server takes none.
    Degraded,
    /// Lost, and about to be tried again.
    BackingOff,
    /// Refused, and tried again more slowly.
    Rejected,
    /// Not to be tried as things are.
    Blocked,
    /// Saying goodbye.
    Draining,
}

/// One destination and one stream.
#[derive(Debug, Clone)]
pub struct Status {
    /// The destination's name. Its URL holds the key and is nowhere here.
    pub name: String,
    /// The stream it has, if any.
    pub stream: Option<Name>,
    /// Where it stands …
    pub state: State,
    /// … and since when.
    pub since: Instant,
    /// Why it stands there, where that needs a word.
    pub reason: Option<String>,
    /// What the stream has that the server did not announce: codecs, multitrack. It is sent all the same, and many servers that
    /// announce nothing take it; where they do not, this is why nobody sees a picture. Plain H.264 and AAC are never here.
    pub unannounced: Vec<String>,
    /// The last error in words. It stays after a recovery.
    pub last_error: Option<String>,
    /// When the next attempt is due, if it waits for one.
    pub retry_at: Option<Instant>,
    /// Connections tried.
    pub attempts: u64,
    /// Sessions after the first.
    pub reconnects: u64,
    /// Bytes sent, over all sessions.
    pub bytes: u64,
    /// Messages sent, over all sessions.
    pub messages: u64,
    /// Frames left out because the server was too slow.
    pub dropped: u64,
    /// Media time not sent yet.
    pub lag: Duration,
    /// Bytes on their way to the server that it has not taken yet. The rest waits in the stream's log, for everybody.
    pub unsent: usize,
    /// Bits a second, over the last second.
    pub bitrate: u64,
    /// Time spent connected, in sessions that have ended.
    connected_before: Duration,
    connected_since: Option<Instant>,
    sessions: u64,
    /// What the present session has already added to the totals, and when.
    counted: (u64, Stats, Instant),
}

impl Status {
    fn new(name: &str) -> Self {
        let now = Instant::now();
        Status {
            name: name.to_owned(),
            stream: None,
            state: State::Waiting,
            since: now,
            reason: None,
            unannounced: Vec::new(),
            last_error: None,
            retry_at: None,
            attempts: 0,
            reconnects: 0,
            bytes: 0,
            messages: 0,
            dropped: 0,
            lag: Duration::ZERO,
            unsent: 0,
            bitrate: 0,
            connected_before: Duration::ZERO,
            connected_since: None,
            sessions: 0,
            counted: (0, Stats::default(), now),
        }
    }

    /// Time spent connected so far.
    pub fn connected(&self) -> Duration {
        self.connected_before + self.connected_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Changes the state; staying in one keeps its beginning.
    pub(super) fn enter(&mut self, state: State, reason: Option<String>) {
        if self.state != state {
            self.state = state;
            self.since = Instant::now();
        }
        self.reason = reason;
        self.retry_at = None;
    }

    /// The attempt or the session has failed; the next attempt is due after `wait`.
    pub(super) fn failed(&mut self, state: State, reason: String, wait: Duration) {
        self.last_error = Some(reason.clone());
        self.enter(state, Some(reason));
        self.retry_at = Some(Instant::now() + wait);
    }

    /// The server has accepted the stream.
    pub(super) fn session_began(&mut self) {
        let now = Instant::now();
        self.enter(State::Live, None);
        self.reconnects += u64::from(self.sessions > 0);
        self.sessions += 1;
        self.connected_since = Some(now);
        self.counted = (0, Stats::default(), now);
    }

    /// The session is over.
    pub(super) fn session_ended(&mut self) {
        self.connected_before = self.connected();
        self.connected_since = None;
        self.bitrate = 0;
        self.unsent = 0;
        self.lag = Duration::ZERO;
    }

    /// Adds what the session has done since it was last counted.
    pub(super) fn count(&mut self, sent: u64, stats: Stats) {
        let (bytes, counted, then) = self.counted;
        let elapsed = then.elapsed().as_secs_f64();
        if elapsed > 0.1 {
            self.bitrate = ((sent - bytes) as f64 * 8.0 / elapsed) as u64;
        }
        self.bytes += sent - bytes;
        self.messages += (stats.messages - counted.messages) * if mutant!(CountsTwice) { 2 } else { 1 };
        self.dropped += if mutant!(ForgetsDrops) { 0 } else { stats.skipped - counted.skipped };
        self.lag = stats.lag;
        self.counted = (sent, stats, Instant::now());
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Waiting => "waiting",
            State::Connecting => "connecting",
            State::Live => "live",
            State::Degraded => "degraded",
            State::BackingOff => "backing_off",
            State::Rejected => "rejected",
            State::Blocked => "blocked",
            State::Draining => "draining",
        })
    }
}

/// The statuses of all destinations of a relay, in the order they were given. A clone shows the same board.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Vec<Slot>>>);

type Slot = (usize, Arc<Mutex<Status>>);

/// One destination's place on the board. Dropped, the destination waits again; a second stream's place goes away.
#[derive(Debug)]
pub struct Row {
    board: Board,
    route: usize,
    status: Arc<Mutex<Status>>,
}

impl Board {
    /// Adds a destination that waits for a stream.
    pub fn add(&self, route: usize, name: &str) {
        self.slots().push((route, Arc::new(Mutex::new(Status::new(name)))));
    }

    /// A place for `stream` on its way to destination number `route`: the one it has while its session before this ends, else
    /// the waiting one, or one more below it.
    pub fn claim(&self, route: usize, name: &str, stream: &Name) -> Row {
        let mut slots = self.slots();
        let mut own = slots.iter().filter(|(r, _)| *r == route);
        let knows = |status: &Mutex<Status>| lock(status).stream.as_ref() == Some(stream);
        let same = own.clone().find(|(_, status)| knows(status) && !mutant!(ForgetsRow));
        let status = match same.or_else(|| own.find(|(_, status)| lock(status).stream.is_none())) {
            Some((_, status)) => status.clone(),
            None => {
                let at = slots.iter().rposition(|(r, _)| *r <= route).map_or(0, |at| at + 1);
                let status = Arc::new(Mutex::new(Status::new(name)));
                slots.insert(at, (route, status.clone()));
                status
            }
        };
        lock(&status).stream = Some(stream.clone());
        Row { board: self.clone(), route, status }
    }

    /// What there is to know now.
    pub fn statuses(&self) -> Vec<Status> {
        self.slots().iter().map(|(_, status)| lock(status).clone()).collect()
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        lock(&self.0)
    }
}

impl Row {
    /// The destination's name.
    pub fn name(&self) -> String {
        lock(&self.status).name.clone()
    }

    /// What it shows.
    pub fn status(&self) -> Status {
        lock(&self.status).clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.status));
    }

    /// Says why nothing is tried.
    pub fn block(&self, reason: String) {
        self.update(|s| s.enter(State::Blocked, Some(reason)));
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        let mut slots = self.board.slots();
        // The board has one, and so has this row: anybody else is the stream's next session.
        if Arc::strong_count(&self.status) > 2 {
            return;
        }
        if slots.iter().filter(|(route, _)| *route == self.route).count() > 1 {
            slots.retain(|(_, status)| !Arc::ptr_eq(status, &self.status));
        } else {
            let mut status = lock(&self.status);
            status.stream = None;
            status.enter(State::Waiting, None);
        }
    }
}

/// Plain figures: a panic while they were written leaves nothing worse than a wrong one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_begins_again_goes_on_in_its_row_and_another_stream_has_its_own() {
        let board = Board::default();
        board.add(0, "kick");
        let (a, b) = (Name::new("live/a").expect("a name"), Name::new("live/b").expect("a name"));
        let ending = board.claim(0, "kick", &a);
        ending.update(|s| s.bytes = 7);
        let next = board.claim(0, "kick", &a);
        let other = board.claim(0, "kick", &b);
        drop(ending);
        let rows = |board: &Board| board.statuses().iter().map(|s| (s.stream.clone(), s.bytes)).collect::<Vec<_>>();
        assert_eq!(rows(&board), [(Some(a.clone()), 7), (Some(b), 0)]);
        drop(other);
        assert_eq!(rows(&board), [(Some(a), 7)]);
        drop(next);
        assert_eq!(rows(&board), [(None, 7)], "it waits, and remembers");
    }
}
