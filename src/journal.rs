//! The journal: what has happened to a relay, numbered, as much of it as there is room for. Every reader is a cursor on it.
//!
//! ```text
//!  relay · ingest · player · destination · recorder ─append─► ▒ JOURNAL ▒ ◄─ Cursor ─ webhook · command · API
//! ```
//! Who appends waits for nobody. A reader that is too slow goes on with the oldest entry there is, and is told how many it has
//! missed. Nothing in an entry is secret: streams, destinations and recordings are known by their names.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits::{JOURNAL_ENTRIES, JOURNAL_TEXT, JOURNAL_VISITS};
use crate::stream::Name;

pub mod code;

pub use code::{Code, Severity};

/// What has happened. A clone is the same journal.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
    state: Mutex<State>,
    appended: Notify,
}

struct State {
    /// The number of the first entry of this journal, evicted or not.
    first: u64,
    entries: VecDeque<Arc<Entry>>,
    /// The number of the next one.
    next: u64,
    ended: bool,
    /// Of what visitors bring about: how often in this second, and how often it was left out.
    visits: BTreeMap<Code, (Instant, u32, u64)>,
}

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its number: one more than that of the entry before it, and more than any of an earlier run of the relay.
    pub id: u64,
    /// When.
    #[serde(serialize_with = "rfc_3339")]
    pub at: Timestamp,
    /// How bad it is.
    pub severity: Severity,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What has happened to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// What.
    pub code: Code,
    /// The stream.
    #[serde(serialize_with = "name", skip_serializing_if = "Option::is_none")]
    pub stream: Option<Name>,
    /// The destination's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The recording's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
    /// The recording's file, as it is called now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Who has come or gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// Why, as a stable word: the class of an error, the reason of a drop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<&'static str>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How many: frames that were left out; visitors of whom there were too many in one second for an entry each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// A place in a journal.
#[derive(Debug, Clone)]
pub struct Cursor {
    journal: Journal,
    next: u64,
}

/// What a cursor finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The next entry.
    Entry(Arc<Entry>),
    /// This many have gone before they were read.
    Missed(u64),
}

impl Journal {
    /// An empty journal. `clock` tells the time of day.
    pub fn new(clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        // So the numbers of a relay that starts again go on: it has had less than one event in a microsecond.
        let now = clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let first = now.as_micros() as u64 + 1;
        let state = State { first, entries: VecDeque::new(), next: first, ended: false, visits: BTreeMap::new() };
        Journal(Arc::new(Inner { clock: Box::new(clock), state: Mutex::new(state), appended: Notify::new() }))
    }

    /// Adds what has just happened, and lets go of what is over the limit.
    pub fn append(&self, mut event: Event) {
        if let Some((at, _)) = event.text.as_ref().and_then(|text| text.char_indices().nth(JOURNAL_TEXT)) {
            event.text.iter_mut().for_each(|text| text.truncate(at));
        }
        let at = Timestamp::try_from((self.0.clock)()).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut state = self.state();
        if state.ended || !state.admits(&mut event) {
            return;
        }
        let entry = Entry { id: state.next, at, severity: event.code.severity(), event };
        state.next += 1;
        state.entries.push_back(Arc::new(entry));
        if state.entries.len() > JOURNAL_ENTRIES {
            state.entries.pop_front();
        }
        drop(state);
        self.0.appended.notify_waiters();
    }

    /// Nothing more will happen: readers read what is left, then see the end.
    pub fn end(&self) {
        self.state().ended = true;
        self.0.appended.notify_waiters();
    }

    /// A cursor on what has the next number after `id`; on all there is where `id` is none of this relay's. 0 is before the first.
    pub fn after(&self, id: u64) -> Cursor {
        let state = self.state();
        let next = if id >= state.next { state.first } else { (id + 1).max(state.first) };
        Cursor { journal: self.clone(), next }
    }

    /// A cursor on what is to come.
    pub fn from_now(&self) -> Cursor {
        Cursor { journal: self.clone(), next: self.state().next }
    }

    /// Nothing is done under this lock that could leave it half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One that nobody reads.
impl Default for Journal {
    fn default() -> Self {
        Journal::new(|| SystemTime::UNIX_EPOCH)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "Journal of {} entries before {}", state.entries.len(), state.next)
    }
}

impl Cursor {
    /// What comes next, if it is there.
    pub fn read(&mut self) -> Option<News> {
        let state = self.journal.state();
        let held = state.next - state.entries.len() as u64;
        if self.next < held {
            let missed = held - self.next;
            self.next = held;
            return Some(News::Missed(missed));
        }
        let entry = state.entries.get(usize::try_from(self.next - held).ok()?)?;
        self.next += 1;
        Some(News::Entry(entry.clone()))
    }

