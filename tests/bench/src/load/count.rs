//! What is counted: what was published, and what has come of it, when and where.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rtmp_relay::flv::Kind;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Order;
use crate::film::Stamp;

/// At full speed a publisher is this many messages ahead of its slowest reader at most. Nobody who is not further behind may
/// leave anything out.
const AHEAD: u32 = 200;
/// How long a server called `flap-` stays, and how long it is away then.
const FLAP_STAYS: Duration = Duration::from_secs(20);
const FLAP_AWAY: Duration = Duration::from_secs(10);
/// How long a server called `stall-` reads.
const STALL_READS: Duration = Duration::from_secs(1);

/// Readers of one sort: the part before the `-` of the name that they are published to under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group(Arc<str>);

impl Default for Group {
    fn default() -> Self {
        Group("all".into())
    }
}

impl Group {
    pub(super) fn of(name: &str) -> Self {
        Group(name.split('-').next().unwrap_or(name).into())
    }

    pub(super) fn stalls(&self) -> bool {
        &*self.0 == "stall"
    }

    fn flaps(&self) -> bool {
        &*self.0 == "flap"
    }
}

/// What came of a load.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Count {
    /// Seconds between each `open` and its `close`.
    pub(crate) seconds: f64,
    /// Messages that came meanwhile.
    pub(crate) messages: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
    /// Messages that did not come, and those that came twice or in another order, by group.
    pub(crate) lost: BTreeMap<String, u64>,
    pub(crate) disordered: u64,
    /// Readers there have been. More than were asked for are sessions that began again.
    pub(crate) sessions: usize,
    /// How late messages were published, in microseconds.
    pub(crate) late: Quantiles,
    /// How long messages took, in microseconds, by group and kind, as in `all video`.
    pub(crate) latency: BTreeMap<String, Quantiles>,
}

/// Some of many values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: u32,
    pub(crate) p99: u32,
    pub(crate) p999: u32,
    pub(crate) max: u32,
}

impl Quantiles {
    /// Those of `values`.
    pub(crate) fn of(values: &mut [u32]) -> Self {
        values.sort_unstable();
        let at = |share: f64| values.get(((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1)));
        let at = |share| at(share).copied().unwrap_or(0);
        Quantiles { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }
}

/// How far one reader has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    /// Number of its kind that comes next, once one has come.
    next: [Option<u32>; 3],
    lost: u64,
    disordered: u64,
    stream: u16,
    last: u32,
}

impl Progress {
    pub(super) fn take(&mut self, kind: Kind, stamp: Stamp) {
        let next = &mut self.next[kind as usize];
        match stamp.of_kind.checked_sub(next.unwrap_or(stamp.of_kind)) {
            Some(missing) => {
                self.lost += u64::from(missing);
                *next = Some(stamp.of_kind + 1);
            }
            None => self.disordered += 1,
        }
        self.stream = stamp.stream;
        self.last = stamp.number;
    }
}

/// Everything that is counted. The load has one thread, so its lock is never waited for.
pub(super) struct Tally {
    began: Instant,
    expected: usize,
    state: Mutex<State>,
    /// Some reader has come further, or a rest is over.
    further: Notify,
}

struct State {
    /// Since when it is measured, where it is.
    open: Option<Instant>,
    /// How long it has been measured before.
    measured: Duration,
    /// Since when nothing is published for now, where that is so.
    rest: Option<Instant>,
    /// How long nothing has been published before.
    rested: Duration,
    /// Nothing is published any more.
    over: bool,
    readers: Vec<Entry>,
    /// Messages of each kind published, by stream.
    published: Vec<[u32; 3]>,
    messages: u64,
    bytes: u64,
    late: Vec<u32>,
    latency: BTreeMap<Group, [Vec<u32>; 3]>,
    /// When a group of those that come and go has gone.
    gone: BTreeMap<Group, Instant>,
}

struct Entry {
    group: Group,
    progress: Progress,
    here: bool,
}

