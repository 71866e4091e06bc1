//! Which streams there are: one name, one log, one publisher at a time.
//!
//! ```text
//!                                  ┌──┐ claim after a silence, or by policy: the same log goes on
//!                                  ▼  │
//!  (nobody) ─► Waiting ─publish─► Live ┘ ─end─► (nobody)
//!                 ▲                │ ▲
//!      a player came first     lost│ │publish: the same log goes on
//!                                  ▼ │
//!                                 Lost ─grace is over─► (nobody)
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::log::Limits;
use super::{Frame, Holder, Hops, Log, Preamble, Right, Takeover};
use crate::flv::{Kind, Need, Tag};
use crate::limits::{STREAM_NAME_BYTES, TAKEOVER};

/// A stream's name: application and name, without query, as in `live/show`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// A name, if it may be one: not empty, not too long, no control characters, no `.` or `..` between slashes.
    pub fn new(path: &str) -> Option<Self> {
        let sound = !path.is_empty()
            && path.len() <= STREAM_NAME_BYTES
            && !path.chars().any(char::is_control)
            && !path.split('/').any(|segment| matches!(segment, "" | "." | ".."));
        sound.then(|| Name(path.into()))
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// All but the last segment.
    pub fn app(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(app, _)| app)
    }

    /// The last segment.
    pub fn stream(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, stream)| stream)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All streams of a relay.
#[derive(Debug)]
pub struct Directory {
    limits: Limits,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Name, Entry>,
    sessions: u64,
}

#[derive(Debug)]
enum Entry {
    Waiting(Weak<Log>),
    Live(Arc<Log>, Arc<Presence>),
    Lost(Arc<Log>, Instant),
}

/// A stream that has a publisher, or had one a moment ago.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Its name.
    pub name: Name,
    /// Its log.
    pub log: Arc<Log>,
    /// Whether its publisher has been lost, and may come back.
    pub lost: bool,
    /// Since when that is so.
    pub since: Instant,
}

/// Whether a publisher is still there, and whether it still is the publisher.
#[derive(Debug)]
struct Presence {
    session: u64,
    since: Instant,
    holder: Holder,
    heard: Mutex<Instant>,
    replaced: CancellationToken,
}

/// Somebody publishes under this name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name is in use")]
pub struct Busy;

