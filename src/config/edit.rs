//! An edit of the configuration file: one destination more, another, or gone; everything else stays as it was written, comments too.
//!
//! Whatever the editor of YAML does, its result is read again, and is only taken if it says what was meant and nothing else.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use serde_json::Value;
use yaml_edit::{Document, Mapping, Sequence, YamlNode};

use super::file;
use super::problem::Problem;
use super::settings::Settings;
use super::written::{Written, Wrong};

/// What is to be written.
#[derive(Debug, Clone)]
pub enum Edit {
    /// A destination behind the others.
    Add(Written),
    /// Keys of a destination: their values, or none where they are to go.
    Change(String, Vec<(String, Option<Value>)>),
    /// No such destination any more.
    Remove(String),
}

/// Why a file is left as it is. None repeats what is in it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Refused {
    #[error("there is no configuration file")]
    NoFile,
    #[error("the configuration file has problems of its own: {0}")]
    Broken(Problem),
    #[error(
        "{0} is not in the configuration file: it comes from the command line or the environment, or was added while the relay ran"
    )]
    Elsewhere(String),
    #[error(
        "the configuration file is written in a way that is not understood well enough to change it: do it by hand"
    )]
    Style,
    #[error("the configuration file would not be sound any more: {0}")]
    Unsound(Problem),
    #[error("the configuration file cannot be written: {0}")]
    Io(#[from] std::io::Error),
    #[error("it is in force, but the configuration file cannot be written: {0}")]
    Late(std::io::Error),
    #[error("the relay is ending")]
    Ended,
}

impl Edit {
    /// The text with this in it, where `at` is the place of the destination among those of the file.
    pub fn of(&self, text: &str, at: usize, variables: &HashMap<String, String>) -> Result<String, Refused> {
        let read = |text: &str| file::parse(text, variables.clone());
        let before = read(text).map_err(Refused::Broken)?;
        let meant = self.meant(before, at).ok_or(Refused::Style)?;
        // A bug of the editor is no reason for anybody's call to hang.
        let edited = catch_unwind(AssertUnwindSafe(|| self.edited(text, at))).ok().flatten().ok_or(Refused::Style)?;
        match read(&edited) {
            Ok(after) if after == meant => Ok(edited),
            Ok(_) | Err(_) => Err(Refused::Style),
        }
    }

    /// What the file is to say.
    fn meant(&self, mut settings: Settings, at: usize) -> Option<Settings> {
        let read = |written: &Written| written.read().map_err(|Wrong { .. }| ()).ok();
        match self {
            Edit::Add(written) => settings.destinations.push(read(written)?),
            Edit::Change(_, keys) => {
                let mut written = Written::of(&settings.destinations.get(at)?.value);
                keys.iter().for_each(|(key, value)| written.put(key, value.clone()));
                settings.destinations[at] = read(&written)?;
            }
            Edit::Remove(_) if at < settings.destinations.len() => _ = settings.destinations.remove(at),
            Edit::Remove(_) => return None,
        }
        Some(settings)
    }

    fn edited(&self, text: &str, at: usize) -> Option<String> {
        // A file of nothing but comments is no document.
        let document = Document::from_str(text).ok();
        let root = document.as_ref().and_then(|document| document.as_mapping());
        let list = root.and_then(|root| root.get_sequence("destinations"));
        match (self, list) {
            (Edit::Add(written), Some(list)) => list.push(node(&lines(written, "  "))?),
            (Edit::Add(written), None) => {
                let item = lines(written, "    ");
                return Some(format!("{}\ndestinations:\n  - {}\n", ended(text), item.trim_start()));
            }
            (Edit::Change(_, keys), list) => {
                let destination = mapping(&list?, at)?;
                for (key, value) in keys {
                    match value {
                        Some(value) => destination.set(key, node(&format!(" {value}"))?),
                        None => _ = destination.remove(key),
                    }
                }
            }
            (Edit::Remove(_), list) => _ = list?.remove(at)?,
        }
        document.map(|document| document.to_string())
    }
}

fn mapping(list: &Sequence, at: usize) -> Option<Mapping> {
    list.get(at)?.as_mapping().cloned()
}

/// Keys and values on lines of their own. What JSON quotes YAML takes as it stands: nothing in it stands for a variable.
fn lines(written: &Written, indent: &str) -> String {
    written.iter().map(|(key, value)| format!("\n{indent}{key}: {value}")).collect()
}

/// A value as a piece of YAML.
fn node(text: &str) -> Option<YamlNode> {
    Document::from_str(&format!("value:{text}\n")).ok()?.as_mapping()?.get("value")
}

