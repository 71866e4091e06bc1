//! The board: where every destination of a relay stands.

use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{State, Status};
use crate::journal::Journal;
use crate::stream::Name;

/// The statuses of all destinations of a relay, in the order they were given. A clone shows the same board.
#[derive(Debug, Clone, Default)]
pub struct Board {
    entries: Arc<Mutex<Vec<Entry>>>,
    /// What changes here is told there.
    journal: Journal,
}

/// A destination, with a status for each of its streams, or one without a stream.
#[derive(Debug)]
struct Entry {
    name: String,
    /// Taken off the list, it is still shown until its last stream has left.
    listed: bool,
    enabled: bool,
    statuses: Vec<Arc<Mutex<Status>>>,
}

/// One stream's place at one destination. Dropped, the destination waits again; a second stream's place goes away.
#[derive(Debug)]
pub struct Row {
    board: Board,
    name: String,
    status: Arc<Mutex<Status>>,
}

impl Board {
    /// An empty board that tells `journal` what changes.
    pub fn new(journal: Journal) -> Self {
        Board { journal, ..Board::default() }
    }

    /// Adds a destination that waits for a stream.
    pub fn add(&self, name: &str) {
        self.entries().push(Entry::new(name, true, &self.journal));
    }

    /// Lists these destinations, switched on or not, and no others. What is known of those that stay is kept.
    pub fn list<'a>(&self, destinations: impl IntoIterator<Item = (&'a str, bool)>) {
        let mut entries = self.entries();
        let mut before = take(&mut *entries);
        for (name, enabled) in destinations {
            let known = before.iter().position(|entry| entry.name == name);
            let mut entry = known.map_or_else(|| Entry::new(name, enabled, &self.journal), |at| before.remove(at));
            (entry.listed, entry.enabled) = (true, enabled);
            entry.rest(&self.journal);
            entries.push(entry);
        }
        for mut entry in before {
            entry.listed = false;
            entries.push(entry);
        }
        entries.retain(Entry::is_shown);
    }

    /// A place for `stream` on its way to a destination: the one it has while its session before this ends, else the waiting
    /// one, or one more below it.
    pub fn claim(&self, name: &str, stream: &Name) -> Row {
        let mut entries = self.entries();
        let at = entries.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
            entries.push(Entry::new(name, true, &self.journal));
            entries.len() - 1
        });
        let statuses = &mut entries[at].statuses;
        let knows = |status: &Mutex<Status>| lock(status).stream.as_ref() == Some(stream);
        let same = statuses.iter().find(|status| knows(status) && !mutant!(ForgetsRow));
        let status = match same.or_else(|| statuses.iter().find(|status| lock(status).stream.is_none())) {
            Some(status) => status.clone(),
            None => {
                let status = Arc::new(Mutex::new(Status::new(name)));
                statuses.push(status.clone());
                status
            }
        };
        lock(&status).stream = Some(stream.clone());
        Row { board: self.clone(), name: name.to_owned(), status }
    }

    /// What there is to know now.
    pub fn statuses(&self) -> Vec<Status> {
        self.entries().iter().flat_map(|entry| &entry.statuses).map(|status| lock(status).clone()).collect()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        lock(&self.entries)
    }
}

impl Entry {
    fn new(name: &str, enabled: bool, journal: &Journal) -> Self {
        let entry = Entry {
            name: name.to_owned(),
            listed: true,
            enabled,
            statuses: vec![Arc::new(Mutex::new(Status::new(name)))],
        };
        entry.rest(journal);
        entry
    }

    /// Where it has no stream it waits for one, or is switched off.
    fn rest(&self, journal: &Journal) {
        for status in &self.statuses {
            let mut status = lock(status);
            if status.stream.is_none() {
                status.enter(if self.enabled { State::Waiting } else { State::Disabled }, None);
                status.tell(journal);
            }
        }
    }

    fn is_shown(&self) -> bool {
        self.listed || self.statuses.iter().any(|status| lock(status).stream.is_some())
    }

    /// Somebody's session there is over.
    fn leave(&mut self, left: &Arc<Mutex<Status>>, journal: &Journal) {
        // The board has one, and so has the row that is dropped: anybody else is the stream's next session.
        if Arc::strong_count(left) > 2 {
            return;
        }
        if self.statuses.len() > 1 {
            return self.statuses.retain(|status| !Arc::ptr_eq(status, left));
        }
        lock(left).leave();
        self.rest(journal);
    }
}

impl Row {
    /// The destination's name.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// What it shows.
    pub fn status(&self) -> Status {
        lock(&self.status).clone()
    }

    /// Looks at what is shown, which has names and sentences: each second somebody would copy them for nothing.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Status) -> T) -> T {
        look(&lock(&self.status))
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        let mut status = lock(&self.status);
        change(&mut status);
        status.tell(&self.board.journal);
    }

    /// Says why nothing is tried.
    pub fn block(&self, reason: String) {
        self.update(|s| s.enter(State::Blocked, Some(reason)));
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        let mut entries = self.board.entries();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.name == self.name) {
            entry.leave(&self.status, &self.board.journal);
        }
        entries.retain(Entry::is_shown);
    }
}

/// Plain figures: a panic while they were written leaves nothing worse than a wrong one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_begins_again_goes_on_in_its_row_and_another_stream_has_its_own() {
        let board = Board::default();
        board.add("kick");
        let (a, b) = (name("live/a"), name("live/b"));
        let ending = board.claim("kick", &a);
        ending.update(|s| s.bytes = 7);
        let next = board.claim("kick", &a);
        let other = board.claim("kick", &b);
        drop(ending);
        let rows = |board: &Board| board.statuses().iter().map(|s| (s.stream.clone(), s.bytes)).collect::<Vec<_>>();
        assert_eq!(rows(&board), [(Some(a.clone()), 7), (Some(b), 0)]);
        drop(other);
        assert_eq!(rows(&board), [(Some(a), 7)]);
        drop(next);
        assert_eq!(rows(&board), [(None, 7)], "it waits, and remembers");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_listed_anew_is_kept_and_what_is_not_goes_when_its_stream_has_left() {
        let board = Board::default();
        board.list([("kick", true), ("twitch", true), ("vimeo", true)]);
        let sending = board.claim("twitch", &name("live/a"));
        board.claim("vimeo", &name("live/a")).update(|s| s.bytes = 7);
        board.list([("vimeo", false), ("x", true)]);
        let rows = |board: &Board| board.statuses().into_iter().map(|s| (s.name, s.state, s.bytes)).collect::<Vec<_>>();
        let listed = [("vimeo".to_owned(), State::Disabled, 7), ("x".to_owned(), State::Waiting, 0)];
        assert_eq!(rows(&board)[..2], listed);
        assert_eq!(rows(&board)[2].0, "twitch", "until it has said its goodbye");
        drop(sending);
        assert_eq!(rows(&board), listed);
    }
}
