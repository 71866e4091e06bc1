//! A file of keys, a line each, read again when it has changed:
//!
//! ```text
//! # who     streams  key
//! publish   live/*   correct-horse
//! play      live/*   sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
//! ```
//! It is looked at when somebody asks, at most once a second, and compared by its content: times of files are coarse, and a
//! file system may have none worth the name.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::{info, warn};

use super::key::{self, Key};

use crate::causes;
use crate::limits::{KEY_FILE_BYTES, KEY_FILE_REST};
use crate::net::Network;
use crate::rtmp::Secret;
use crate::rtmp::server::Role;
use crate::stream::{Name, Pattern};

/// A file of keys, and what it said when it was last good.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// None until it has been good once.
    lines: Option<Arc<Lines>>,
    content: Option<[u8; 32]>,
    looked: Option<Instant>,
    /// What is wrong with it now, so that it is said once.
    wrong: Option<String>,
}

/// What is in a file.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<Line>);

#[derive(Debug)]
struct Line {
    role: Role,
    streams: Pattern,
    key: Key,
}

/// What is wrong with a file of keys. None repeats what is in it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    #[error("it is longer than {KEY_FILE_BYTES} bytes")]
    TooLong,
    #[error("it is no text")]
    NoText,
    #[error("line {0} should be publish or play, a pattern for streams as in live/*, and a key")]
    Line(usize),
    #[error("the pattern for streams in line {0} is none")]
    Streams(usize),
    #[error("line {0}")]
    Key(usize, #[source] key::Error),
    #[error("line {0} has the same key as line {1}, for the other thing")]
    SameKey(usize, usize),
}

/// Says what is wrong with the text of a file of keys.
pub fn check(text: &[u8]) -> Result<(), Error> {
    if text.len() > KEY_FILE_BYTES {
        return Err(Error::TooLong);
    }
    Lines::parse(text).map(drop)
}

impl KeyFile {
    /// A file that nobody has looked at yet.
    pub(super) fn new(path: &Path) -> Self {
        KeyFile { path: path.to_owned(), state: Mutex::default() }
    }

    /// What is in it, as far as is known. Who asks first after a while has it looked at; others need not wait for that.
    pub(super) async fn lines<N: Network>(&self, net: &N) -> Arc<Lines> {
        if self.is_due() {
            self.read_again(net).await;
        }
        self.state().lines.clone().unwrap_or_default()
    }

    fn is_due(&self) -> bool {
        let mut state = self.state();
        let due = state.lines.is_none() || state.looked.is_none_or(|looked| looked.elapsed() >= KEY_FILE_REST);
        if due {
            state.looked = Some(Instant::now());
        }
        due
    }

    /// Looks at it now. What is wrong with it leaves the last good lines in force.
    pub(super) async fn read_again<N: Network>(&self, net: &N) {
        let read = read(net, &self.path).await;
        let mut state = self.state();
        match read.and_then(|text| state.take(&text)) {
            Ok(changed) => {
                if state.wrong.take().is_some() || changed {
                    let keys = state.lines.as_ref().map_or(0, |lines| lines.0.len());
                    info!(file = %self.path.display(), keys, "key file read");
                }
            }
            Err(error) => {
                let wrong = causes::in_one_line(&error);
                if state.wrong.as_ref() != Some(&wrong) {
                    warn!(file = %self.path.display(), "key file not usable, its last good keys stay in force: {wrong}");
                    state.wrong = Some(wrong);
                }
            }
        }
    }

    /// Nothing is done under this lock that could leave it half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    /// True if it is another text than before.
    fn take(&mut self, text: &[u8]) -> Result<bool, Error> {
        let content = Some(Sha256::digest(text).into());
        if content == self.content {
            return Ok(false);
        }
        self.lines = Some(Arc::new(Lines::parse(text)?));
        self.content = content;
        Ok(true)
    }
}

async fn read<N: Network>(net: &N, path: &Path) -> Result<Vec<u8>, Error> {
    let text = net.read_file(path, KEY_FILE_BYTES + 1).await?;
    if text.len() > KEY_FILE_BYTES { Err(Error::TooLong) } else { Ok(text) }
}

impl Lines {
    fn parse(text: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(text).map_err(|_| Error::NoText)?;
        let (mut lines, mut known) = (Vec::new(), BTreeMap::new());
        for (number, text) in (1..).zip(text.lines()) {
            // A key may have a # in it, but not before it.
            let words: Vec<&str> = text.split_whitespace().collect();
            let (role, streams, key) = match words[..] {
                [] => continue,
                [comment, ..] if comment.starts_with('#') => continue,
                ["publish", streams, key] => (Role::Publish, streams, key),
                ["play", streams, key] => (Role::Play, streams, key),
                _ => return Err(Error::Line(number)),
            };
            let streams = streams.parse::<Pattern>().map_err(|_| Error::Streams(number))?;
            let key = Key::parse(&Secret::from(key.to_owned())).map_err(|source| Error::Key(number, source))?;
            match *known.entry(key.clone()).or_insert((role, number)) {
                (other, first) if other != role => return Err(Error::SameKey(number, first)),
                _ => lines.push(Line { role, streams, key }),
            }
        }
        Ok(Lines(lines))
    }