    /// Waits for what comes next; none once the journal has ended. Cancel safe.
    pub async fn next(&mut self) -> Option<News> {
        let journal = self.journal.clone();
        loop {
            let appended = journal.0.appended.notified();
            tokio::pin!(appended);
            appended.as_mut().enable();
            if let Some(news) = self.read() {
                return Some(news);
            }
            if journal.state().ended {
                return None;
            }
            appended.await;
        }
    }
}

impl State {
    /// Whether there is room for it in this second. A flood of visitors is not to be one of entries: those that are too many are
    /// counted in the next one.
    fn admits(&mut self, event: &mut Event) -> bool {
        if !event.code.is_of_visitors() {
            return true;
        }
        let now = Instant::now();
        let (since, told, untold) = self.visits.entry(event.code).or_insert((now, 0, 0));
        if now - *since >= Duration::from_secs(1) {
            (*since, *told) = (now, 0);
        }
        if *told >= JOURNAL_VISITS {
            *untold += 1;
            return false;
        }
        *told += 1;
        event.count = Some(std::mem::take(untold)).filter(|untold| *untold > 0);
        true
    }
}

impl Event {
    /// Something has happened, to nobody yet.
    pub fn new(code: Code) -> Self {
        Event {
            code,
            stream: None,
            destination: None,
            recording: None,
            file: None,
            peer: None,
            class: None,
            text: None,
            count: None,
        }
    }

    /// To this stream.
    pub fn stream(self, stream: &Name) -> Self {
        Event { stream: Some(stream.clone()), ..self }
    }

    /// By this peer.
    pub fn peer(self, peer: IpAddr) -> Self {
        Event { peer: Some(peer), ..self }
    }

    /// To this recording.
    pub fn recording(self, name: &str, file: Option<&Path>) -> Self {
        Event { recording: Some(name.to_owned()), file: file.map(Path::to_owned), ..self }
    }

    /// For this reason.
    pub fn because(self, text: impl Into<String>) -> Self {
        Event { text: Some(text.into()), ..self }
    }
}

/// With milliseconds, so that all of them are equally long.
fn rfc_3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.3}"))
}

