//! The log of one stream: appended to by one publisher, who never waits; read by cursors.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;

use super::gauge::{Gauge, Reading};
use super::{Frame, Hops};
use crate::flv::Kind;
use crate::limits::{LOG_BYTES, LOG_TIME, MERGE};

/// How much a log keeps: whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Media time.
    pub time: Duration,
    /// Bytes.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { time: LOG_TIME, bytes: LOG_BYTES }
    }
}

/// What a reader lets wait, so that it leaves in one write with what comes after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Merge {
    /// Nothing.
    #[default]
    None,
    /// Sound, for the next picture.
    Audio,
}

/// A bounded log of frames. Positions count frames from the stream's beginning and never come again. For readers that let sound
/// wait it has an end of their own: behind it there is only sound, and no more than `limits::MERGE` of it.
///
/// ```text
///   ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒ V a V a a
///                               merged ┘   └ end
/// ```
#[derive(Debug)]
pub struct Log {
    state: Mutex<State>,
    /// What comes in is measured here, at the one place where all of it passes.
    gauge: Mutex<Gauge>,
    ended: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    limits: Limits,
    frames: VecDeque<Frame>,
    /// Position of the first frame held.
    pub(super) first: u64,
    bytes: usize,
    /// Payload bytes ever appended.
    appended: u64,
    /// Positions held where decoding may start, oldest first.
    starts: VecDeque<u64>,
    pub(super) ended: bool,
    /// The publisher session that may append.
    session: u64,
    hops: Hops,
    last: [Option<u64>; 3],
    /// The end for readers that let sound wait, and where it was when they were last called.
    merged: u64,
    announced: u64,
    /// In order of arrival, so that the same run wakes them in the same order. Copied when it changes, not when it is used.
    readers: Arc<Vec<Reader>>,
    next_reader: u64,
}

/// Somebody to call when there is more.
#[derive(Debug, Clone)]
struct Reader {
    id: u64,
    merge: Merge,
    waker: Waker,
}

impl Log {
    /// An empty log.
    pub fn new(limits: Limits) -> Self {
        let state = State {
            limits,
            frames: VecDeque::new(),
            first: 0,
            bytes: 0,
            appended: 0,
            starts: VecDeque::new(),
            ended: false,
            session: 0,
            hops: Hops::default(),
            last: [None; 3],
            merged: 0,
            announced: 0,
            readers: Arc::default(),
            next_reader: 0,
        };
        Log { state: Mutex::new(state), gauge: Mutex::default(), ended: Notify::new() }
    }

    /// Adds a frame and lets go of what is over the limits. Readers hear of it by `announce`. A frame of a publisher session
    /// that another has followed is too late, and left out.
    pub fn append(&self, frame: Frame) {
        let mut state = self.state();
        if frame.session() >= state.session {
            state.append(frame);
        }
    }

    /// Calls every reader, in the order they came; those that let sound wait, if there is something else. The log is not
    /// locked meanwhile: readers read it, and some write to their sockets before they return.
    pub fn announce(&self) {
        let (readers, merged) = {
            let mut state = self.state();
            let merged = state.ended || state.merged != state.announced;
            state.announced = state.merged;
            (state.readers.clone(), merged)
        };
        let all = if mutant!(OnlyTheFirstHears) { 1 } else { readers.len() };
        for reader in readers.iter().take(all) {
            if merged || reader.merge == Merge::None {
                reader.waker.wake_by_ref();
            }
        }
    }

    /// The position of sound that some reader lets wait, if there is any.
    pub fn waiting(&self) -> Option<u64> {
        let state = self.state();
        let waits = state.merged < state.end() && state.readers.iter().any(|reader| reader.merge == Merge::Audio);
        waits.then_some(state.merged)
    }

    /// Lets go what waits.
    pub fn release(&self) {
        {
            let mut state = self.state();
            state.merged = state.end();
        }
        self.announce();
    }

    /// Ends the stream: readers read what is left, then see the end.
    pub fn end(&self) {
        self.state().ended = true;
        self.announce();
        self.ended.notify_waiters();
    }

    /// Whether the stream has ended.
    pub fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// Waits for the end of the stream. Cancel safe.
    pub async fn ended(&self) {
        let ended = self.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if !self.has_ended() {
            ended.await;
        }
    }

    /// The time of the newest frame, in milliseconds.
    pub fn newest_time(&self) -> Option<u64> {
        self.state().newest_time()
    }

    /// Milliseconds from the last frame of this kind to `time`: what its frame's `delta` has to be.
    pub fn delta(&self, kind: Kind, time: u64) -> u32 {
        let last = self.state().last[kind as usize].unwrap_or(time);
        time.saturating_sub(last).try_into().unwrap_or(u32::MAX)
    }

    /// The relays the stream has come through.
    pub fn hops(&self) -> Hops {
        self.state().hops.clone()
    }

    /// Begins a publisher session, and says where its stream comes from.
    pub(super) fn begin(&self, session: u64, hops: Hops) {
        let mut state = self.state();
        state.session = session;
        state.hops = hops;
        // Another encoder, or the same with other settings.
        *self.gauge() = Gauge::new(session);
    }

