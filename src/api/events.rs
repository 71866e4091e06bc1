//! Events: what there is, and then what changes and what happens, as it does (server-sent events).
//!
//! ```text
//!  event: snapshot    everything, once
//!  event: change      {"kind": "destination", "value": {…}}  or  {"kind": "destination", "gone": "youtube"}
//!  event: event       an entry of the journal, with its id: whoever comes back with that is told what came after it
//!  event: missed      {"missed": 7}: so many entries are not kept any more
//! ```
//! A watcher is shown what differs from what it was shown last. One that reads slowly skips what was in between: nothing is queued
//! for it. What grows by itself, like the seconds in a state, is no change.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use hyper::header::{HeaderMap, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::desk::Desk;
use super::destinations::Destination;
use super::problem::{Code, Problem, Told};
use super::recordings::Recording;
use super::sessions::Session;
use super::status::Status;
use super::streams::Stream;
use crate::journal::{Cursor, News};

/// How often it is looked for changes.
const LOOK: Duration = Duration::from_millis(250);

/// Something is said this often, so that everybody on the way knows that the connection is needed.
const COMMENT: Duration = Duration::from_secs(15);

/// All there is at a moment.
#[derive(Debug)]
pub(super) struct Scene {
    made: Instant,
    /// In the order in which they are told.
    things: Vec<(Key, Thing)>,
    by_key: BTreeMap<Key, usize>,
}

/// What tells a thing from all others: its kind, its name, and of a recording its stream.
type Key = (&'static str, String, Option<String>);

/// One thing of a scene.
#[derive(Debug)]
struct Thing {
    value: Value,
    /// The same without what grows by itself.
    steady: Value,
}

/// The newest scene, for all watchers together.
#[derive(Debug, Default)]
pub(super) struct Stage(Mutex<Option<Arc<Scene>>>);

/// Somebody who is told of changes.
struct Watcher {
    desk: Arc<Desk>,
    /// What it has been shown.
    shown: Option<Arc<Scene>>,
    unsaid: VecDeque<Event>,
    said: Instant,
    look: Interval,
    happened: Cursor,
    /// Nothing more will happen.
    over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Stage {
    /// What there is, no older than a look.
    fn now(&self, desk: &Desk) -> Arc<Scene> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*newest {
            Some(scene) if scene.made.elapsed() < LOOK => scene.clone(),
            _ => newest.insert(Arc::new(Scene::now(desk))).clone(),
        }
    }
}

impl Scene {
    fn now(desk: &Desk) -> Self {
        let (now, mut things) = (desk.now(), Vec::new());
        for stream in Stream::now(desk, &now) {
            things.push((("stream", stream.name.clone(), None), Thing::new(stream)));
        }
        for destination in Destination::now(desk, &now) {
            things.push((("destination", destination.name.clone(), None), Thing::new(destination)));
        }
        for recording in Recording::now(desk, &now) {
            things.push((("recording", recording.name.clone(), recording.stream.clone()), Thing::new(recording)));
        }
        for session in Session::now(desk, &now) {
            things.push((("session", session.id.to_string(), None), Thing::new(session)));
        }
        things.push((("status", String::new(), None), Thing::new(Status::now(desk, &now))));
        Scene::of(things)
    }

    fn of(things: Vec<(Key, Thing)>) -> Self {
        let by_key = things.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)).collect();
        Scene { made: Instant::now(), things, by_key }
    }

    /// All of it.
    fn snapshot(&self) -> Value {
        let all = |kind| {
            let of_this_kind = self.things.iter().filter(|((of, ..), _)| *of == kind);
            of_this_kind.map(|(_, thing)| thing.value.clone()).collect::<Vec<_>>()
        };
        json!({
            "streams": all("stream"),
            "destinations": all("destination"),
            "recordings": all("recording"),
            "sessions": all("session"),
            "status": all("status").pop(),
        })
    }

    /// What is another one, or is gone, since `before`.
    fn changes(&self, before: &Scene) -> Vec<Value> {
        let gone = before.things.iter().filter(|(key, _)| !self.by_key.contains_key(key)).map(|(key, _)| gone(key));
        let old = |key: &Key| before.by_key.get(key).map(|at| &before.things[*at].1.steady);
        let changed = self.things.iter().filter(|(key, thing)| old(key) != Some(&thing.steady));
        gone.chain(changed.map(|((kind, ..), thing)| json!({"kind": kind, "value": thing.value}))).collect()
    }
}

/// A session is known by its number, a recording by its stream too, everything else by its name.
fn gone((kind, name, stream): &Key) -> Value {
    let name = if *kind == "session" { json!(name.parse::<u64>().ok()) } else { json!(name) };
    match stream {
        Some(stream) => json!({"kind": kind, "gone": name, "stream": stream}),
        None => json!({"kind": kind, "gone": name}),
    }
}

