//! What of a destination's status has been told to the journal, so that nothing is told twice: a server can be away all night.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::{Class, State, Status};
use crate::journal::{Code, Event, Journal};
use crate::platforms::Matter;

/// Drops are told no more often than this.
const DROPS: Duration = Duration::from_secs(1);

/// What was told last.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// The state, and why, figures aside.
    state: Option<(State, String)>,
    dropped: BTreeMap<&'static str, u64>,
    drops_at: Option<Instant>,
    unannounced: Vec<String>,
    advice: BTreeSet<Matter>,
}

impl Status {
    /// Tells the journal what is new.
    pub(super) fn tell(&mut self, journal: &Journal) {
        let event = |code| Event {
            stream: self.stream.clone(),
            destination: Some(self.name.clone()),
            text: None,
            ..Event::new(code)
        };
        let at_backup = (self.backup && self.state == State::Live).then(|| "at the backup server".to_owned());
        let text = self.reason.clone().or(at_backup);
        let state = (self.state.clone(), text.as_deref().map(shape).unwrap_or_default());
        if self.told.state.as_ref() != Some(&state) && !self.tries_again() {
            let failed = self.class.filter(|class| class.state() == self.state && self.reason == self.last_error);
            journal.append(Event { class: failed.map(Class::code), text, ..event(code(&self.state)) });
            self.told.state = Some(state);
        }
        if self.told.drops_at.is_none_or(|at| at.elapsed() >= DROPS) && self.told.dropped != self.dropped_by_reason {
            for (why, frames) in &self.dropped_by_reason {
                let count = frames - self.told.dropped.get(why).copied().unwrap_or(0);
                if count > 0 {
                    journal.append(Event { class: Some(why), count: Some(count), ..event(Code::DestinationDropped) });
                }
            }
            self.told.dropped = self.dropped_by_reason.clone();
            self.told.drops_at = Some(Instant::now());
        }
        if self.told.unannounced != self.unannounced {
            if !self.unannounced.is_empty() {
                let text = format!("the server did not announce {}", self.unannounced.join(", "));
                journal.append(event(Code::DestinationAdvice).because(text));
            }
            self.told.unannounced.clone_from(&self.unannounced);
        }
        for advice in self.advice.iter().filter(|advice| !self.told.advice.contains(&advice.matter)) {
            let class = Some(advice.matter.name());
            journal.append(Event { class, ..event(Code::DestinationAdvice).because(&*advice.text) });
        }
        self.told.advice = self.advice.iter().map(|advice| advice.matter).collect();
    }

    /// Whether this is one more try after a failure that has been told.
    fn tries_again(&self) -> bool {
        let failed =
            |(state, _): &(State, String)| matches!(state, State::BackingOff | State::Rejected | State::Blocked);
        self.state == State::Connecting && self.told.state.as_ref().is_some_and(failed)
    }
}

/// A reason without its figures, which change each second.
fn shape(reason: &str) -> String {
    reason.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect()
}

fn code(state: &State) -> Code {
    match state {
        State::Disabled => Code::DestinationDisabled,
        State::Waiting => Code::DestinationWaiting,
        State::Connecting => Code::DestinationConnecting,
        State::Live => Code::DestinationLive,
        State::Degraded => Code::DestinationDegraded,
        State::BackingOff => Code::DestinationBackingOff,
        State::Rejected => Code::DestinationRejected,
        State::Blocked => Code::DestinationBlocked,
        State::Draining => Code::DestinationDraining,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::destination::{Board, Row};
    use crate::guard::Advice;
    use crate::journal::{Cursor, News};
    use crate::stream::Name;

    /// What has been told since the last time, as `code class*count: text`.
    fn told(cursor: &mut Cursor) -> Vec<String> {
        std::iter::from_fn(|| cursor.read())
            .map(|news| {
                let News::Entry(entry) = news else { panic!("none is missed") };
                let event = &entry.event;
                let parts = [
                    event.class.map(|class| format!(" {class}")),
                    event.count.map(|count| format!(" *{count}")),
                    event.text.as_ref().map(|text| format!(": {text}")),
                ];
                [event.code.to_string()].into_iter().chain(parts.into_iter().flatten()).collect()
            })
            .collect()
    }

    fn row() -> (Board, Row, Cursor) {
        let journal = Journal::default();
        let (board, cursor) = (Board::new(journal.clone()), journal.after(0));
        board.list([("kick", true)]);
        let row = board.claim("kick", &Name::new("live/a").expect("a name"));
        (board, row, cursor)
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_all_night_is_told_once_for_each_reason() {
        let (board, row, mut cursor) = row();
        assert_eq!(told(&mut cursor), ["destination.waiting"]);
        let fails = |class, text: &str| {
            row.update(|s| s.enter(State::Connecting, None));
            row.update(|s| s.failed(class, text.to_owned(), Some(Duration::from_secs(5))));
        };
        for port in 0..100 {
            fails(Class::Network, &format!("cannot connect: timed out after {port}.5 s"));
        }
        let first =
            ["destination.connecting", "destination.backing_off network: cannot connect: timed out after 0.5 s"];
        assert_eq!(told(&mut cursor), first);
        fails(Class::KeyRejected, "refused");
        fails(Class::Network, "closed by the peer");
        let changed =
            ["destination.rejected key_rejected: refused", "destination.backing_off network: closed by the peer"];
        assert_eq!(told(&mut cursor), changed);
        row.update(|s| s.enter(State::Connecting, None));
        row.update(Status::session_began);
        row.update(|s| s.enter(State::Draining, None));
        drop(row);
        assert_eq!(told(&mut cursor), ["destination.live", "destination.draining", "destination.waiting"]);
        board.list([("kick", false)]);
        board.list([("kick", false)]);
        assert_eq!(told(&mut cursor), ["destination.disabled"]);
    }

    #[tokio::test(start_paused = true)]
    async fn drops_are_told_once_a_second_with_how_many_they_were() {
        let (_board, row, mut cursor) = row();
        told(&mut cursor);
        let drops = |why, frames| row.update(|s| *s.dropped_by_reason.entry(why).or_default() += frames);
        for _ in 0..10 {
            drops("lag", 7);
        }
        assert_eq!(told(&mut cursor), ["destination.dropped lag *7"]);
        advance(DROPS).await;
        drops("away", 2);
        assert_eq!(told(&mut cursor), ["destination.dropped away *2", "destination.dropped lag *63"]);
        advance(DROPS).await;
        row.update(|_| {});
        assert!(told(&mut cursor).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_server_did_not_announce_and_what_a_platform_does_not_like_is_advice_once() {
        let (_board, row, mut cursor) = row();
        told(&mut cursor);
        for needs in [&["HEVC"][..], &["HEVC"], &[], &["AV1", "Opus"]] {
            row.update(|s| s.unannounced = needs.iter().map(|need| (*need).to_owned()).collect());
        }
        row.update(|s| {
            let (matter, text) = (Matter::GopTooLong, "key frames are 10 s apart".to_owned());
            s.advice = vec![Advice { matter, text, refused: false, confirmed: true }];
        });
        let expected = [
            "destination.advice: the server did not announce HEVC",
            "destination.advice: the server did not announce AV1, Opus",
            "destination.advice gop_too_long: key frames are 10 s apart",
        ];
        assert_eq!(told(&mut cursor), expected);
        row.update(|_| {});
        assert!(told(&mut cursor).is_empty());
    }
}