/// The text with a last line that has an end.
fn ended(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::file::EXAMPLE;

    fn written(json: Value) -> Written {
        Written::default().with(json.as_object().expect("an object"))
    }

    fn kick() -> Edit {
        Edit::Add(written(
            json!({"name": "kick", "url": "rtmp://k/app", "stream_key": "a: #b\"\\ ${HOME}", "source_streams": ["live/*"]}),
        ))
    }

    fn change(keys: Value) -> Edit {
        let keys = keys.as_object().expect("an object").iter();
        Edit::Change(
            String::new(),
            keys.map(|(key, value)| (key.clone(), Some(value.clone()).filter(|v| !v.is_null()))).collect(),
        )
    }

    fn edited(text: &str, edit: &Edit, at: usize) -> String {
        let variables = [("KEY".to_owned(), "secret".to_owned())].into();
        edit.of(text, at, &variables).unwrap_or_else(|refused| panic!("{refused}: {text}"))
    }

    /// What has gone and what has come, line by line, sorted.
    fn difference(before: &str, after: &str) -> Vec<String> {
        let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
        let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("-{line}"));
        let mut all: Vec<String> = gone.collect();
        all.extend(after.iter().filter(|line| !before.contains(line)).map(|line| format!("+{line}")));
        all.sort();
        all
    }

    const PLAIN: &str = "# top\nlisten: \":1935\"\ndestinations:\n# first\n- url: rtmp://a/b   # where\n  stream_key: x\n# second\n- name: b\n  url: rtmp://c/d\n  # its key\n  stream_key: ${KEY}   # from outside\ngrace: 15s\n# end\n";

    #[test]
    fn one_is_added_behind_the_others() {
        let lines = [
            "+  source_streams: [\"live/*\"]",
            "+  stream_key: \"a: #b\\\"\\\\ ${HOME}\"",
            "+  url: \"rtmp://k/app\"",
            "+- name: \"kick\"",
        ];
        assert_eq!(difference(PLAIN, &edited(PLAIN, &kick(), 0)), lines);
        let flow = "destinations: [{url: rtmp://a/b}] # all\n";
        for text in ["", "# nothing yet\n", "listen: \":1\"", "destinations: []\n", flow, EXAMPLE] {
            let gone = difference(text, &edited(text, &kick(), 0)).into_iter().filter(|line| line.starts_with('-'));
            assert!(gone.clone().all(|line| line.starts_with("-destinations: [")), "{:?}", gone.collect::<Vec<_>>());
        }
    }

    #[test]
    fn keys_are_changed_where_they_stand_and_comments_stay() {
        let keys = json!({"url": "rtmp://x/y", "stream_key": null, "max_lag": "2s", "reconnect": {"max": "2s"}});
        let after = edited(PLAIN, &change(keys), 1);
        let lines = [
            "+  max_lag: \"2s\"",
            "+  reconnect: {\"max\":\"2s\"}",
            "+  url: \"rtmp://x/y\"",
            "-  stream_key: ${KEY}   # from outside",
            "-  url: rtmp://c/d",
        ];
        assert_eq!(difference(PLAIN, &after), lines);
        let switched = edited(EXAMPLE, &change(json!({"enabled": true})), 2);
        assert_eq!(switched.len(), EXAMPLE.len() - 1, "nothing else");
    }

    #[test]
    fn one_is_removed_and_the_others_stay() {
        let gone = edited(PLAIN, &Edit::Remove(String::new()), 0);
        assert_eq!(difference(PLAIN, &gone), ["-  stream_key: x", "-- url: rtmp://a/b   # where"]);
        let only = "destinations:\n  - url: rtmp://a/b\n";
        assert_eq!(edited(only, &Edit::Remove(String::new()), 0), "destinations: []\n");
    }

    #[test]
    fn what_cannot_be_changed_as_meant_is_left_alone() {
        let refused =
            |text: &str, edit: &Edit, at: usize| edit.of(text, at, &HashMap::new()).expect_err(text).to_string();
        assert!(refused("destinations: [", &kick(), 0).starts_with("the configuration file has problems of its own: "));
        let style = refused(PLAIN, &Edit::Remove(String::new()), 2);
        assert!(style.contains("${") || style.starts_with("the configuration file"), "{style}");
        // Both are the same mapping: a change of one would be one of the other.
        let shared = "destinations:\n  - &a {url: rtmp://a/b, chunk_size: 4096}\n  - <<: *a\n    url: rtmp://c/d\n";
        assert!(
            change(json!({"chunk_size": 128})).of(shared, 0, &HashMap::new()).is_err(),
            "it would hold for the second one too"
        );
    }

    #[test]
    fn every_style_there_is_is_understood_or_refused() {
        let texts = [
            "destinations:\r\n  - url: rtmp://a/b\r\n    stream_key: k\r\n  - url: rtmp://c/d\r\n",
            "destinations:\n  - {url: rtmp://a/b, stream_key: k}  # one\n  - {url: rtmp://c/d}\n",
            "{\"destinations\": [{\"url\": \"rtmp://a/b\"}, {\"url\": \"rtmp://c/d\"}]}",
            "destinations:\n  - url: >-\n      rtmp://a/b\n    stream_key: |-\n      key\n\n  -\n    url: rtmp://c/d\n# recordings follow\nrecordings: []\n",
            "---\ndestinations:\n    -   url: rtmp://a/b\n    -   url: rtmp://c/d\n...\n",
            "x: &k {max: 2s}\ndestinations:\n  - url: rtmp://a/b\n    reconnect: *k\n  - url: rtmp://c/d\n",
        ];
        let edits = [
            kick(),
            change(json!({"enabled": false})),
            change(json!({"url": "rtmp://e/f"})),
            Edit::Remove(String::new()),
        ];
        let mut done = 0;
        for text in texts {
            for edit in &edits {
                for at in 0..2 {
                    done += usize::from(edit.of(text, at, &HashMap::new()).is_ok());
                }
            }
        }
        // The sixth has a key that is unknown here: it is broken.
        assert!(done >= 36, "{done} of 40");
    }
}
