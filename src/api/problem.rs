//! Problems: why a call was not answered as wished (RFC 9457). None repeats a value that may be a key.

use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer;
use crate::config::route::Clash;
use crate::config::written::Wrong;
use crate::relay::Unapplied;

/// A kind of problem. Its code is stable: programs look for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The body is no JSON.
    NotJson,
    /// What stands in the path is no text.
    NotText,
    /// A token is needed.
    NoToken,
    /// The token is another one.
    WrongToken,
    /// A page of another site wants to change something.
    ForeignOrigin,
    /// The rules of who may play do not let the caller see the stream.
    Denied,
    /// Nothing is there.
    NoSuchPath,
    /// It is there, but not to be called like this.
    NoSuchMethod,
    /// No such stream.
    NoSuchStream,
    /// No such destination.
    NoSuchDestination,
    /// No such session.
    NoSuchSession,
    /// No such recording.
    NoSuchRecording,
    /// A destination or recording has this name already.
    NameTaken,
    /// Another destination goes to the same place.
    PlaceTaken,
    /// There are as many as there may be.
    Full,
    /// It would go in a circle.
    Circle,
    /// It was not made by the API, and cannot be ended by it.
    NotOfTheApi,
    /// It cannot be written into the configuration file.
    NotPersisted,
    /// The body is too large.
    TooLarge,
    /// The body says it is something else than JSON.
    NoJsonType,
    /// The call was meant for another host.
    WrongHost,
    /// A key is unknown, or its value is none.
    Invalid,
    /// The address is inside our own network.
    InternalAddress,
    /// The key would go to another server than it was given for.
    KeyNeeded,
    /// So many are told of changes already.
    TooMany,
    /// The body has not come in time.
    TooSlow,
    /// The relay is ending.
    Stopping,
}

impl Code {
    /// All of them.
    pub const ALL: [Code; 27] = [
        Code::NotJson,
        Code::NotText,
        Code::NoToken,
        Code::WrongToken,
        Code::ForeignOrigin,
        Code::Denied,
        Code::NoSuchPath,
        Code::NoSuchMethod,
        Code::NoSuchStream,
        Code::NoSuchDestination,
        Code::NoSuchSession,
        Code::NoSuchRecording,
        Code::NameTaken,
        Code::PlaceTaken,
        Code::Full,
        Code::Circle,
        Code::NotOfTheApi,
        Code::NotPersisted,
        Code::TooLarge,
        Code::NoJsonType,
        Code::WrongHost,
        Code::Invalid,
        Code::InternalAddress,
        Code::KeyNeeded,
        Code::TooMany,
        Code::TooSlow,
        Code::Stopping,
    ];

    /// The stable code, the HTTP status that goes with it, and what there is to say about it if nothing more is known.
    pub const fn plan(self) -> (&'static str, u16, &'static str) {
        match self {
            Code::NotJson => ("not_json", 400, "the body is not JSON"),
            Code::NotText => ("not_text", 400, "what stands in the path is no text"),
            Code::NoToken => ("no_token", 401, "a token is needed, as in Authorization: Bearer TOKEN"),
            Code::WrongToken => ("wrong_token", 401, "the token is not the one that is configured"),
            Code::ForeignOrigin => ("foreign_origin", 403, "a page of another site may not change anything here"),
            Code::Denied => ("denied", 403, "the caller may not play this stream"),
            Code::NoSuchPath => ("no_such_path", 404, "there is nothing here: see /api/v1/openapi.json"),
            Code::NoSuchMethod => ("no_such_method", 405, "this cannot be called like that: see /api/v1/openapi.json"),
            Code::NoSuchStream => ("no_such_stream", 404, "there is no such stream now"),
            Code::NoSuchDestination => ("no_such_destination", 404, "no destination has this name"),
            Code::NoSuchSession => ("no_such_session", 404, "there is no session with this number any more"),
            Code::NoSuchRecording => ("no_such_recording", 404, "no recording has this name"),
            Code::NameTaken => ("name_taken", 409, "the name is another one's already"),
            Code::PlaceTaken => ("place_taken", 409, "another destination sends the same streams to the same place"),
            Code::Full => ("full", 409, "there are as many as there may be"),
            Code::Circle => ("circle", 409, "the destination is this relay itself: the stream would go in a circle"),
            Code::NotOfTheApi => ("not_of_the_api", 409, "it was not made here: change it where it was"),
            Code::NotPersisted => ("not_persisted", 409, "it cannot be written into the configuration file"),
            Code::TooLarge => ("too_large", 413, "the body is too large"),
            Code::NoJsonType => ("no_json_type", 415, "a body has to be application/json"),
            Code::WrongHost => ("wrong_host", 421, "this host is called by its address or as localhost only"),
            Code::Invalid => ("invalid", 422, "the body is not as it should be"),
            Code::InternalAddress => (
                "internal_address",
                422,
                "the address is inside our own network, where the API adds nothing unless api_allow_internal is set",
            ),
            Code::KeyNeeded => (
                "key_needed",
                422,
                "the key is known for the server before only: give stream_key together with another server",
            ),
            Code::TooMany => ("too_many", 503, "too many are told of changes already"),
            Code::TooSlow => ("too_slow", 408, "the body has not come in time"),
            Code::Stopping => ("stopping", 503, "the relay is ending"),
        }
    }
}

