//! A command: a program that is run for each thing that happens, with the entry on its standard input and in its environment.

use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Trouble;
use super::reader::{Reader, Told};
use crate::limits::COMMANDS;
use crate::net::Network;
use crate::rtmp::Secret;

/// What to run, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// For `sh -c`. It may have a key in it.
    pub line: Secret,
    /// After so long it is killed, with whatever it has started.
    pub timeout: Duration,
}

/// What became of a command.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot be run: {0}")]
    Run(io::Error),
    #[error("failed: {0}")]
    Failed(ExitStatus),
    #[error("has not ended after {0:?} and was killed")]
    Killed(Duration),
}

impl Command {
    /// Runs it for all that is to be told, a few at once, to the end.
    pub(super) async fn tell<N: Network>(&self, net: &N, mut reader: Reader, mut trouble: Trouble) {
        let mut running = JoinSet::new();
        let mut over = false;
        while !over || !running.is_empty() {
            tokio::select! {
                biased;
                Some(ended) = running.join_next() => match ended {
                    Ok(Ok(())) => trouble.worked(),
                    Ok(Err(failure)) => trouble.failed(&format_args!("the command {failure}")),
                    Err(panicked) => trouble.failed(&panicked),
                },
                told = reader.next(), if !over && running.len() < COMMANDS => match told {
                    Some(told) => net.spawn(&mut running, self.clone().run(told)),
                    None => over = true,
                },
            }
        }
    }

    async fn run(self, told: Told) -> Result<(), Failure> {
        let mut shell = process::Command::new("sh");
        shell.args(["-c", self.line.expose()]).envs(environment(&told));
        // A group of its own, so that it can be killed as a whole. Standard output belongs to the relay's own lines.
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit()).process_group(0).kill_on_drop(true);
        let mut child = shell.spawn().map_err(Failure::Run)?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
        let stdin = child.stdin.take();
        let ended = async {
            if let Some(mut stdin) = stdin {
                // Less than a pipe holds. Who does not read it does not want it.
                let _ = stdin.write_all((told.json() + "\n").as_bytes()).await;
            }
            child.wait().await.map_err(Failure::Run)
        };
        let status = timeout(self.timeout, ended).await.map_err(|_| Failure::Killed(self.timeout))??;
        group.has_ended();
        if status.success() { Ok(()) } else { Err(Failure::Failed(status)) }
    }
}

/// The entry, a variable for each part. Values are never part of the command, so that nothing in them is ever run.
fn environment(told: &Told) -> Vec<(&'static str, String)> {
    let (entry, event) = (&told.entry, &told.entry.event);
    let text = |value: &dyn fmt::Display| Some(value.to_string());
    let all = [
        ("RTMP_RELAY_EVENT", text(&event.code)),
        ("RTMP_RELAY_EVENT_ID", text(&entry.id)),
        ("RTMP_RELAY_EVENT_AT", text(&format_args!("{:.3}", entry.at))),
        ("RTMP_RELAY_EVENT_SEVERITY", text(&entry.severity)),
        ("RTMP_RELAY_EVENT_STREAM", event.stream.as_ref().map(ToString::to_string)),
        ("RTMP_RELAY_EVENT_DESTINATION", event.destination.clone()),
        ("RTMP_RELAY_EVENT_RECORDING", event.recording.clone()),
        ("RTMP_RELAY_EVENT_FILE", event.file.as_ref().map(|file| file.display().to_string())),
        ("RTMP_RELAY_EVENT_PEER", event.peer.map(|peer| peer.to_string())),
        ("RTMP_RELAY_EVENT_CLASS", event.class.map(str::to_owned)),
        ("RTMP_RELAY_EVENT_TEXT", event.text.clone()),
        ("RTMP_RELAY_EVENT_COUNT", event.count.map(|count| count.to_string())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?.replace('\0', "")))).collect()
}

/// A command and all that it has started. Dropped before it has ended, all of it is killed.
struct Group(Option<Pid>);

impl Group {
    /// What it may have left running on purpose goes on.
    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Where it is gone already there is nothing to do.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
