//! The journal: what has happened, as far back as it is kept.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Json;
use super::desk::Desk;
use super::problem::{Problem, Told};
use crate::journal::{Entry, News};

/// What has happened since some entry.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Journal {
    /// The oldest first.
    #[schema(value_type = Vec<JournalEntry>)]
    entries: Vec<Entry>,
    /// How many between them and the one asked for are not kept any more.
    missed: u64,
}

/// One thing that has happened.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "a shape for the document")]
pub(super) struct JournalEntry {
    /// One more than that of the entry before it, and more than any of an earlier run of the relay.
    pub(super) id: u64,
    #[schema(format = DateTime)]
    at: String,
    /// `info`, `warning` or `error`.
    severity: String,
    /// What; stable, and explained in docs/events.md.
    #[schema(example = "destination.live")]
    code: String,
    stream: Option<String>,
    destination: Option<String>,
    recording: Option<String>,
    /// The recording's file, as it is called now.
    file: Option<String>,
    /// Who has come or gone.
    peer: Option<String>,
    /// Why, as a stable word.
    class: Option<String>,
    /// Why, for people.
    text: Option<String>,
    /// How many.
    count: Option<u64>,
}

/// What has happened since the entry `after`, or as far back as it is kept.
#[utoipa::path(get, path = "/api/v1/journal", tag = "relay", operation_id = "journal",
    params(("after" = Option<u64>, Query, description = "the id of an entry")),
    responses((status = OK, body = Journal), (status = UNPROCESSABLE_ENTITY, body = Told, description = "invalid"))
)]
pub(super) async fn journal(State(desk): State<Arc<Desk>>, uri: Uri) -> Result<Json<Journal>, Problem> {
    let mut after = 0;
    for (key, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        after = match &*key {
            "after" => value.parse().map_err(|_| Problem::part("after", "here should be the id of an entry"))?,
            other => return Err(Problem::part(other, &format!("unknown parameter {other:?}: known here is after"))),
        };
    }
    let (mut cursor, mut journal) = (desk.journal.after(after), Journal { entries: Vec::new(), missed: 0 });
    while let Some(news) = cursor.read() {
        match news {
            News::Entry(entry) => journal.entries.push(Entry::clone(&entry)),
            News::Missed(missed) => journal.missed += missed,
        }
    }
    Ok(Json(journal))
}
