//! The board: where every recording of a relay stands.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

use super::segments::News;
use crate::journal::{Code, Event, Journal};
use crate::stream::Name;

/// The statuses of all recordings of a relay, in the order they began. A clone shows the same board.
#[derive(Debug, Clone, Default)]
pub struct Board {
    statuses: Arc<Mutex<Vec<Arc<Mutex<Status>>>>>,
    /// What is begun, ended and refused is told there.
    journal: Journal,
}

/// Where a recording stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// For a key frame.
    Waiting,
    /// What comes is written.
    Recording,
    /// The disk has been at one write for too long. What comes meanwhile waits in the stream's log, as long as it fits.
    Slow,
    /// The disk has refused. It is tried again.
    Failed,
}

/// One stream recorded by one rule.
#[derive(Debug, Clone)]
pub struct Status {
    /// The rule's name.
    pub rule: String,
    /// The stream.
    pub stream: Name,
    /// Where it stands …
    pub state: State,
    /// … and since when.
    pub since: Instant,
    /// The file that is written.
    pub file: Option<PathBuf>,
    /// Files begun.
    pub files: u64,
    /// Bytes written, over all files.
    pub bytes: u64,
    /// Frames left out because the disk was too slow.
    pub dropped: u64,
    /// The last error in words. It stays after a recovery.
    pub last_error: Option<String>,
    /// When it is tried again, if it has failed.
    pub retry_at: Option<Instant>,
}

/// A recording's place on the board. It goes with the recording.
#[derive(Debug)]
pub struct Row {
    board: Board,
    status: Arc<Mutex<Status>>,
    /// The last failure told, until a file is written again.
    told: Mutex<Option<String>>,
}

impl Board {
    /// An empty board that tells `journal` what happens to recordings.
    pub fn new(journal: Journal) -> Self {
        Board { journal, ..Board::default() }
    }

    /// A place for a recording of `stream`.
    pub fn add(&self, rule: &str, stream: &Name) -> Row {
        let status = Arc::new(Mutex::new(Status {
            rule: rule.to_owned(),
            stream: stream.clone(),
            state: State::Waiting,
            since: Instant::now(),
            file: None,
            files: 0,
            bytes: 0,
            dropped: 0,
            last_error: None,
            retry_at: None,
        }));
        lock(&self.statuses).push(status.clone());
        Row { board: self.clone(), status, told: Mutex::default() }
    }

    /// What there is to know now.
    pub fn statuses(&self) -> Vec<Status> {
        lock(&self.statuses).iter().map(|status| lock(status).clone()).collect()
    }
}

impl Row {
    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.status));
    }

    /// Tells the journal that a file has been begun, or is complete.
    pub(super) fn tell(&self, news: &News) {
        let (code, file) = match news {
            News::Begun(file) => (Code::RecordingStarted, file),
            News::Complete(file) => (Code::RecordingEnded, file),
        };
        *lock(&self.told) = None;
        self.board.journal.append(self.event(code, Some(file)));
    }

    /// Tells the journal why nothing is written: once, and again when the reason changes.
    pub(super) fn tell_failure(&self, why: &str) {
        if lock(&self.told).replace(why.to_owned()).as_deref() != Some(why) {
            self.board.journal.append(self.event(Code::RecordingFailed, None).because(why));
        }
    }

    fn event(&self, code: Code, file: Option<&Path>) -> Event {
        let status = lock(&self.status);
        Event::new(code).stream(&status.stream).recording(&status.rule, file)
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        lock(&self.board.statuses).retain(|status| !Arc::ptr_eq(status, &self.status));
    }
}

impl Status {
    /// Changes the state; staying in one keeps its beginning.
    pub(super) fn enter(&mut self, state: State) {
        if self.state != state {
            self.state = state;
            self.since = Instant::now();
        }
        self.retry_at = None;
    }
}

impl State {
    /// All of them.
    pub const ALL: [State; 4] = [State::Waiting, State::Recording, State::Slow, State::Failed];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Waiting => "waiting",
            State::Recording => "recording",
            State::Slow => "slow",
            State::Failed => "failed",
        })
    }
}

/// Plain figures: a panic while they were written leaves nothing worse than a wrong one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
