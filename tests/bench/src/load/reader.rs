//! A reader: one player, or one server that is published to.

use std::sync::Arc;

use super::count::{Group, Progress, Tally};
use super::dialogue::Media;
use crate::film::Stamp;

/// Looks at the stamp of every message.
pub(super) struct Reader {
    tally: Arc<Tally>,
    group: Group,
    /// Where it is entered, once it has got its first message.
    place: Option<usize>,
    progress: Progress,
}

impl Reader {
    /// One that has got nothing yet.
    pub(super) fn new(tally: Arc<Tally>, group: Group) -> Self {
        Reader { tally, group, place: None, progress: Progress::default() }
    }

    /// Takes what has come.
    pub(super) fn take(&mut self, event: impl Media) {
        let Some(message) = event.message() else { return };
        let Some(kind) = message.media() else { return };
        let Some(stamp) = Stamp::read(&message.payload) else { return };
        self.progress.take(kind, stamp);
        let place = *self.place.get_or_insert_with(|| self.tally.enter(self.group.clone()));
        self.tally.take(place, kind, stamp, message.payload.len(), &self.progress);
    }
}

impl Drop for Reader {
    /// Whose connection has ended is waited for no longer.
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.tally.leave(place);
        }
    }
}
