//! Where a stream key comes from: written down, in a file of its own, or told by a program.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::limits::KEY_BYTES;
use crate::rtmp::Secret;

/// A program that tells a key has this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no key. None of them repeats what was read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub(super) enum Error {
    #[error("cannot read {0}: {1}")]
    File(PathBuf, std::io::Error),
    #[error("stream_key_command cannot be run: {0}")]
    Run(std::io::Error),
    #[error("stream_key_command failed: {0}")]
    Failed(std::process::ExitStatus),
    #[error("stream_key_command has not ended after {} s", PATIENCE.as_secs())]
    TimedOut,
    #[error("there is no key in it")]
    Empty,
    #[error("a key is text of at most {KEY_BYTES} bytes")]
    NoText,
}

/// The key in a file: its first line.
pub(super) async fn from_file(path: &Path) -> Result<Secret, Error> {
    first_line(tokio::fs::read(path).await.map_err(|error| Error::File(path.to_owned(), error))?)
}

/// The key that a command prints: the first line. What it says on standard error is passed on.
pub(super) async fn from_command(command: &str) -> Result<Secret, Error> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = timeout(PATIENCE, shell.output()).await.map_err(|_| Error::TimedOut)?.map_err(Error::Run)?;
    if !output.status.success() {
        return Err(Error::Failed(output.status));
    }
    first_line(output.stdout)
}

fn first_line(bytes: Vec<u8>) -> Result<Secret, Error> {
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let text = str::from_utf8(line).ok().filter(|line| line.len() <= KEY_BYTES).ok_or(Error::NoText)?.trim();
    if text.is_empty() { Err(Error::Empty) } else { Ok(text.to_owned().into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_line_of_a_file_or_of_what_a_command_prints_is_the_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        std::fs::write(&file, " abc-123 \r\nnot this\n").expect("it is written");
        assert_eq!(from_file(&file).await.expect("a key").expose(), "abc-123");
        assert_eq!(from_command("printf 'one\ntwo'").await.expect("a key").expose(), "one");
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_had_is_told_without_what_was_read() {
        let error = |command: &'static str| async move { from_command(command).await.expect_err(command).to_string() };
        assert_eq!(error("echo CANARY; exit 3").await, "stream_key_command failed: exit status: 3");
        assert_eq!(error("echo; echo CANARY").await, "there is no key in it");
        assert_eq!(error("head -c 9999 /dev/zero").await, "a key is text of at most 4096 bytes");
        assert_eq!(error("printf '\\377'").await, "a key is text of at most 4096 bytes");
        let missing = from_file(Path::new("/nowhere/key")).await.expect_err("no such file").to_string();
        assert_eq!(missing, "cannot read /nowhere/key: No such file or directory (os error 2)");
    }
}
