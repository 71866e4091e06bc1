//! Recordings: what is written where.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use tracing::info;
use utoipa::ToSchema;

use super::answer::{self, Json};
use super::call::{Change, Named};
use super::desk::{Desk, Moment};
use super::problem::{Code, Problem, Told};
use super::status::From;
use crate::config::Config;
use crate::origin::Origin;
use crate::recorder::board;
use crate::stream::Name;

/// Every recording.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Recordings {
    recordings: Vec<Recording>,
}

/// A stream that is recorded by a rule, or a rule that waits for one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Recording {
    /// The rule's.
    #[schema(example = "recordings")]
    pub(super) name: String,
    pub(super) stream: Option<String>,
    /// `waiting` for a stream or its key frame, `recording`, `slow` or `failed`.
    pub(super) state: String,
    /// What the file that is being written is called.
    file: Option<String>,
    /// Over all files.
    pub(super) bytes: u64,
    /// In this state.
    pub(super) seconds: f64,
    /// The last error; it stays after a recovery.
    error: Option<String>,
    from: From,
}

impl Recording {
    /// All there are now: those that have a stream first.
    pub(super) fn now(desk: &Desk, now: &Moment) -> Vec<Recording> {
        let config = desk.present();
        let mut recordings: Vec<Recording> = Vec::new();
        for status in desk.recordings.statuses() {
            // One whose rule is gone writes its last bytes.
            let from =
                config.recordings.iter().find(|rule| rule.name == status.rule).map_or(Origin::Api, |rule| rule.from);
            recordings.push(Recording::of(status, from, now));
        }
        for rule in &config.recordings {
            if !recordings.iter().any(|recording| recording.name == rule.name) {
                recordings.push(Recording::waiting(&rule.name, rule.from));
            }
        }
        recordings
    }

    fn of(status: board::Status, from: Origin, now: &Moment) -> Self {
        let file = status.file.as_ref().and_then(|file| file.file_name());
        Recording {
            name: status.rule,
            stream: Some(status.stream.to_string()),
            state: status.state.to_string(),
            file: file.map(|name| name.to_string_lossy().into_owned()),
            bytes: status.bytes,
            seconds: now.since(status.since),
            error: status.last_error,
            from: from.into(),
        }
    }

    fn waiting(rule: &str, from: Origin) -> Self {
        Recording {
            name: rule.to_owned(),
            stream: None,
            state: board::State::Waiting.to_string(),
            file: None,
            bytes: 0,
            seconds: 0.0,
            error: None,
            from: from.into(),
        }
    }
}

/// What is to be recorded.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "a shape for the document")]
pub(super) struct NewRecording {
    #[schema(example = "live/show")]
    stream: String,
}

/// Every recording.
#[utoipa::path(get, path = "/api/v1/recordings", tag = "recordings", operation_id = "recordings", responses((status = OK, body = Recordings)))]
pub(super) async fn all(State(desk): State<Arc<Desk>>) -> Json<Recordings> {
    Json(Recordings { recordings: Recording::now(&desk, &desk.now()) })
}

/// Records a stream into record_dir, from its next key frame on, each time it is published, until this is taken back.
#[utoipa::path(post, path = "/api/v1/recordings", tag = "recordings", operation_id = "record", request_body = NewRecording,
    responses(
        (status = CREATED, body = Recording),
        (status = CONFLICT, body = Told, description = "place_taken, full"),
        (status = UNPROCESSABLE_ENTITY, body = Told, description = "invalid")
    )
)]
pub(super) async fn record(State(desk): State<Arc<Desk>>, change: Change) -> Result<Response, Problem> {
    change.only(&["stream"])?;
    if change.persist {
        return Err(Problem::part("persist", "a recording of the API is not written into the configuration file"));
    }
    let stream = change.said.get("stream").and_then(Value::as_str).and_then(Name::new);
    let stream = stream.ok_or_else(|| Problem::part("stream", "a stream is called app/name, as in live/show"))?;
    let recorded = stream.clone();
    let changes = desk.control.change(move |config| config.record(&stream).map(drop).map_err(Problem::from)).await?;
    let name = changes.added.first().and_then(|added| added.strip_prefix("recording ")).unwrap_or_default();
    info!(recording = name, "recording added by the API");
    let mut now = Recording::now(&desk, &desk.now()).into_iter();
    let recording = now.rfind(|recording| recording.name == name).ok_or(Code::NoSuchRecording)?;
    let recording = Recording { stream: Some(recorded.to_string()), ..recording };
    Ok(answer::created(&format!("/api/v1/recordings/{name}"), recording))
}

/// Ends a recording that the API has begun: its file is closed, and is whole.
#[utoipa::path(delete, path = "/api/v1/recordings/{name}", tag = "recordings", operation_id = "stop_recording",
    params(("name" = String, Path)),
    responses(
        (status = NO_CONTENT),
        (status = NOT_FOUND, body = Told, description = "no_such_recording"),
        (status = CONFLICT, body = Told, description = "not_of_the_api")
    )
)]
pub(super) async fn stop(State(desk): State<Arc<Desk>>, Named(name): Named) -> Result<Response, Problem> {
    let stopped = name.clone();
    let stop = move |config: &mut Config| {
        let at = config.recordings.iter().position(|rule| rule.name == name).ok_or(Code::NoSuchRecording)?;
        match config.recordings[at].from {
            Origin::Api => _ = config.recordings.remove(at),
            Origin::File | Origin::Flags => return Err(Code::NotOfTheApi.into()),
        }
        Ok(())
    };
    desk.control.change(stop).await?;
    info!(recording = stopped, "recording ended by the API");
    Ok(answer::done())
}
