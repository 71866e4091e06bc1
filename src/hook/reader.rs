//! A hook's place in the journal: the entries it is told of, each with how many were missed before it.

use std::sync::Arc;

use serde::Serialize;

use super::Pattern;
use crate::journal::{Cursor, Entry, News};

/// A cursor on what some patterns are for.
#[derive(Debug)]
pub(super) struct Reader {
    cursor: Cursor,
    events: Vec<Pattern>,
    missed: u64,
}

/// What is told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) entry: Arc<Entry>,
    missed: u64,
}

/// An entry as it is in the journal, and what the journal had no room for.
#[derive(Serialize)]
struct Text<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    /// Entries, of any code, that had gone before they were read.
    #[serde(skip_serializing_if = "is_zero")]
    missed: u64,
}

impl Reader {
    pub(super) fn new(cursor: Cursor, events: Vec<Pattern>) -> Self {
        Reader { cursor, events, missed: 0 }
    }

    /// The next that is to be told; none once the journal has ended. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Told> {
        loop {
            match self.cursor.next().await? {
                News::Missed(missed) => self.missed += missed,
                News::Entry(entry) if self.events.iter().any(|pattern| pattern.is_for(entry.event.code)) => {
                    return Some(Told { entry, missed: std::mem::take(&mut self.missed) });
                }
                News::Entry(_) => {}
            }
        }
    }
}

impl Told {
    /// One text for all tries: it is signed.
    pub(super) fn json(&self) -> String {
        let Told { entry, missed } = self;
        serde_json::to_string(&Text { entry, missed: *missed }).expect("names, texts and numbers can be written")
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
