//! A pattern of codes: `publish.started`, `destination.*`, `*`.

use std::fmt;
use std::str::FromStr;

use crate::journal::Code;

/// Codes that are told; `*` stands for any part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// A pattern that no code is like: nothing would ever be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown {
    nearest: Option<Code>,
}

impl Pattern {
    /// Every code.
    pub fn all() -> Self {
        Pattern("*".to_owned())
    }

    /// Whether this is told.
    pub fn is_for(&self, code: Code) -> bool {
        fits(&self.0, code.as_str())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.strip_prefix(before).is_some_and(|rest| (0..=rest.len()).any(|at| fits(after, &rest[at..])))
        }
    }
}

impl FromStr for Pattern {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        // Codes are short: a pattern with more stars than letters could have is a mistake, and slow to try.
        let pattern = Pattern(text.to_owned());
        if text.len() <= 64 && text.matches('*').count() <= 4 && Code::ALL.iter().any(|code| pattern.is_for(*code)) {
            return Ok(pattern);
        }
        let near = |code: &&Code| strsim::damerau_levenshtein(text, code.as_str());
        Err(Unknown { nearest: Code::ALL.iter().min_by_key(near).copied().filter(|code| near(&code) <= 4) })
    }
}

impl std::error::Error for Unknown {}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nearest {
            Some(code) => write!(f, "no event is called so: did you mean {code}?"),
            None => f.write_str("no event is called so: they look like publish.started, destination.* or *"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_part_and_what_no_code_is_like_is_a_mistake() {
        let count = |pattern: &str| {
            let pattern: Pattern = pattern.parse().expect(pattern);
            Code::ALL.iter().filter(|code| pattern.is_for(**code)).count()
        };
        assert_eq!((count("*"), count("publish.started")), (Code::ALL.len(), 1));
        assert_eq!((count("destination.*"), count("*.started"), count("*ed")), (11, 4, 16));
        assert_eq!((count("*.*"), count("p*.*ed")), (Code::ALL.len(), 6));
        let wrong = |pattern: &str| pattern.parse::<Pattern>().expect_err(pattern).to_string();
        assert_eq!(wrong("publish.start"), "no event is called so: did you mean publish.started?");
        assert_eq!(wrong("destination.life"), "no event is called so: did you mean destination.live?");
        for pattern in ["", "CANARY", "destination", "stream.*", "* ", "*****", &"*a".repeat(1000)] {
            assert!(!wrong(pattern).contains("CANARY"), "{pattern}");
        }
    }
}