impl Directory {
    /// A directory whose logs keep as much as `limits` says.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Directory { limits, state: Mutex::default(), changed: Notify::new() })
    }

    /// Makes this program the publisher of `name`, as `claim` does.
    pub fn publish(self: &Arc<Self>, name: Name, hops: Hops) -> Result<Publication, Busy> {
        self.claim(name, hops, Right::default())
    }

    /// Makes the owner of `right` the publisher of `name`. After a loss the stream goes on in the same log; a publisher that
    /// has been silent for `limits::TAKEOVER` is taken for lost by one that may be the same, and one that talks gives way
    /// only where the right says so.
    pub fn claim(self: &Arc<Self>, name: Name, hops: Hops, right: Right) -> Result<Publication, Busy> {
        let mut state = self.state();
        let (log, lost) = match state.entries.get(&name) {
            Some(Entry::Live(log, presence)) => {
                let heard = presence.heard();
                let gone = heard.elapsed() >= TAKEOVER && right.holder.may_be(presence.holder);
                let gives_way = right.takeover == Takeover::Replace || gone;
                if !gives_way || mutant!(NeverTakesOver) {
                    return Err(Busy);
                }
                presence.replaced.cancel();
                (log.clone(), Some(heard))
            }
            Some(Entry::Lost(log, since)) => (log.clone(), Some(*since)),
            Some(Entry::Waiting(log)) => (log.upgrade().unwrap_or_else(|| self.log()), None),
            None => (self.log(), None),
        };
        state.sessions += 1;
        let session = state.sessions;
        log.begin(session, hops);
        let since = Instant::now();
        let (heard, replaced) = (Mutex::new(since), CancellationToken::new());
        let presence = Arc::new(Presence { session, since, holder: right.holder, heard, replaced });
        state.entries.insert(name.clone(), Entry::Live(log.clone(), presence.clone()));
        drop(state);
        self.changed.notify_one();
        let resumed_at = lost.zip(log.newest_time()).map(|(since, newest)| newest + since.elapsed().as_millis() as u64);
        let preamble = Arc::new(Preamble::new(session));
        Ok(Publication { directory: self.clone(), name, log, preamble, presence, resumed_at, ended: false })
    }

    /// The log of `name`, for a reader: of the stream there is, or of the one to come.
    pub fn log_of(&self, name: &Name) -> Arc<Log> {
        let mut state = self.state();
        state.entries.retain(|_, entry| !matches!(entry, Entry::Waiting(log) if log.strong_count() == 0));
        match state.entries.get(name) {
            Some(Entry::Live(log, _) | Entry::Lost(log, _)) => return log.clone(),
            Some(Entry::Waiting(log)) => {
                if let Some(log) = log.upgrade() {
                    return log;
                }
            }
            None => {}
        }
        let log = self.log();
        state.entries.insert(name.clone(), Entry::Waiting(Arc::downgrade(&log)));
        log
    }

    /// The streams that have a publisher, or had one a moment ago, by name.
    pub fn live(&self) -> Vec<(Name, Arc<Log>)> {
        let state = self.state();
        let live = state.entries.iter().filter_map(|(name, entry)| match entry {
            Entry::Live(log, _) | Entry::Lost(log, _) => Some((name.clone(), log.clone())),
            Entry::Waiting(_) => None,
        });
        live.collect()
    }

    /// The same streams, and how each of them stands.
    pub fn streams(&self) -> Vec<Standing> {
        let state = self.state();
        let streams = state.entries.iter().filter_map(|(name, entry)| {
            let (log, lost, since) = match entry {
                Entry::Live(log, presence) => (log, false, presence.since),
                Entry::Lost(log, since) => (log, true, *since),
                Entry::Waiting(_) => return None,
            };
            Some(Standing { name: name.clone(), log: log.clone(), lost, since })
        });
        streams.collect()
    }

    /// Waits until a stream has begun, been lost or ended since the last call. For one waiter, the relay. Cancel safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Ends the streams whose publisher has been lost for `grace`: which they were, and when to look again.
    pub fn expire(&self, grace: Duration) -> (Vec<Name>, Option<Instant>) {
        let now = Instant::now();
        let mut state = self.state();
        let over: Vec<Name> =
            state.lost().filter(|(_, since)| *since + grace <= now).map(|(name, _)| name.clone()).collect();
        let gone: Vec<Entry> = over.iter().filter_map(|name| state.entries.remove(name)).collect();
        let next = state.lost().map(|(_, since)| since + grace).min();
        drop(state);
        for entry in &gone {
            if let Entry::Lost(log, _) = entry {
                log.end();
                self.changed.notify_one();
            }
        }
        (over, next)
    }

    fn log(&self) -> Arc<Log> {
        Arc::new(Log::new(self.limits))
    }

    /// Nothing is done under this lock that could leave the map half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn lost(&self) -> impl Iterator<Item = (&Name, Instant)> {
        self.entries.iter().filter_map(|(name, entry)| match entry {
            Entry::Lost(_, since) => Some((name, *since)),
            Entry::Live(..) | Entry::Waiting(_) => None,
        })
    }
}

impl Presence {
    fn heard(&self) -> Instant {
        *self.lock()
    }

    /// One plain value: nothing can be half written.
    fn lock(&self) -> MutexGuard<'_, Instant> {
        self.heard.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The right to append to a stream. Ended, the stream ends; dropped without that, its publisher is lost and may come back.
#[derive(Debug)]
pub struct Publication {
    directory: Arc<Directory>,
    name: Name,
    log: Arc<Log>,
    preamble: Arc<Preamble>,
    presence: Arc<Presence>,
    resumed_at: Option<u64>,
    ended: bool,
}

impl Publication {
    /// The stream's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The stream's log.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Where a returning publisher's first frame belongs, in milliseconds: the gap is as long as it was.
    pub fn resumed_at(&self) -> Option<u64> {
        self.resumed_at
    }

