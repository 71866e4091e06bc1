//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{config, limits};

mod demo;
mod play;
mod publish;
mod screen;
mod serve;

/// What every subcommand prints at the end of its help.
const EXIT_CODES: &str = "\
Exit codes:
  0    all went well, or stopped by Ctrl-C or SIGTERM
  1    it failed; the reason is on the last line
  2    the command line is wrong
  130  stopped at once by a second Ctrl-C";

/// File descriptors that any system gives a process, where it cannot be asked.
const FILES: u64 = 256;

/// Relays one RTMP stream to many servers at once.
///
/// Give it the servers to relay to, then publish to rtmp://127.0.0.1/live/ANY-NAME from OBS, ffmpeg or a camera:
///
///   rtmp-relay rtmp://a.example/live2/KEY rtmp://b.example/app/KEY
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Servers to relay everything to that is published here: `serve --relay-to`, in short
    #[arg(value_name = "URL")]
    urls: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take streams from encoders, serve them to players and relay them to other servers
    #[command(after_help = EXIT_CODES)]
    Serve(Serve),
    /// Publish an FLV file to a server, in real time
    #[command(after_help = EXIT_CODES)]
    Publish(Publish),
    /// Play a stream from a server into an FLV file
    #[command(after_help = EXIT_CODES)]
    Play(Play),
    /// See it work: two servers and four destinations in one process, a clip, one of them killed and restarted
    #[command(after_help = EXIT_CODES)]
    Demo(Demo),
}

#[derive(Debug, Args)]
struct Serve {
    /// Where to listen for encoders and players; `:1935` is every address of this machine
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1935", value_parser = config::listen)]
    listen: SocketAddr,
    /// Server to relay to; may be given many times. A URL that ends with the application gets the stream's name appended,
    /// and {app} and {stream} may stand anywhere in it
    #[arg(long, value_name = "URL")]
    relay_to: Vec<String>,
    /// Record every stream into an FLV file
    #[arg(long)]
    record_all: bool,
    /// Folder for recordings
    #[arg(long, value_name = "DIR", default_value = "recordings")]
    record_dir: PathBuf,
    /// How long to keep everything open for an encoder whose connection was lost
    #[arg(long, value_name = "TIME", default_value = "15s")]
    grace: Time,
    /// Chunk size towards destinations, in bytes; 4096 for servers that dislike large ones
    #[arg(long, value_name = "BYTES", default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(128..=65_536))]
    chunk_size: u32,
    /// How many encoders and players may be connected at once; never more than leaves a quarter of the process's file
    /// descriptors for destinations and recordings
    #[arg(long, value_name = "NUMBER", default_value_t = limits::CONNECTIONS)]
    max_connections: usize,
    /// How many of them from one address; this machine itself is exempt
    #[arg(long, value_name = "NUMBER", default_value_t = limits::CONNECTIONS_PER_ADDRESS)]
    max_connections_per_address: usize,
    #[command(flatten)]
    log: Log,
}

#[derive(Debug, Args)]
struct Publish {
    /// The FLV file
    file: PathBuf,
    /// Where to, as in rtmp://localhost/live/test
    url: String,
    /// Start over at the end of the file, until stopped
    #[arg(long = "loop")]
    again: bool,
    /// Times as fast as real time
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
    #[command(flatten)]
    log: Log,
}

#[derive(Debug, Args)]
struct Play {
    /// Where from, as in rtmp://localhost/live/test
    url: String,
    /// The FLV file to write; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Stop after this much of the stream
    #[arg(long, value_name = "TIME")]
    duration: Option<Time>,
    #[command(flatten)]
    log: Log,
}

#[derive(Debug, Args)]
struct Demo {
    /// How long it takes
    #[arg(long, value_name = "TIME", default_value = "30s")]
    duration: Time,
}

#[derive(Debug, Args)]
struct Log {
    /// How much to log: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: EnvFilter,
}

/// A length of time as people write it: `500ms`, `15s`, `1m 30s`.
#[derive(Debug, Clone, Copy)]
struct Time(Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time: jiff::SignedDuration =
            text.parse().map_err(|_| "a time looks like 500ms, 15s or 1m30s".to_owned())?;
        time.try_into().map(Time).map_err(|_| "a time cannot be negative".to_owned())
    }
}

impl Cli {
    /// Does what it says.
    pub async fn run(self) -> Result<()> {
        // Each destination and player is a file descriptor.
        let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(FILES);
        let stop = stop_signal()?;
        match self.command {
            None => {
                let words =
                    ["serve".to_owned()].into_iter().chain(self.urls.into_iter().map(|u| format!("--relay-to={u}")));
                serve::run(Words::parse_from(words).serve, files, stop).await
            }
            Some(Command::Serve(serve)) => serve::run(serve, files, stop).await,
            Some(Command::Publish(publish)) => publish::run(publish, stop).await,
            Some(Command::Play(play)) => play::run(play, stop).await,
            Some(Command::Demo(demo)) => demo::run(demo, stop).await,
        }
    }
}

/// `serve` with the defaults of its own options.
#[derive(Debug, Parser)]
struct Words {
    #[command(flatten)]
    serve: Serve,
}

/// The first Ctrl-C or SIGTERM asks for an end, the second one is it.
fn stop_signal() -> Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        for last in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            asked.cancel();
            if last {
                std::process::exit(130);
            }
        }
    });
    Ok(stop)
}
