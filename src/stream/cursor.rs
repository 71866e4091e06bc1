//! A reader's place in a log.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::log::State;
use super::{Frame, Log, Merge};
use crate::limits::KEY_FRAME_WAIT;

/// Where a reader starts and how far it may fall behind.
#[derive(Debug, Clone, Copy)]
pub struct Join {
    /// It starts in the newest GOP if that is no older than this, else at the next one.
    pub newest_if_within: Duration,
    /// Further behind than this it jumps to the newest GOP. What the log no longer holds it jumps in any case.
    pub lag_max: Duration,
}

/// A position in a log.
#[derive(Debug)]
pub struct Cursor {
    log: Arc<Log>,
    position: u64,
    lag_max: Duration,
    merge: Merge,
    /// Looking for a place to start since this media time (`None` before there is any), or reading.
    seeking: Option<Option<u64>>,
    /// The next frame does not follow the last one read.
    jumped: bool,
    /// Where it began to read.
    begun: Option<u64>,
    skipped: Skipped,
    /// The last jump is the log's doing.
    evicted: bool,
    reader: Option<u64>,
}

/// Frames jumped over since the first one read, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// The reader was further behind than it may be.
    pub lag: u64,
    /// It was not, but the log had no room for what it was at.
    pub log: u64,
}

impl Skipped {
    /// All of them.
    pub fn all(self) -> u64 {
        self.lag + self.log
    }
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// There may be more.
    More,
    /// Nothing more for now.
    Level,
    /// Nothing more for ever.
    Ended,
}

impl Cursor {
    /// A cursor that will start where `join` says.
    pub fn new(log: Arc<Log>, join: Join) -> Self {
        let (position, since) = {
            let state = log.state();
            let newest = state.newest_start().filter(|start| state.age(*start) <= join.newest_if_within);
            (newest.unwrap_or(state.end()), state.newest_time())
        };
        Cursor {
            log,
            position,
            lag_max: join.lag_max,
            merge: Merge::None,
            seeking: Some(since),
            jumped: true,
            begun: None,
            skipped: Skipped::default(),
            evicted: false,
            reader: None,
        }
    }

    /// Lets this wait. To be said before anything else.
    pub fn merging(mut self, merge: Merge) -> Self {
        self.merge = merge;
        self
    }

    /// Calls `visit` for each frame from here on, until it returns false or nothing is left. Its second argument is true
    /// where the frame does not follow the one before it: at the start and after a jump.
    pub fn read(&mut self, mut visit: impl FnMut(&Frame, bool) -> bool) -> Read {
        let log = self.log.clone();
        let state = log.state();
        let late = state.age(self.position) > self.lag_max;
        let behind = late || self.position < state.first;
        if behind {
            self.evicted = !late;
        }
        if behind || self.seeking.is_some() {
            self.jumped = true;
            self.seek(&state, behind);
        }
        let end = state.end_for(self.merge);
        while self.seeking.is_none()
            && self.position < end
            && let Some(frame) = state.frame(self.position)
        {
            self.begun.get_or_insert(self.position);
            self.position += 1;
            if !visit(frame, std::mem::take(&mut self.jumped)) {
                return Read::More;
            }
        }
        match state.ended {
            true => Read::Ended,
            false => Read::Level,
        }
    }

    /// Goes to the next place to start, or the newest where it is behind; to the end if there is none yet.
    fn seek(&mut self, state: &State, behind: bool) {
        let start = match behind {
            true => state.newest_start().filter(|start| *start >= self.position),
            false => state.next_start(self.position),
        };
        let start = start
            .or(mutant!(StartsAnywhere).then(|| state.end()))
            .filter(|_| !(mutant!(StaysBehind) && self.begun.is_some()));
        let to = start.unwrap_or(state.end());
        if self.begun.is_some() {
            let why = if self.evicted { &mut self.skipped.log } else { &mut self.skipped.lag };
            *why += to - self.position;
        }
        self.position = to;
        let since = *self.seeking.get_or_insert(None).get_or_insert_with(|| state.newest_time().unwrap_or(0));
        let waited = Duration::from_millis(state.newest_time().unwrap_or(since).saturating_sub(since));
        if start.is_some() || waited > KEY_FRAME_WAIT {
            self.seeking = None;
        }
    }

    /// Asks the log to call `waker` whenever there is more. One waker a cursor: a new one takes the old one's place.
    pub fn wake(&mut self, waker: Waker) {
        let id = self.log.register(waker, self.merge);
        if let Some(old) = self.reader.replace(id) {
            self.log.unregister(old);
        }
    }

    /// Frames jumped over since the first one read.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// The positions of the first frame it has read and of the next one; none before the first.
    pub fn span(&self) -> Option<(u64, u64)> {
        self.begun.map(|begun| (begun, self.position))
    }

    /// Frames from here to the end.
    pub fn behind(&self) -> u64 {
        self.log.state().end().saturating_sub(self.position)
    }
}

impl State {
    /// Media time from the frame at `position` to the newest; none at the end.
    fn age(&self, position: u64) -> Duration {
        let time = self.frame(position.max(self.first)).map(|f| f.time);
        Duration::from_millis(self.newest_time().zip(time).map_or(0, |(newest, time)| newest.saturating_sub(time)))
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.filter(|_| !mutant!(WakerStays)) {
            self.log.unregister(reader);
        }
    }
}