    /// What is in force for the next frame.
    pub fn preamble(&self) -> &Arc<Preamble> {
        &self.preamble
    }

    /// Puts a header, configuration or metadata in force.
    pub fn put(&mut self, kind: Kind, tag: &Tag, payload: Bytes) {
        self.log.measure(self.presence.session, |gauge| gauge.header(kind, tag, &payload));
        if let Some(preamble) = self.preamble.with(kind, tag, payload) {
            self.preamble = Arc::new(preamble);
        }
    }

    /// Notes what the stream asks of its receivers.
    pub fn need(&mut self, need: Need) {
        if let Some(preamble) = self.preamble.needing(need) {
            self.preamble = Arc::new(preamble);
        }
    }

    /// Measures a frame that is about to be added.
    pub fn measure(&self, kind: Kind, tag: &Tag, time: u64, payload: &[u8]) {
        self.log.measure(self.presence.session, |gauge| gauge.frame(kind, tag, time, payload));
    }

    /// Adds a frame. Readers hear of it by `announce`, once for all that one read brought.
    pub fn append(&self, frame: Frame) {
        self.log.append(frame);
    }

    /// Tells the readers.
    pub fn announce(&self) {
        self.log.announce();
    }

    /// The position of sound that some reader lets wait for a picture, if there is any.
    pub fn waiting(&self) -> Option<u64> {
        self.log.waiting()
    }

    /// Lets go what waits.
    pub fn release(&self) {
        self.log.release();
    }

    /// Notes that the publisher has been heard of just now.
    pub fn touch(&self) {
        *self.presence.lock() = Instant::now();
    }

    /// When it was heard of last.
    pub fn heard(&self) -> Instant {
        self.presence.heard()
    }

    /// Waits until another publisher has taken this one's place. Cancel safe.
    pub fn replaced(&self) -> impl Future<Output = ()> + use<> {
        self.presence.replaced.clone().cancelled_owned()
    }

    /// Ends the stream at once.
    pub fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        let mut state = self.directory.state();
        // A late goodbye, or a late loss, of one whose place is taken.
        let mine =
            matches!(state.entries.get(&self.name), Some(Entry::Live(_, now)) if now.session == self.presence.session);
        if !mine && !mutant!(LateGoodbyeHits) {
            return;
        }
        if self.ended && !mutant!(EntryStays) {
            state.entries.remove(&self.name);
        } else {
            state.entries.insert(self.name.clone(), Entry::Lost(self.log.clone(), Instant::now()));
        }
        drop(state);
        match self.ended {
            true => self.log.end(),
            // Nobody is left who would look at the clock.
            false => self.log.release(),
        }
        self.directory.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a sound name")
    }