/// What has gone wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    detail: String,
    field: Option<String>,
    parts: Vec<Part>,
}

/// A problem as it is told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Told {
    /// `about:blank`: `code` says what it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The HTTP status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The kind of problem; stable.
    #[schema(example = "no_such_destination")]
    code: &'static str,
    /// The problem in words. They may change.
    detail: String,
    /// The key of the body that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// All that is wrong with the body, where that is more than one thing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Part>,
}

/// One thing that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Part {
    /// In words.
    pub detail: String,
    /// The key that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    /// A problem about which there is more to say than its code says.
    pub fn saying(code: Code, detail: String) -> Self {
        Problem { detail, ..code.into() }
    }

    /// A problem with one key of the body.
    pub fn with(code: Code, field: &str) -> Self {
        Problem { field: Some(field.to_owned()), ..code.into() }
    }

    /// A value or a key that is not as it should be.
    pub fn part(field: &str, what: &str) -> Self {
        Problem::all(vec![Part { detail: what.to_owned(), field: Some(field.to_owned()) }])
    }

    /// All that is wrong with a body.
    pub fn all(mut parts: Vec<Part>) -> Self {
        let details: Vec<&str> = parts.iter().map(|part| &*part.detail).collect();
        let detail = details.join("\n");
        let field = parts.first().and_then(|part| part.field.clone());
        if parts.len() == 1 {
            parts.clear();
        }
        Problem { code: Code::Invalid, detail, field, parts }
    }
}

impl From<Vec<Wrong>> for Problem {
    fn from(wrong: Vec<Wrong>) -> Self {
        Problem::all(wrong.into_iter().map(|Wrong { key, what }| Part { detail: what, field: key }).collect())
    }
}

impl From<Clash> for Problem {
    fn from(clash: Clash) -> Self {
        let (code, field) = match clash {
            Clash::Name => (Code::NameTaken, Some("name")),
            Clash::Place(_) => (Code::PlaceTaken, None),
            Clash::Full(_) => (Code::Full, None),
        };
        Problem { field: field.map(str::to_owned), ..Problem::saying(code, clash.to_string()) }
    }
}

impl From<Unapplied<Problem>> for Problem {
    fn from(unapplied: Unapplied<Problem>) -> Self {
        match unapplied {
            Unapplied::Unfit(problem) => problem,
            Unapplied::Circle(_) => Code::Circle.into(),
            Unapplied::Ended => Code::Stopping.into(),
        }
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Problem { code, detail: code.plan().2.to_owned(), field: None, parts: Vec::new() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Problem { code, detail, field, parts: problems } = self;
        let (code, status, _) = code.plan();
        let code_of_http = StatusCode::from_u16(status).expect("the table has sound ones");
        let title = code_of_http.canonical_reason().unwrap_or_default();
        let told = Told { kind: "about:blank", title, status, code, detail, field, problems };
        let text = serde_json::to_string(&told).expect("plain values are JSON");
        let mut response = answer::text("application/problem+json", text);
        if code_of_http == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        *response.status_mut() = code_of_http;
        response
    }
}

/// The answer where there is no route.
pub(super) async fn no_such_path() -> Problem {
    Code::NoSuchPath.into()
}

/// The answer where there is one, for another method.
pub(super) async fn no_such_method() -> Problem {
    Code::NoSuchMethod.into()
}
