//! The command line.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::value::{Hidden, Time};
use crate::config::{Settings, file};

mod caller;
mod check;
mod demo;
mod platforms;
mod play;
mod publish;
mod reload;
mod repair;
mod screen;
mod serve;
mod status;
mod table;
mod test;

/// What every subcommand prints at the end of its help.
const EXIT_CODES: &str = "\
Exit codes:
  0    all went well, or stopped by Ctrl-C or SIGTERM
  1    it failed; the reason is on the last line
  2    the command line is wrong
  130  stopped at once by a second Ctrl-C";

/// What `serve` says at the end of its help.
fn after_serve() -> String {
    format!(
        "Each option may be set in the environment instead: --relay-to is RTMP_RELAY_RELAY_TO, several URLs divided by spaces.\n\
         What a flag says goes before the environment, and both before the file.\n\n{EXIT_CODES}"
    )
}

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
    #[command(after_help = after_serve())]
    Serve(Box<Serve>),
    /// Check a configuration file, and say which stream goes where
    #[command(after_help = EXIT_CODES)]
    Check(Check),
    /// What may stand in a configuration file
    #[command(subcommand)]
    Config(About),
    /// Try the way to each destination, step by step, without sending anything
    #[command(after_help = EXIT_CODES)]
    Test(Test),
    /// Where a running relay stands, as its API tells it
    #[command(after_help = EXIT_CODES)]
    Status(Status),
    /// The same, live, until stopped by Ctrl-C
    #[command(after_help = EXIT_CODES)]
    Top(Top),
    /// Platforms that have a name here: where they take streams, and what they take
    #[command(after_help = EXIT_CODES)]
    Platforms(Platforms),
    /// Publish an FLV file to a server, in real time
    #[command(after_help = EXIT_CODES)]
    Publish(Publish),
    /// Play a stream from a server into an FLV file
    #[command(after_help = EXIT_CODES)]
    Play(Play),
    /// Make recordings whole that a crash has left, or any FLV file that ends too early, in place
    #[command(after_help = EXIT_CODES)]
    Repair(Repair),
    /// See it work: two servers and four destinations in one process, a clip, one of them killed and restarted
    #[command(after_help = EXIT_CODES)]
    Demo(Demo),
}

#[derive(Debug, Args)]
struct Serve {
    /// A file with these settings and more about destinations; flags and environment go before it. It is read again when it
    /// changes, and on SIGHUP
    #[arg(long, short, value_name = "FILE", env = "RTMP_RELAY_CONFIG", hide_env = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    log: Log,
}

#[derive(Debug, Args)]
struct Check {
    /// The configuration file
    file: PathBuf,
    /// Say where this stream would go, as in live/test; may be given many times
    #[arg(long, value_name = "APP/NAME")]
    stream: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum About {
    /// A file with every key in it, explained
    Example,
    /// The JSON Schema of the file, for editors
    Schema,
}

#[derive(Debug, Args)]
struct Test {
    /// Servers to try, as in rtmps://host/app/key
    #[arg(value_name = "URL")]
    urls: Vec<Hidden>,
    /// A configuration file whose destinations are tried
    #[arg(long, short, value_name = "FILE", env = "RTMP_RELAY_CONFIG", hide_env = true)]
    config: Option<PathBuf>,
    /// Certificate authorities to trust besides this machine's own (PEM)
    #[arg(long, value_name = "FILE", env = "RTMP_RELAY_CA_FILE", hide_env = true)]
    ca_file: Option<PathBuf>,
    /// Tell the key too, and publish for a moment: nothing is sent, but a server may show that somebody is there
    #[arg(long)]
    publish: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Status {
    #[command(flatten)]
    api: Api,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Top {
    #[command(flatten)]
    api: Api,
}

/// A running relay's API.
#[derive(Debug, Args)]
struct Api {
    /// Where it is
    #[arg(long, value_name = "URL", env = "RTMP_RELAY_API", hide_env = true, default_value = "http://127.0.0.1:9997")]
    api: String,
    /// Its token, if it wants one. The environment is the place for it: everybody on this machine sees command lines
    #[arg(long, value_name = "TOKEN", env = "RTMP_RELAY_API_TOKEN", hide_env_values = true)]
    api_token: Option<Hidden>,
}

#[derive(Debug, Args)]
struct Platforms {
    /// Everything about this one, as in youtube
    platform: Option<String>,
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
struct Repair {
    /// The files; `name.flv.part` becomes `name.flv`
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
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
    #[arg(long, value_name = "LEVEL", env = "RTMP_RELAY_LOG_LEVEL", hide_env = true, default_value = "info")]
    log_level: EnvFilter,
    /// What a line of the log is
    #[arg(long, value_name = "FORMAT", env = "RTMP_RELAY_LOG_FORMAT", hide_env = true, default_value = "text")]
    log_format: LogFormat,
}

/// What a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// A sentence for people
    Text,
    /// An object for programs; no table is drawn between them
    Json,
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
            Some(Command::Serve(serve)) => serve::run(*serve, files, stop).await,
            Some(Command::Check(check)) => check::run(check).await,
            Some(Command::Config(About::Example)) => print(file::EXAMPLE),
            Some(Command::Config(About::Schema)) => print(&file::schema()),
            Some(Command::Test(test)) => test::run(test).await,
            Some(Command::Status(status)) => status::run(status).await,
            Some(Command::Top(top)) => status::top(top, stop).await,
            Some(Command::Platforms(platforms)) => platforms::run(&platforms),
            Some(Command::Publish(publish)) => publish::run(publish, stop).await,
            Some(Command::Play(play)) => play::run(play, stop).await,
            Some(Command::Repair(files)) => repair::run(files),
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

/// To standard output, which may be a pipe that nobody reads to its end.
fn print(text: &str) -> Result<()> {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    Ok(())
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