fn name<S: Serializer>(name: &Option<Name>, serializer: S) -> Result<S::Ok, S::Error> {
    match name {
        Some(name) => serializer.collect_str(name),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;
    use tokio::time::advance;

    use super::*;

    /// At a quarter past midnight of 1970.
    fn journal() -> Journal {
        Journal::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(900))
    }

    const FIRST: u64 = 900_000_001;

    /// Its text is its number in the order of telling.
    fn changed(journal: &Journal, numbers: std::ops::Range<usize>) {
        for number in numbers {
            journal.append(Event::new(Code::ConfigChanged).because(number.to_string()));
        }
    }

    /// All that a cursor finds, as `7 8 -3 12`: three are missed.
    fn read(cursor: &mut Cursor) -> String {
        let mut all = Vec::new();
        while let Some(news) = cursor.read() {
            all.push(match news {
                News::Entry(entry) => {
                    let text = entry.event.text.clone().expect("a number");
                    assert!(text.len() > 3 || entry.id == FIRST + text.parse::<u64>().expect("a number"));
                    text
                }
                News::Missed(missed) => format!("-{missed}"),
            });
        }
        all.join(" ")
    }

    #[test]
    fn entries_are_numbered_in_their_order_and_each_reader_has_all_of_them() {
        let journal = journal();
        let mut early = journal.after(0);
        changed(&journal, 0..3);
        let mut later = journal.from_now();
        assert_eq!((read(&mut early), read(&mut later)), ("0 1 2".to_owned(), String::new()));
        changed(&journal, 3..5);
        assert_eq!((read(&mut early), read(&mut later)), ("3 4".to_owned(), "3 4".to_owned()));
        assert_eq!(read(&mut journal.after(FIRST + 2)), "3 4");
        assert_eq!(read(&mut journal.after(FIRST + 4)), "");
        assert_eq!(read(&mut journal.after(FIRST + 5)), "0 1 2 3 4", "a number from elsewhere");
        assert_eq!(read(&mut journal.after(u64::MAX)), "0 1 2 3 4");
    }

    #[test]
    fn a_reader_that_is_too_slow_is_told_how_many_it_has_missed() {
        let journal = journal();
        let (mut slow, mut slower) = (journal.after(0), journal.after(0));
        changed(&journal, 0..JOURNAL_ENTRIES);
        assert!(matches!(slow.read(), Some(News::Entry(first)) if first.id == FIRST));
        changed(&journal, JOURNAL_ENTRIES..JOURNAL_ENTRIES + 4);
        assert_eq!(slow.read(), Some(News::Missed(3)));
        assert_eq!(slower.read(), Some(News::Missed(4)));
        assert!(matches!(slow.read(), Some(News::Entry(next)) if next.id == FIRST + 4));
        assert_eq!(journal.state().entries.len(), JOURNAL_ENTRIES);
        assert_eq!(journal.after(0).read(), Some(News::Missed(4)), "of this relay, and no more");
    }

    #[test]
    fn a_relay_that_starts_again_goes_on_with_higher_numbers() {
        let (before, after) = (journal(), Journal::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(901)));
        changed(&before, 0..900);
        changed(&after, 0..2);
        let last = before.state().next - 1;
        let all = [after.after(last).read(), after.after(0).read()];
        assert!(all.iter().all(|news| matches!(news, Some(News::Entry(entry)) if entry.id > last)), "{all:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_hears_of_it_at_once_and_of_the_end_after_what_is_left() {
        let journal = journal();
        let mut cursor = journal.after(0);
        let waiting = tokio::spawn(async move {
            let first = cursor.next().await;
            (first, cursor.next().await, cursor.next().await, cursor.next().await)
        });
        yield_now().await;
        changed(&journal, 0..1);
        yield_now().await;
        changed(&journal, 1..2);
        journal.end();
        changed(&journal, 2..3);
        let (first, second, end, still) = waiting.await.expect("it has read");
        assert!(
            matches!((first, second), (Some(News::Entry(a)), Some(News::Entry(b))) if (a.id, b.id) == (FIRST, FIRST + 1))
        );
        assert_eq!((end, still), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_visitors_is_no_flood_of_entries_and_hides_nothing_else() {
        let journal = journal();
        let codes = |journal: &Journal| {
            let state = journal.state();
            let count = |code| state.entries.iter().filter(|entry| entry.event.code == code).count();
            (count(Code::PlayerStarted), count(Code::ConfigChanged))
        };
        let visits = JOURNAL_VISITS as usize;
        for _ in 0..visits + 500 {
            journal.append(Event::new(Code::PlayerStarted));
            journal.append(Event::new(Code::ConfigChanged));
        }
        assert_eq!(codes(&journal), (visits, visits + 500));
        advance(Duration::from_secs(1)).await;
        journal.append(Event::new(Code::PlayerStarted));
        let last = journal.state().entries.back().cloned().expect("an entry");
        assert_eq!((last.event.code, last.event.count), (Code::PlayerStarted, Some(500)));
    }

    #[test]
    fn a_text_has_its_limit() {
        let journal = journal();
        journal.append(Event::new(Code::ConfigChanged).because("ü".repeat(JOURNAL_TEXT + 1)));
        let text = journal.state().entries[0].event.text.clone().expect("a text");
        assert_eq!(text, "ü".repeat(JOURNAL_TEXT));
    }

    #[test]
    fn an_entry_is_written_as_json_without_what_it_has_not() {
        let journal = journal();
        let stream = Name::new("live/show").expect("a name");
        journal.append(Event::new(Code::PublishStarted).stream(&stream).peer([192, 0, 2, 1].into()));
        journal.append(Event {
            destination: Some("youtube".to_owned()),
            class: Some("network"),
            ..Event::new(Code::DestinationBackingOff).stream(&stream).because("closed by the peer")
        });
        journal.append(Event::new(Code::RecordingEnded).recording("shows", Some(Path::new("a/b.flv"))));
        let state = journal.state();
        let json: Vec<_> = state.entries.iter().map(|entry| serde_json::to_string(&**entry).expect("JSON")).collect();
        let expected = [
            r#"{"id":900000001,"at":"1970-01-01T00:15:00.000Z","severity":"info","code":"publish.started","stream":"live/show","peer":"192.0.2.1"}"#,
            r#"{"id":900000002,"at":"1970-01-01T00:15:00.000Z","severity":"warning","code":"destination.backing_off","stream":"live/show","destination":"youtube","class":"network","text":"closed by the peer"}"#,
            r#"{"id":900000003,"at":"1970-01-01T00:15:00.000Z","severity":"info","code":"recording.ended","recording":"shows","file":"a/b.flv"}"#,
        ];
        assert_eq!(json, expected);
    }
}
