//! A destination as it is written: keys and their values, which can be changed one by one, and read as the file is read.

use std::fmt;

use serde_json::{Map, Value, json};

use super::file;
use super::problem::{At, Problem};
use super::settings::{Destination, Reconnect, Timeouts};
use super::value::{Hidden, Time};
use crate::rtmp::Secret;

/// Keys and values of one destination. Printed, it shows keys only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Written(Map<String, Value>);

/// Something is wrong with the value of a key, or with the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The key, if it is about one.
    pub key: Option<String>,
    /// What is wrong with it. It repeats no value.
    pub what: String,
}

/// What tells the stream key.
pub const KEYS: [&str; 3] = ["stream_key", "stream_key_file", "stream_key_command"];

impl Written {
    /// A destination of which nothing but this is known.
    pub(super) fn url(url: &Secret) -> Self {
        Written(Map::from_iter([("url".to_owned(), json!(url.expose()))]))
    }

    /// What is written of a destination, a key for each thing that is said.
    pub(super) fn of(given: &Destination) -> Self {
        // All of it, so that none is forgotten that comes to be.
        let Destination {
            name,
            url,
            platform,
            backup_url,
            guard,
            stream_key,
            stream_key_file,
            stream_key_command,
            ca_file,
            tls_pin,
            source_streams,
            chunk_size,
            merge,
            reconnect,
            timeouts,
            max_lag,
            max_bitrate,
            public_only,
            enabled,
        } = given;
        let path = |path: &Option<At<std::path::PathBuf>>| path.as_ref().map(|at| json!(at.value));
        let hidden = |hidden: &Option<At<Hidden>>| hidden.as_ref().map(|at| json!(at.value.0.expose()));
        let waits =
            |At { value: Reconnect { initial, max }, .. }: &At<Reconnect>| times([("initial", initial), ("max", max)]);
        let patience = |At { value: Timeouts { connect, progress }, .. }: &At<Timeouts>| {
            times([("connect", connect), ("progress", progress)])
        };
        let sources = |sources: &Vec<At<_>>| {
            sources.iter().map(|At { value: super::value::Source(pattern), .. }| json!(pattern.to_string())).collect()
        };
        let values = [
            ("name", name.as_ref().map(|at| json!(at.value))),
            ("url", hidden(url)),
            ("platform", platform.map(|at| json!(at.value.0.id))),
            ("backup_url", hidden(backup_url)),
            ("guard", guard.map(|guard| json!(guard))),
            ("stream_key", hidden(stream_key)),
            ("stream_key_file", path(stream_key_file)),
            ("stream_key_command", hidden(stream_key_command)),
            ("ca_file", path(ca_file)),
            ("tls_pin", tls_pin.as_ref().map(|at| json!(at.value.0.to_string()))),
            ("source_streams", source_streams.as_ref().map(sources)),
            ("chunk_size", chunk_size.map(|size| json!(size.0))),
            ("merge", merge.map(|merge| json!(merge))),
            ("reconnect", reconnect.as_ref().map(waits)),
            ("timeouts", timeouts.as_ref().map(patience)),
            ("max_lag", max_lag.as_ref().map(|at| time(at.value))),
            ("max_bitrate", max_bitrate.map(|bitrate| json!(bitrate.0.to_string()))),
            ("public_only", public_only.map(Value::from)),
            ("enabled", enabled.map(Value::from)),
        ];
        Written(values.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Has this said too, or instead.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Has this said, or nothing about it.
    pub fn put(&mut self, key: &str, value: Option<Value>) {
        match value {
            Some(value) => self.set(key, value),
            None => _ = self.0.remove(key),
        }
    }

    /// Every key and its value.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }

    /// The same with changes (RFC 7396): a value takes the place of the one before, null takes a key away. A stream key takes the place
    /// of whatever has told it.
    pub fn with(&self, changes: &Map<String, Value>) -> Self {
        let mut whole = Value::Object(self.0.clone());
        merge(&mut whole, &Value::Object(changes.clone()));
        let mut whole = match whole {
            Value::Object(whole) => whole,
            _ => Map::new(),
        };
        if KEYS.iter().any(|key| changes.get(*key).is_some_and(|value| !value.is_null())) {
            whole.retain(|key, _| !KEYS.contains(&&**key) || changes.contains_key(key));
        }
        Written(whole)
    }

    /// Reads it, as a destination of the file is read.
    pub fn read(&self) -> Result<At<Destination>, Wrong> {
        // A line for each key: the line of a problem is the key that it is about.
        file::destination(&self.lines()).map_err(|problem| self.wrong(problem))
    }

    /// JSON, which is YAML too.
    fn lines(&self) -> String {
        let lines: Vec<String> = self.0.iter().map(|(key, value)| format!("{}: {value}", json!(key))).collect();
        format!("{{\n{}\n}}", lines.join(",\n"))
    }

    /// A problem with what has been read, and the key that it is about.
    pub fn wrong(&self, problem: Problem) -> Wrong {
        let line = problem.place.and_then(|place| usize::try_from(place.line).ok()?.checked_sub(2));
        // One that is missing has no line.
        let missing = problem.what.strip_prefix("the key \"").and_then(|rest| rest.strip_suffix("\" is missing"));
        let key = missing.or_else(|| self.0.keys().nth(line?).map(String::as_str)).map(str::to_owned);
        Wrong { key, what: problem.what }
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn time(Time(time): Time) -> Value {
    json!(format!("{}ms", time.as_millis()))
}

fn times<const N: usize>(given: [(&str, &Option<Time>); N]) -> Value {
    given.into_iter().filter_map(|(key, given)| Some((key.to_owned(), time((*given)?)))).collect()
}

/// RFC 7396, section 2.
fn merge(whole: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else { return *whole = changes.clone() };
    if !whole.is_object() {
        *whole = json!({});
    }
    let Value::Object(whole) = whole else { return };
    for (key, change) in changes {
        if change.is_null() {
            whole.remove(key);
        } else {
            merge(whole.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::schema;

    /// Everything that can be said of a destination, as far as it goes together.
    const WHOLE: &str = r##"{"name": "a", "url": "rtmps://h/app", "platform": "twitch", "backup_url": "rtmps://i/app", "guard": "advise", "stream_key": "CANARY: \"#\\ ${HOME}\u00e9", "stream_key_file": "k",
        "stream_key_command": "echo k", "ca_file": "c", "tls_pin":
        "5E:88:48:98:DA:28:04:71:51:D0:E5:6F:8D:C6:29:27:73:60:3D:0D:6A:AB:BD:D6:2A:11:EF:72:1D:15:42:D8",
        "source_streams": ["live/*"], "chunk_size": 4096, "merge": "audio", "reconnect": {"initial": "100ms", "max": "2000ms"}, "timeouts": {"progress": "5000ms"},
        "max_lag": "3000ms", "max_bitrate": "8000000", "public_only": true, "enabled": false}"##;

    fn object(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).expect("an object")
    }

    #[test]
    fn what_is_written_of_a_destination_is_read_again_as_it_was() {
        let whole = Written(object(WHOLE));
        let read = whole.read().expect("all of it is known").value;
        assert_eq!(Written::of(&read), whole);
        let schema: Value = serde_json::from_str(&schema()).expect("a schema");
        for key in schema["$defs"]["Destination"]["properties"].as_object().expect("keys").keys() {
            assert!(whole.get(key).is_some(), "{key} is not among those that are tested");
        }
        assert!(!format!("{whole:?}").contains("CANARY"));
    }

    #[test]
    fn changes_are_merged_as_rfc_7396_says() {
        for (before, changes, after) in [
            (r#"{"a": "b"}"#, r#"{"a": "c"}"#, r#"{"a": "c"}"#),
            (r#"{"a": "b"}"#, r#"{"b": "c"}"#, r#"{"a": "b", "b": "c"}"#),
            (r#"{"a": "b"}"#, r#"{"a": null}"#, r#"{}"#),
            (r#"{"a": ["b"]}"#, r#"{"a": "c"}"#, r#"{"a": "c"}"#),
            (r#"{"a": {"b": "c"}}"#, r#"{"a": {"b": "d", "c": null}}"#, r#"{"a": {"b": "d"}}"#),
            (r#"{}"#, r#"{"a": {"bb": {"ccc": null}}}"#, r#"{"a": {"bb": {}}}"#),
            (r#"{"stream_key_file": "f", "url": "u"}"#, r#"{"stream_key": "k"}"#, r#"{"url": "u", "stream_key": "k"}"#),
            (r#"{"stream_key_file": "f"}"#, r#"{"stream_key": null}"#, r#"{"stream_key_file": "f"}"#),
        ] {
            assert_eq!(Written(object(before)).with(&object(changes)).0, object(after), "{before} {changes}");
        }
    }

    #[test]
    fn a_problem_is_told_with_its_key_and_never_with_its_value() {
        for (written, key, starts) in [
            (r#"{"url": "rtmp://h/a", "nam": "CANARY"}"#, "nam", "unknown key \"nam\": did you mean \"name\"?"),
            (r#"{"enabled": "CANARY", "url": "rtmp://h/a"}"#, "enabled", "here should be true or false"),
            (r#"{"url": "rtmp://h/a", "source_streams": "CANARY"}"#, "source_streams", "here should be a list"),
            (r#"{"url": ["CANARY"]}"#, "url", "here should be a text"),
            (r#"{"url": "rtmp://h/a", "reconnect": {"CANARY": 1}}"#, "reconnect", "unknown key"),
            (r#"{"url": "rtmp://h/a", "max_lag": "CANARY"}"#, "max_lag", "a time looks like"),
            (r#"{"url": "rtmp://h/a", "chunk_size": 99999999999999999999}"#, "chunk_size", ""),
        ] {
            let wrong = Written(object(written)).read().expect_err(written);
            assert_eq!(wrong.key.as_deref(), Some(key), "{wrong:?}");
            assert!(wrong.what.starts_with(starts), "{wrong:?}");
            assert!(key == "reconnect" || !wrong.what.contains("CANARY"), "{wrong:?}");
        }
        let missing = Written::default().wrong(Problem::at(None, "the key \"url\" is missing"));
        assert_eq!(missing.key.as_deref(), Some("url"));
    }
}