    /// Has a publisher session measure what it brings; one that another has followed is too late.
    pub(super) fn measure(&self, session: u64, measure: impl FnOnce(&mut Gauge)) {
        let mut gauge = self.gauge();
        if session == gauge.session() {
            measure(&mut gauge);
        }
    }

    /// What the stream is made of, and how much of it comes.
    pub fn reading(&self) -> Reading {
        self.gauge().read()
    }

    /// Bytes of payload since the stream's beginning.
    pub fn appended(&self) -> u64 {
        self.state().appended
    }

    /// Bytes held, for statistics.
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Media time held, for statistics.
    pub fn span(&self) -> Duration {
        self.state().span()
    }

    /// Bytes held, counted anew: for tests, which hold [`bytes`](Self::bytes) against it.
    pub fn recount(&self) -> usize {
        let state = self.state();
        let mut before = None;
        state.frames.iter().map(|frame| frame.bytes(before.replace(&frame.preamble))).sum()
    }

    /// Readers that are called when there is more, for statistics.
    pub fn readers(&self) -> usize {
        self.state().readers.len()
    }

    /// Puts a reader's waker into the list, at its end.
    pub(super) fn register(&self, waker: Waker, merge: Merge) -> u64 {
        let mut state = self.state();
        let id = state.next_reader;
        state.next_reader += 1;
        let readers = Arc::make_mut(&mut state.readers);
        let at = if mutant!(AnyOrder) { fastrand::usize(..=readers.len()) } else { readers.len() };
        readers.insert(at, Reader { id, merge, waker });
        id
    }

    pub(super) fn unregister(&self, id: u64) {
        // The waker is dropped after the lock: it may be the last to hold a connection, and with it another cursor.
        let _gone = {
            let mut state = self.state();
            let readers = Arc::make_mut(&mut state.readers);
            readers.iter().position(|reader| reader.id == id).map(|at| readers.remove(at))
        };
    }

    /// Figures only: a panic while they were written leaves nothing worse than a wrong one.
    fn gauge(&self) -> MutexGuard<'_, Gauge> {
        self.gauge.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A panic under this lock can only be ours; the frames are whole all the same.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn append(&mut self, frame: Frame) {
        self.last[frame.kind as usize] = Some(frame.time);
        self.bytes += frame.bytes(self.frames.back().map(|before| &before.preamble));
        self.appended += frame.payload.len() as u64;
        if frame.start {
            self.starts.push_back(self.end());
        }
        let waits = frame.kind == Kind::Audio && self.has_room_to_wait(frame.time);
        self.frames.push_back(frame);
        if !waits {
            self.merged = self.end();
        }
        while !mutant!(LogGrows)
            && self.frames.len() > 1
            && (self.bytes > self.limits.bytes || self.span() > self.limits.time)
        {
            self.evict();
        }
    }

    /// Lets go of the oldest GOP; where a single one is over the limits by itself, of its oldest frame.
    fn evict(&mut self) {
        let next = self.starts.iter().copied().find(|start| *start > self.first).unwrap_or(self.first + 1);
        while self.first < next {
            if let Some(frame) = self.frames.pop_front() {
                // A preamble goes with the last frame that has it.
                let next = self.frames.front().map(|next| &next.preamble);
                self.bytes -= if mutant!(Miscounts) { frame.payload.len() } else { frame.bytes(next) };
            }
            self.first += 1;
        }
        while self.starts.front().is_some_and(|start| *start < self.first) {
            self.starts.pop_front();
        }
    }

    fn span(&self) -> Duration {
        let first = self.frames.front().map_or(0, |f| f.time);
        Duration::from_millis(self.newest_time().unwrap_or(0).saturating_sub(first))
    }

    /// Whether sound of this time may wait too: what waits is no older than `limits::MERGE`.
    fn has_room_to_wait(&self, time: u64) -> bool {
        let oldest = self.frame(self.merged.max(self.first)).map_or(time, |frame| frame.time);
        Duration::from_millis(time.saturating_sub(oldest)) < MERGE
    }

    /// The position after the newest frame.
    pub(super) fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// Where a reader that merges like this has to stop.
    pub(super) fn end_for(&self, merge: Merge) -> u64 {
        match merge {
            Merge::Audio if !self.ended => self.merged,
            Merge::Audio | Merge::None => self.end(),
        }
    }

    /// The newest position where decoding may start.
    pub(super) fn newest_start(&self) -> Option<u64> {
        self.starts.back().copied()
    }

    /// The first position from `position` on where decoding may start.
    pub(super) fn next_start(&self, position: u64) -> Option<u64> {
        self.starts.get(self.starts.partition_point(|start| *start < position)).copied()
    }

    /// The frame at `position`, while it is held.
    pub(super) fn frame(&self, position: u64) -> Option<&Frame> {
        self.frames.get(usize::try_from(position.checked_sub(self.first)?).ok()?)
    }

    pub(super) fn newest_time(&self) -> Option<u64> {
        self.frames.back().map(|f| f.time)
    }
}
