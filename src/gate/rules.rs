//! Rules: what is decided for which streams.

use std::fmt;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::{Addresses, Callback, Key, Keys};
use crate::rtmp::server::Role;
use crate::stream::{Name, Pattern, Takeover};

/// Rules in their order. Without any, everybody who can reach the relay may do everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules(pub Vec<Rule>);

/// What is decided for some streams.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Which.
    pub streams: Pattern,
    /// Who may publish them.
    pub publish: Access,
    /// Who may play them.
    pub play: Access,
    /// What becomes of a publisher when another one comes.
    pub takeover: Takeover,
}

/// Who may do something. Both have to agree.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Access {
    /// Where one may come from.
    pub from: Addresses,
    /// What one has to show.
    pub who: Who,
}

/// What somebody has to show.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Who {
    /// Nothing.
    #[default]
    Anyone,
    /// Nothing helps.
    Nobody,
    /// One of these keys.
    Keys(Keys),
    /// One of the keys in a file, see [`key_file`](super::key_file).
    KeyFile(PathBuf),
    /// Something that an HTTP server likes.
    Callback(Callback),
}

/// What is wrong with rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Who has one could do both.
    #[error("the streams {0} have the same key for publishing and for playing")]
    SameKey(Pattern),
}

impl Rules {
    /// One rule for all streams.
    pub fn all(publish: Access, play: Access, takeover: Takeover) -> Rules {
        Rules(vec![Rule { streams: Pattern::all(), publish, play, takeover }])
    }

    /// The same, with one that lets everybody do everything if there are none.
    pub(super) fn in_force(self) -> Rules {
        if self.0.is_empty() { Rules(vec![Rule::default()]) } else { self }
    }

    /// The first rule for a stream. One for which there is none is nobody's.
    pub(super) fn rule(&self, stream: &Name) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.streams.matches(stream))
    }

    /// Whether anybody from anywhere may publish something.
    pub fn let_anybody_publish(&self) -> bool {
        let open = |rule: &Rule| rule.publish.who == Who::Anyone && rule.publish.from.allow.is_empty();
        self.0.is_empty() || self.0.iter().any(open)
    }

    /// Whether they do not contradict themselves.
    pub fn check(&self) -> Result<(), Error> {
        for rule in &self.0 {
            if let (Who::Keys(publish), Who::Keys(play)) = (&rule.publish.who, &rule.play.who)
                && publish.iter().any(|key: &Key| play.iter().any(|other| other == key))
            {
                return Err(Error::SameKey(rule.streams.clone()));
            }
        }
        Ok(())
    }

    pub(super) fn key_files(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().flat_map(|rule| [&rule.publish, &rule.play]).filter_map(|access| match &access.who {
            Who::KeyFile(path) => Some(path.as_path()),
            Who::Anyone | Who::Nobody | Who::Keys(_) | Who::Callback(_) => None,
        })
    }
}

/// All streams, and everybody may do everything.
impl Default for Rule {
    fn default() -> Self {
        Rule {
            streams: Pattern::all(),
            publish: Access::default(),
            play: Access::default(),
            takeover: Takeover::default(),
        }
    }
}

impl Rule {
    pub(super) fn access(&self, role: Role) -> &Access {
        match role {
            Role::Publish => &self.publish,
            Role::Play => &self.play,
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Anyone => f.write_str("anyone")?,
            Who::Nobody => f.write_str("nobody")?,
            Who::Keys(_) => f.write_str("who has the key")?,
            Who::KeyFile(path) => write!(f, "who has a key of {}", path.display())?,
            Who::Callback(_) => f.write_str("whom the callback likes")?,
        }
        let list = |networks: &[IpNet]| networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if !self.from.allow.is_empty() {
            write!(f, " from {}", list(&self.from.allow))?;
        }
        if !self.from.deny.is_empty() {
            write!(f, " but not from {}", list(&self.from.deny))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_decides_and_a_stream_without_one_is_nobodys() {
        let rule = |streams: &str, takeover| Rule {
            streams: streams.parse().expect("a pattern"),
            takeover,
            ..Rule::default()
        };
        let rules = Rules(vec![rule("live/a", Takeover::Replace), rule("live/*", Takeover::Refuse)]);
        let takeover = |name| rules.rule(&Name::new(name).expect("a name")).map(|rule| rule.takeover);
        assert_eq!(takeover("live/a"), Some(Takeover::Replace));
        assert_eq!(takeover("live/b"), Some(Takeover::Refuse));
        assert_eq!(takeover("other/b"), None);
        assert!(Rules::default().in_force().rule(&Name::new("other/b").expect("a name")).is_some());
    }

    #[test]
    fn a_key_does_one_thing() {
        let access = |key: &str| Access {
            who: Who::Keys(Keys::parse([&key.to_owned().into()]).expect("a key")),
            ..Access::default()
        };
        let check = |publish, play| Rules::all(access(publish), access(play), Takeover::Refuse).check();
        assert_eq!(check("a", "b"), Ok(()));
        assert_eq!(check("a", "a"), Err(Error::SameKey(Pattern::all())));
    }

    #[test]
    fn who_lets_anybody_publish_is_told_so() {
        let rules = |from: Addresses, who| Rules::all(Access { from, who }, Access::default(), Takeover::Refuse);
        assert!(Rules::default().let_anybody_publish());
        assert!(rules(Addresses::default(), Who::Anyone).let_anybody_publish());
        assert!(!rules(Addresses::default(), Who::Nobody).let_anybody_publish());
        let lan = Addresses { allow: vec!["192.168.0.0/16".parse().expect("a network")], ..Addresses::default() };
        assert!(!rules(lan, Who::Anyone).let_anybody_publish());
    }
}