    #[test]
    fn names_that_could_do_harm_are_none() {
        let long = "x".repeat(STREAM_NAME_BYTES);
        for bad in ["", "/", "live/", "../x", "live/../x", "live/\0", "live/\n", &format!("l/{long}")] {
            assert_eq!(Name::new(bad), None, "{bad:?}");
        }
        assert_eq!((name("live/inst/show").app(), name("live/inst/show").stream()), ("live/inst", "show"));
        assert!(Name::new(&long).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_publisher_a_name_and_a_second_one_changes_nothing() {
        let directory = Directory::new(Limits::default());
        let first = directory.publish(name("live/a"), Hops::default()).expect("free");
        assert_eq!(directory.publish(name("live/a"), Hops::default()).expect_err("taken"), Busy);
        assert_eq!(directory.live().len(), 1);
        first.end();
        assert_eq!(directory.live().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_publisher_may_return_until_the_grace_is_over() {
        let directory = Directory::new(Limits::default());
        let grace = Duration::from_secs(15);
        let first = directory.publish(name("live/a"), Hops::default()).expect("free");
        let log = first.log().clone();
        drop(first);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(matches!(directory.expire(grace), (over, Some(_)) if over.is_empty()) && !log.has_ended());
        let standing = &directory.streams()[0];
        assert!(standing.lost && standing.since.elapsed() == Duration::from_secs(10));
        let second = directory.publish(name("live/a"), Hops::default()).expect("nobody is there");
        assert!(Arc::ptr_eq(&log, second.log()));
        let standing = &directory.streams()[0];
        assert!(!standing.lost && standing.since.elapsed() == Duration::ZERO);
        drop(second);
        tokio::time::advance(grace).await;
        assert!(matches!(directory.expire(grace), (over, None) if over.len() == 1) && log.has_ended());
        assert!(!Arc::ptr_eq(&log, directory.publish(name("live/a"), Hops::default()).expect("free").log()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_publisher_gives_way_and_its_late_goodbyes_hit_nothing() {
        let directory = Directory::new(Limits::default());
        let publish = || directory.publish(name("live/a"), Hops::default());
        let old = publish().expect("free");
        tokio::time::advance(TAKEOVER - Duration::from_millis(1)).await;
        assert_eq!(publish().expect_err("it may still be there"), Busy);
        old.touch();
        tokio::time::advance(TAKEOVER - Duration::from_millis(1)).await;
        assert_eq!(publish().expect_err("it has been heard of"), Busy);
        tokio::time::advance(Duration::from_millis(1)).await;
        let new = publish().expect("it has been silent for long enough");
        old.replaced().await;
        let frame = |publication: &Publication| Frame {
            kind: Kind::Video,
            time: 0,
            delta: 0,
            payload: Bytes::new(),
            wire: Bytes::new(),
            start: true,
            preamble: publication.preamble().clone(),
        };
        new.append(frame(&new));
        let held = new.log().bytes();
        old.append(frame(&old));
        assert_eq!(new.log().bytes(), held, "nothing of the old one is let in");
        old.end();
        assert!(!new.log().has_ended() && directory.live().len() == 1);
        new.end();
        assert_eq!(directory.live().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_publisher_gives_way_to_itself_only_and_one_that_talks_to_nobody_unless_told_so() {
        let right = |holder, takeover| Right { holder, takeover };
        let from = |last| Holder::From([192, 0, 2, last].into());
        let (key, refuse, replace) = (Holder::Vouched, Takeover::Refuse, Takeover::Replace);
        for (holds, comes, takeover, at_once, after_silence) in [
            (key, key, refuse, false, true),
            (key, from(1), refuse, false, false),
            (from(1), key, refuse, false, true),
            (from(1), from(1), refuse, false, true),
            (from(1), from(2), refuse, false, false),
            (from(1), from(2), replace, true, true),
            (key, key, replace, true, true),
        ] {
            for (silence, expected) in [(Duration::ZERO, at_once), (TAKEOVER, after_silence)] {
                let directory = Directory::new(Limits::default());
                let claim = |right| directory.claim(name("live/a"), Hops::default(), right);
                let first = claim(right(holds, refuse)).expect("free");
                tokio::time::advance(silence).await;
                let second = claim(right(comes, takeover));
                assert_eq!(second.is_ok(), expected, "{comes:?} after {holds:?}, {takeover:?}, {silence:?}");
                if let Ok(second) = second {
                    first.replaced().await;
                    assert!(Arc::ptr_eq(first.log(), second.log()), "the log goes on");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_lost_may_be_followed_by_anybody_with_a_right() {
        let directory = Directory::new(Limits::default());
        let claim = |last: u8| {
            let holder = Holder::From([192, 0, 2, last].into());
            directory.claim(name("live/a"), Hops::default(), Right { holder, takeover: Takeover::Refuse })
        };
        let first = claim(1).expect("free");
        let log = first.log().clone();
        drop(first);
        assert!(Arc::ptr_eq(&log, claim(2).expect("nobody is there").log()), "its network has changed, say");
    }

    #[tokio::test(start_paused = true)]
    async fn a_player_may_come_first_and_leaves_nothing_behind() {
        let directory = Directory::new(Limits::default());
        let waiting = directory.log_of(&name("live/a"));
        let publication = directory.publish(name("live/a"), Hops::default()).expect("free");
        assert!(Arc::ptr_eq(&waiting, publication.log()));
        drop((waiting, directory.log_of(&name("live/b"))));
        directory.log_of(&name("live/c"));
        assert_eq!(directory.state().entries.len(), 2, "live/a and live/c");
    }
}
