//! What is wrong with a configuration, and where.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

/// A line and a column of the file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// A value, and where it stands if it is from the file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(from = "Spanned<T>", bound = "T: Deserialize<'de>")]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Option<Place>,
}

/// One thing that is wrong. It never repeats a value that may be a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, if it is in one.
    pub file: Option<String>,
    /// Where in the file.
    pub place: Option<Place>,
    /// What it is.
    pub what: String,
}

/// All that is wrong, at least one thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// The same value is the same wherever it stands.
impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T> From<T> for At<T> {
    fn from(value: T) -> Self {
        At { value, place: None }
    }
}

/// From the command line and the environment.
impl From<OsString> for At<PathBuf> {
    fn from(path: OsString) -> Self {
        PathBuf::from(path).into()
    }
}

impl<T> From<Spanned<T>> for At<T> {
    fn from(spanned: Spanned<T>) -> Self {
        At { place: Place::of(spanned.referenced), value: spanned.value }
    }
}

/// A place is nothing that is written.
impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl Place {
    fn of(location: Location) -> Option<Self> {
        (location != Location::UNKNOWN).then(|| Place { line: location.line(), column: location.column() })
    }
}

impl Problems {
    /// The same, those with a place in `path`.
    pub(super) fn in_file(mut self, path: &Path) -> Self {
        for problem in self.0.iter_mut().filter(|problem| problem.place.is_some()) {
            problem.file = Some(path.display().to_string());
        }
        self
    }
}

impl Problem {
    /// Something wrong at a place of the file, if it is there.
    pub fn at(place: Option<Place>, what: impl fmt::Display) -> Self {
        Problem { file: None, place, what: what.to_string() }
    }

    /// What the reader of YAML has to say, in our words where they are better.
    pub(super) fn of(error: &serde_saphyr::Error) -> Self {
        use serde_saphyr::Error;
        let error = match error {
            Error::WithSnippet { error, .. } => error,
            error => error,
        };
        let what = match error {
            Error::SerdeUnknownField { field, expected, .. } => unknown(field, expected),
            Error::SerdeUnknownVariant { expected, .. } => format!("here should be one of {}", expected.join(", ")),
            Error::SerdeMissingField { field, .. } => format!("the key \"{field}\" is missing"),
            Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key {key:?} is given twice"),
            Error::UnresolvedProperty { name, .. } => format!("there is no environment variable {name}"),
            error => {
                // It ends with the place, which we say in front.
                let text = error.to_string();
                let end = text.rfind(" at line ").unwrap_or(text.len());
                plainly(text[..end].strip_prefix("error: ").unwrap_or(&text[..end]).trim_end()).to_owned()
            }
        };
        Problem::at(error.location().and_then(Place::of), what)
    }
}

/// What was expected, for those who do not write parsers.
fn plainly(text: &str) -> &str {
    match text {
        "expected sequence start" => "here should be a list",
        "expected mapping start" => "here should be keys and their values",
        "expected string scalar" => "here should be a text",
        "invalid boolean" => "here should be true or false",
        "invalid u64" => "here should be a whole number",
        text => text,
    }
}

/// A key nobody knows, and the nearest one that is known.
fn unknown(key: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|k| (strsim::damerau_levenshtein(key, k), k)).min();
    match nearest {
        Some((distance, nearest)) if distance <= 1 + key.chars().count() / 4 => {
            format!("unknown key {key:?}: did you mean \"{nearest}\"?")
        }
        _ => format!("unknown key {key:?}: known here are {}", known.join(", ")),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.place) {
            (Some(file), Some(place)) => write!(f, "{file}:{place}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, Some(place)) => write!(f, "{place}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.what)
    }
}
