//! Patterns of stream names, as in `live/*`: which streams a setting is for, and what of a name is used elsewhere.

use std::fmt;
use std::str::FromStr;

use regex::Regex;

use super::Name;
use crate::limits::STREAM_NAME_BYTES;

/// A pattern: `*` stands for any characters of one segment, `?` for one of them, `**` for anything at all, slashes included;
/// all else stands for itself. `*` alone is every stream.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    /// None where it stands for itself alone: most do, and each of these holds six kilobytes.
    regex: Option<Regex>,
}

/// What a name has where its pattern has a wildcard, in order: `{1}`, `{2}` and so on.
pub type Captures = Vec<String>;

/// A text that is no pattern of stream names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("it is empty: a stream is called app/name, as in live/test or live/*")]
    Empty,
    #[error("it is longer than any stream's name")]
    TooLong,
    #[error("it begins or ends with a slash: a stream is called app/name, as in live/test or live/*")]
    Slash,
    #[error("it has no application: a stream is called app/name, as in live/test or */test")]
    NoApp,
}

impl Pattern {
    /// The pattern of every stream.
    pub fn all() -> Self {
        "*".parse().expect("it is a pattern")
    }

    /// The pattern of one stream, whatever its name has in it.
    pub fn exactly(name: &Name) -> Self {
        Pattern { text: name.to_string(), regex: None }
    }

    /// What of `name` stands where the wildcards are; none if it is another name.
    pub fn captures(&self, name: &Name) -> Option<Captures> {
        let text = name.to_string();
        let Some(regex) = &self.regex else { return (text == self.text).then(Captures::new) };
        let captures = regex.captures(&text)?;
        Some(captures.iter().skip(1).flatten().map(|found| found.as_str().to_owned()).collect())
    }

    /// Whether `name` is one of those it stands for.
    pub fn matches(&self, name: &Name) -> bool {
        let text = name.to_string();
        self.regex.as_ref().map_or(text == self.text, |regex| regex.is_match(&text))
    }

    /// How many wildcards it has.
    pub fn wildcards(&self) -> usize {
        self.regex.as_ref().map_or(0, |regex| regex.captures_len() - 1)
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "" => return Err(Error::Empty),
            _ if text.len() > STREAM_NAME_BYTES => return Err(Error::TooLong),
            _ if text.starts_with('/') || text.ends_with('/') => return Err(Error::Slash),
            "*" | "**" => {}
            _ if !text.contains('/') && !text.contains("**") => return Err(Error::NoApp),
            _ => {}
        }
        if !text.contains(['*', '?']) {
            return Ok(Pattern { text: text.to_owned(), regex: None });
        }
        let mut regex = String::from("^");
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (part, length) = match rest {
                "*" if regex == "^" => ("(.*)".to_owned(), 1),
                _ if rest.starts_with("**") => ("(.*)".to_owned(), 2),
                _ if first == '*' => ("([^/]*)".to_owned(), 1),
                _ if first == '?' => ("([^/])".to_owned(), 1),
                _ => (regex::escape(&rest[..first.len_utf8()]), first.len_utf8()),
            };
            regex.push_str(&part);
            rest = &rest[length..];
        }
        let regex = Regex::new(&(regex + "$")).expect("literals and wildcards, no longer than a name");
        Ok(Pattern { text: text.to_owned(), regex: Some(regex) })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(pattern: &str, name: &str) -> Option<Captures> {
        pattern.parse::<Pattern>().expect(pattern).captures(&Name::new(name).expect(name))
    }

    #[test]
    fn wildcards_stand_for_parts_of_a_segment_and_are_handed_on() {
        let some = |texts: &[&str]| Some(texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        for (pattern, name, expected) in [
            ("live/test", "live/test", some(&[])),
            ("live/test", "live/test2", None),
            ("live/test", "xlive/test", None),
            ("live/*", "live/show", some(&["show"])),
            ("live/*", "live/a/b", None),
            ("live/**", "live/a/b", some(&["a/b"])),
            ("*/cam-?-*", "stage/cam-1-hd", some(&["stage", "1", "hd"])),
            ("*", "live/a/b", some(&["live/a/b"])),
            ("**", "key", some(&["key"])),
            ("live/a.c", "live/abc", None),
            ("live/(x)", "live/(x)", some(&[])),
            ("live/ü?", "live/üß", some(&["ß"])),
        ] {
            assert_eq!(captures(pattern, name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn the_pattern_of_one_stream_is_of_no_other_whatever_its_name_has_in_it() {
        let name = |text| Name::new(text).expect(text);
        let pattern = Pattern::exactly(&name("live/*"));
        assert!(pattern.matches(&name("live/*")) && !pattern.matches(&name("live/show")));
        assert_eq!((pattern.captures(&name("live/*")), pattern.wildcards()), (Some(vec![]), 0));
    }

    #[test]
    fn what_no_stream_can_be_called_is_no_pattern() {
        for (text, error) in [
            ("", Error::Empty),
            ("/live/x", Error::Slash),
            ("live/", Error::Slash),
            ("test", Error::NoApp),
            (&"x".repeat(STREAM_NAME_BYTES + 1), Error::TooLong),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_worst_pattern_is_done_in_no_time() {
        let pattern: Pattern = format!("a/{}x", "*?".repeat(60)).parse().expect("a pattern");
        assert!(!pattern.matches(&Name::new(&format!("a/{}", "b".repeat(500))).expect("a name")));
        assert_eq!(pattern.wildcards(), 120);
    }
}