impl Thing {
    fn new(what: impl Serialize) -> Self {
        let value = serde_json::to_value(what).expect("plain values are JSON");
        let mut steady = value.clone();
        hold(&mut steady);
        Thing { value, steady }
    }
}

/// What differs from one look to the next although nothing has happened.
fn grows(key: &str) -> bool {
    let grows = ["seconds", "uptime_seconds", "retry_in_seconds", "connected_seconds", "since_key_frame_seconds"];
    // Times are told by two clocks, which drift.
    grows.contains(&key) || key.ends_with("_at")
}

/// Takes away what grows by itself.
fn hold(value: &mut Value) {
    match value {
        Value::Object(keys) => {
            keys.retain(|key, _| !grows(key));
            keys.values_mut().for_each(hold);
        }
        Value::Array(values) => values.iter_mut().for_each(hold),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl Watcher {
    fn new(desk: Arc<Desk>, after: Option<u64>, permit: OwnedSemaphorePermit) -> Self {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let happened = after.map_or_else(|| desk.journal.from_now(), |id| desk.journal.after(id));
        let (shown, unsaid, said) = (None, VecDeque::new(), Instant::now());
        Watcher { desk, shown, unsaid, said, look, happened, over: false, _permit: permit }
    }

    /// The next event. It is asked for when there is room for it, and not before.
    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.unsaid.pop_front() {
                self.said = Instant::now();
                return event;
            }
            tokio::select! {
                biased;
                _ = self.look.tick() => self.look(),
                // What has happened is of no use before what there is.
                news = self.happened.next(), if self.shown.is_some() && !self.over => match news {
                    Some(news) => self.unsaid.push_back(told(&news)),
                    None => self.over = true,
                },
            }
        }
    }

    /// Looks what has changed.
    fn look(&mut self) {
        let scene = self.desk.stage.now(&self.desk);
        match self.shown.replace(scene.clone()) {
            None => self.unsaid.push_back(Event::default().event("snapshot").data(scene.snapshot().to_string())),
            Some(before) => {
                let changes = scene.changes(&before).into_iter();
                self.unsaid.extend(changes.map(|change| Event::default().event("change").data(change.to_string())));
            }
        }
        if self.unsaid.is_empty() && self.said.elapsed() >= COMMENT {
            self.unsaid.push_back(Event::default().comment("nothing new"));
        }
    }
}

fn told(news: &News) -> Event {
    match news {
        News::Entry(entry) => {
            let text = serde_json::to_string(&**entry).expect("plain values are JSON");
            Event::default().event("event").id(entry.id.to_string()).data(text)
        }
        News::Missed(missed) => Event::default().event("missed").data(json!({"missed": missed}).to_string()),
    }
}

/// Everything there is, as `snapshot`, and then whatever changes, as `change`, at most four times a second each, and whatever
/// happens, as `event`.
#[utoipa::path(get, path = "/api/v1/events", tag = "relay", operation_id = "events",
    params(("last-event-id" = Option<u64>, Header, description = "what has happened after this one is told first")),
    responses(
        (status = OK, content_type = "text/event-stream", body = String, description = "server-sent events"),
        (status = SERVICE_UNAVAILABLE, body = Told, description = "too_many")
    )
)]
pub(super) async fn events(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Result<Response, Problem> {
    let after = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.trim().parse().ok());
    let permit = desk.watchers.clone().try_acquire_owned().map_err(|_| Code::TooMany)?;
    let events = unfold(Watcher::new(desk, after, permit), async |mut watcher| {
        let event = watcher.next().await;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    let mut response = Sse::new(events).into_response();
    // nginx would gather them.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_other_or_gone_is_a_change_and_what_grows_by_itself_is_not() {
        let value = |name: &str, bytes: u64, seconds: u64| json!({"name": name, "streams": [{"bytes": bytes, "seconds": seconds, "since_at": seconds}]});
        let thing = |(name, bytes, seconds): (&str, u64, u64)| {
            (("destination", name.to_owned(), None), Thing::new(value(name, bytes, seconds)))
        };
        let session = (("session", "7".to_owned(), None), Thing::new(json!({})));
        let recording = (("recording", "all".to_owned(), Some("live/a".to_owned())), Thing::new(json!({})));
        let mut before = vec![session, recording];
        before.extend([("a", 1, 1), ("b", 1, 1), ("c", 1, 1)].map(thing));
        let before = Scene::of(before);
        let after = Scene::of([("a", 1, 2), ("b", 2, 2), ("d", 1, 2)].map(thing).into());
        let expected = [
            json!({"kind": "session", "gone": 7}),
            json!({"kind": "recording", "gone": "all", "stream": "live/a"}),
            json!({"kind": "destination", "gone": "c"}),
            json!({"kind": "destination", "value": value("b", 2, 2)}),
            json!({"kind": "destination", "value": value("d", 1, 2)}),
        ];
        assert_eq!(after.changes(&before), expected);
        assert_eq!(after.snapshot()["destinations"][0]["streams"][0]["seconds"], 2);
    }
}
