//! Recordings: what is written where.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Json;
use super::desk::{Desk, Moment};
use super::status::From;
use crate::origin::Origin;
use crate::recorder::board;

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
    state: String,
    /// What the file that is being written is called.
    file: Option<String>,
    /// Over all files.
    bytes: u64,
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

/// Every recording.
#[utoipa::path(get, path = "/api/v1/recordings", tag = "recordings", operation_id = "recordings", responses((status = OK, body = Recordings)))]
pub(super) async fn all(State(desk): State<Arc<Desk>>) -> Json<Recordings> {
    Json(Recordings { recordings: Recording::now(&desk, &desk.now()) })
}