impl Tally {
    pub(super) fn new(order: &Order) -> Arc<Self> {
        let state = State {
            open: None,
            measured: Duration::ZERO,
            rest: None,
            rested: Duration::ZERO,
            over: false,
            readers: Vec::new(),
            published: vec![[0; 3]; order.streams.into()],
            messages: 0,
            bytes: 0,
            late: Vec::new(),
            latency: BTreeMap::new(),
            gone: BTreeMap::new(),
        };
        let (began, expected) = (Instant::now(), order.readers);
        Arc::new(Tally { began, expected, state: Mutex::new(state), further: Notify::new() })
    }

    /// When a message that is published now is sent; none if no more are to be.
    pub(super) fn publish(&self, stream: u16, kind: Kind, late: Duration) -> Option<u64> {
        let mut state = self.state();
        if state.over {
            return None;
        }
        if state.open.is_some() {
            state.late.push(late.as_micros() as u32);
        }
        state.published[usize::from(stream)][kind as usize] += 1;
        Some(self.began.elapsed().as_nanos() as u64)
    }

    /// Waits until the readers of a stream are close enough for its message `number`.
    pub(super) async fn room(&self, stream: u16, number: u32) {
        loop {
            let further = self.further.notified();
            let over = self.state().over;
            if over || self.rested().is_some() && number < self.slowest(stream).unwrap_or(0) + AHEAD {
                return;
            }
            further.await;
        }
    }

    /// Waits until what was to be published at `time` is due, and says when that was: by a clock that stands still during rests.
    pub(super) async fn due(&self, time: Instant) -> Instant {
        loop {
            let further = self.further.notified();
            let Some(rested) = self.rested() else {
                further.await;
                continue;
            };
            sleep_until(time + rested).await;
            // It may have rested meanwhile.
            if self.rested() == Some(rested) {
                return time + rested;
            }
        }
    }

    /// How long it has rested so far; none while it does.
    fn rested(&self) -> Option<Duration> {
        let state = self.state();
        state.rest.is_none().then_some(state.rested)
    }

    /// The last message that all readers of a stream have, once all have one.
    fn slowest(&self, stream: u16) -> Option<u32> {
        let state = self.state();
        let here = || state.readers.iter().filter(|reader| reader.here && reader.progress.stream == stream);
        (here().count() >= self.expected).then(|| here().map(|reader| reader.progress.last).min())?
    }

    pub(super) fn enter(&self, group: Group) -> usize {
        let mut state = self.state();
        state.readers.push(Entry { group, progress: Progress::default(), here: true });
        state.readers.len() - 1
    }

    pub(super) fn leave(&self, place: usize) {
        self.state().readers[place].here = false;
    }

    pub(super) fn take(&self, place: usize, kind: Kind, stamp: Stamp, bytes: usize, progress: &Progress) {
        let mut state = self.state();
        state.readers[place].progress = *progress;
        if state.open.is_some() {
            state.messages += 1;
            state.bytes += bytes as u64;
            let took = (self.began.elapsed().as_nanos() as u64).saturating_sub(stamp.sent) / 1000;
            let group = state.readers[place].group.clone();
            state.latency.entry(group).or_default()[kind as usize].push(took.try_into().unwrap_or(u32::MAX));
        }
        drop(state);
        self.further.notify_waiters();
    }

    /// Whether a server of this group takes anybody now, and if it does, for how long; for ever unless it says so.
    pub(super) fn admit(&self, group: &Group) -> Option<Option<Duration>> {
        let state = self.state();
        match state.gone.get(group) {
            Some(gone) if gone.elapsed() < FLAP_AWAY => None,
            _ if group.flaps() => Some(Some(FLAP_STAYS)),
            _ if group.stalls() => Some(Some(STALL_READS)),
            _ => Some(None),
        }
    }

    pub(super) fn left(&self, group: &Group) {
        self.state().gone.insert(group.clone(), Instant::now());
    }

    /// How many readers have media.
    pub(super) fn flowing(&self) -> usize {
        self.state().readers.len()
    }

    /// Publishes nothing until it is woken.
    pub(super) fn rest(&self) {
        self.state().rest.get_or_insert_with(Instant::now);
    }

    /// Publishes again, as if there had been no rest.
    pub(super) fn wake(&self) {
        let mut state = self.state();
        if let Some(since) = state.rest.take() {
            state.rested += since.elapsed();
        }
        drop(state);
        self.further.notify_waiters();
    }