    /// The keys for doing this with a stream.
    pub(super) fn keys(&self, role: Role, stream: &Name) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |line| line.role == role && line.streams.matches(stream)).map(|line| &line.key)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::NamedTempFile;
    use tokio::time::advance;

    use super::*;
    use crate::net::tcp::Tcp;

    const GOOD: &str = "# keys\n\npublish live/* pub#1\n  play\tlive/show\tsee\r\n#play * x\npublish other/a pub#1\n";

    fn count(lines: &Lines, role: Role, stream: &str) -> usize {
        lines.keys(role, &Name::new(stream).expect("a name")).count()
    }

    #[test]
    fn a_line_is_what_for_which_streams_and_a_key() {
        let lines = Lines::parse(GOOD.as_bytes()).expect("good lines");
        for (role, stream, keys) in [
            (Role::Publish, "live/show", 1),
            (Role::Publish, "other/a", 1),
            (Role::Publish, "other/b", 0),
            (Role::Play, "live/show", 1),
            (Role::Play, "live/other", 0),
        ] {
            assert_eq!(count(&lines, role, stream), keys, "{role:?} {stream}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_by_its_line_and_nothing_of_it_repeated() {
        for (text, wrong) in [
            (
                "publish * CANARY CANARY",
                "line 1 should be publish or play, a pattern for streams as in live/*, and a key",
            ),
            ("\nplay CANARY", "line 2 should be publish or play, a pattern for streams as in live/*, and a key"),
            ("CANARY * x", "line 1 should be publish or play, a pattern for streams as in live/*, and a key"),
            ("play CANARY[ x", "the pattern for streams in line 1 is none"),
            ("play * sha256:CANARY", "line 1: sha256: should be followed by 64 hexadecimal digits"),
            ("play * CANARY\n\npublish live/* CANARY", "line 3 has the same key as line 1, for the other thing"),
        ] {
            let error = Lines::parse(text.as_bytes()).expect_err(text);
            assert_eq!(causes::in_one_line(&error), wrong);
        }
        assert!(matches!(Lines::parse(b"play * \xff"), Err(Error::NoText)));
    }

    /// How many may play `live/show`.
    async fn players(file: &KeyFile) -> usize {
        count(&*file.lines(&Tcp).await, Role::Play, "live/show")
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_changes_is_read_again_within_a_second_and_a_bad_one_changes_nothing() {
        let disk = NamedTempFile::new().expect("a file");
        let write = |text: &str| std::fs::write(disk.path(), text).expect("written");
        write("play * a");
        let file = KeyFile::new(disk.path());
        assert_eq!(players(&file).await, 1);
        write("play * a\nplay * b");
        assert_eq!(players(&file).await, 1, "it has been looked at a moment ago");
        advance(KEY_FILE_REST).await;
        assert_eq!(players(&file).await, 2);
        write("play * a\nplay");
        advance(KEY_FILE_REST).await;
        assert_eq!(players(&file).await, 2);
        assert!(file.state().wrong.as_ref().is_some_and(|wrong| wrong.starts_with("line 2")));
        std::fs::remove_file(disk.path()).expect("removed");
        file.read_again(&Tcp).await;
        assert_eq!(players(&file).await, 2);
        assert!(file.state().wrong.as_ref().is_some_and(|wrong| wrong.starts_with("it cannot be read")));
        write("");
        file.read_again(&Tcp).await;
        assert_eq!((players(&file).await, &file.state().wrong), (0, &None));
    }

    #[tokio::test]
    async fn a_file_may_be_as_long_as_its_limit_and_one_that_was_never_good_has_no_keys() {
        let disk = NamedTempFile::new().expect("a file");
        let write =
            |length| std::fs::write(disk.path(), "play * a\n#".to_owned() + &"#".repeat(length)).expect("written");
        write(KEY_FILE_BYTES - 10);
        assert_eq!(players(&KeyFile::new(disk.path())).await, 1);
        write(KEY_FILE_BYTES - 9);
        let file = KeyFile::new(disk.path());
        assert_eq!(players(&file).await, 0);
        write(0);
        assert_eq!(players(&file).await, 1, "it is looked at each time until it is good");
        assert_eq!(players(&KeyFile::new(Path::new("/nowhere/keys"))).await, 0);
    }
}
