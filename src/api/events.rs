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

use std::collections::VecDeque;
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
    things: Vec<Thing>,
}

/// One thing of a scene.
#[derive(Debug)]
struct Thing {
    kind: &'static str,
    /// What tells it from others of its kind.
    name: Value,
    /// One name more, where a name alone does not tell.
    stream: Option<String>,
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
        let now = desk.now();
        let mut things = Vec::new();
        things.extend(
            Stream::now(desk, &now).into_iter().map(|stream| Thing::new("stream", stream.name.clone(), stream)),
        );
        let destinations = Destination::now(desk, &now).into_iter();
        things.extend(destinations.map(|destination| Thing::new("destination", destination.name.clone(), destination)));
        things.extend(Recording::now(desk, &now).into_iter().map(|recording| {
            let stream = recording.stream.clone();
            Thing { stream, ..Thing::new("recording", recording.name.clone(), recording) }
        }));
        things.extend(Session::now(desk, &now).into_iter().map(|session| Thing::new("session", session.id, session)));
        things.push(Thing::new("status", Value::Null, Status::now(desk, &now)));
        Scene { made: Instant::now(), things }
    }

    /// All of it.
    fn snapshot(&self) -> Value {
        let all = |kind| {
            self.things.iter().filter(|thing| thing.kind == kind).map(|thing| thing.value.clone()).collect::<Vec<_>>()
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
        let gone = before.things.iter().filter(|thing| self.like(thing).is_none()).map(|thing| {
            let mut gone = json!({"kind": thing.kind, "gone": thing.name});
            if let Some(stream) = &thing.stream {
                gone["stream"] = json!(stream);
            }
            gone
        });
        let changed =
            self.things.iter().filter(|thing| before.like(thing).is_none_or(|old| old.steady != thing.steady));
        gone.chain(changed.map(|thing| json!({"kind": thing.kind, "value": thing.value}))).collect()
    }

    fn like(&self, other: &Thing) -> Option<&Thing> {
        let same =
            |thing: &&Thing| (thing.kind, &thing.name, &thing.stream) == (other.kind, &other.name, &other.stream);
        self.things.iter().find(same)
    }
}

impl Thing {
    fn new(kind: &'static str, name: impl Into<Value>, what: impl Serialize) -> Self {
        let value = serde_json::to_value(what).expect("plain values are JSON");
        let mut steady = value.clone();
        hold(&mut steady);
        Thing { kind, name: name.into(), stream: None, value, steady }
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

    fn scene(things: Vec<Thing>) -> Scene {
        Scene { made: Instant::now(), things }
    }

    #[tokio::test]
    async fn what_is_other_or_gone_is_a_change_and_what_grows_by_itself_is_not() {
        let thing = |name: &str, bytes: u64, seconds: u64| {
            let value = json!({"name": name, "streams": [{"bytes": bytes, "seconds": seconds, "since_at": seconds}]});
            Thing::new("destination", name, value)
        };
        let before = scene(vec![thing("a", 1, 1), thing("b", 1, 1), thing("c", 1, 1)]);
        let after = scene(vec![thing("a", 1, 2), thing("b", 2, 2), thing("d", 1, 2)]);
        let value = |thing: Thing| json!({"kind": "destination", "value": thing.value});
        let expected = [json!({"kind": "destination", "gone": "c"}), value(thing("b", 2, 2)), value(thing("d", 1, 2))];
        assert_eq!(after.changes(&before), expected);
        assert_eq!(after.snapshot()["destinations"][0]["streams"][0]["seconds"], 2);
    }
}