    /// Measures from now on.
    pub(super) fn open(&self) {
        self.state().open = Some(Instant::now());
    }

    /// Measures no more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        if let Some(open) = state.open.take() {
            state.measured += open.elapsed();
        }
    }

    /// Publishes nothing more.
    pub(super) fn end(&self) {
        self.state().over = true;
        self.wake();
    }

    /// Whether everybody who is here has everything.
    pub(super) fn is_level(&self) -> bool {
        let state = self.state();
        state.readers.iter().all(|reader| !reader.here || state.missing(reader) == reader.progress.lost)
    }

    pub(super) fn count(&self) -> Count {
        let mut state = self.state();
        let mut lost: BTreeMap<String, u64> = BTreeMap::new();
        for reader in &state.readers {
            *lost.entry(reader.group.0.to_string()).or_default() += state.missing(reader);
        }
        let mut latency = BTreeMap::new();
        for (group, values) in &mut state.latency {
            for kind in [Kind::Audio, Kind::Video] {
                let word = if kind == Kind::Audio { "audio" } else { "video" };
                latency.insert(format!("{} {word}", group.0), Quantiles::of(&mut values[kind as usize]));
            }
            let mut both = values.concat();
            latency.insert(format!("{} both", group.0), Quantiles::of(&mut both));
        }
        Count {
            seconds: state.measured.as_secs_f64(),
            messages: state.messages,
            bytes: state.bytes,
            lost,
            disordered: state.readers.iter().map(|reader| reader.progress.disordered).sum(),
            sessions: state.readers.len(),
            late: Quantiles::of(&mut state.late),
            latency,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it is held")
    }
}

impl State {
    /// Messages a reader has not got. One that has left has only gaps.
    fn missing(&self, reader: &Entry) -> u64 {
        let Progress { next, lost, stream, .. } = reader.progress;
        let published = self.published[usize::from(stream)];
        let rest = next.iter().zip(published).filter_map(|(next, published)| Some(published.saturating_sub((*next)?)));
        lost + if reader.here { rest.map(u64::from).sum() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_what_never_came_are_lost_and_what_comes_late_is_out_of_order() {
        let order =
            Order { streams: 1, readers: 1, bitrate: 1, play: false, raw: false, bulk: false, tls: None, idle: false };
        let tally = Tally::new(&order);
        for _ in 0..10 {
            tally.publish(0, Kind::Video, Duration::ZERO);
        }
        let place = tally.enter(Group::of("steady-1"));
        let mut progress = Progress::default();
        for of_kind in [2, 3, 6, 5, 7] {
            let stamp = Stamp { sent: 0, stream: 0, number: of_kind, of_kind };
            progress.take(Kind::Video, stamp);
            tally.take(place, Kind::Video, stamp, 1, &progress);
        }
        assert!(!tally.is_level());
        let count = tally.count();
        // 4 and 5 were missing when 6 came, 8 and 9 never came; 0 and 1 were before its time.
        assert_eq!((count.lost["steady"], count.disordered), (4, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn during_a_rest_the_publishers_clock_stands_still() {
        let order =
            Order { streams: 1, readers: 1, bitrate: 1, play: false, raw: false, bulk: false, tls: None, idle: false };
        let (tally, start) = (Tally::new(&order), Instant::now());
        let second = Duration::from_secs(1);
        let driver = async {
            sleep_until(start + second / 2).await;
            tally.rest();
            sleep_until(start + 10 * second).await;
            tally.wake();
        };
        let (due, ()) = tokio::join!(tally.due(start + second), driver);
        assert_eq!((due - start, start.elapsed()), (10 * second + second / 2, 10 * second + second / 2));
        tally.open();
        assert_eq!(tally.due(start + 2 * second).await - due, second);
        tally.close();
        assert_eq!(tally.count().seconds, 1.0);
    }

    #[test]
    fn quantiles_are_those_of_sorted_values() {
        let mut values: Vec<u32> = (0..1000).rev().collect();
        assert_eq!(Quantiles::of(&mut values), Quantiles { p50: 500, p99: 990, p999: 999, max: 999 });
        assert_eq!(Quantiles::of(&mut []), Quantiles::default());
    }
}
