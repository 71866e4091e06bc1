//! The benchmark: what a delivered bit costs, by the relay, by other servers, and by a program that only sends bytes.
//!
//! ```text
//!             ┌───────── load ──────────┐
//!  driver ──► │ publishers      readers │     one process and thread; stamps and numbers in every payload
//!     │       └────┬───────────────▲────┘
//!     └──starts──► └──► subject ───┘           relay, floor or peer; its CPU from /proc
//! ```
//! `just bench` measures, `docs/benchmarks.md` has the results.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

mod cell;
mod contender;
mod facts;
mod film;
mod floor;
mod instructions;
mod load;
mod plot;
mod program;
mod report;
mod row;
mod run;
mod soak;
mod stage;
mod subject;

#[derive(Debug, Parser)]
#[command(about = "What a delivered bit costs")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure subjects in cells
    Run(run::Run),
    /// Find out what needs no comparison: start-up, size, idle connections, hops, system calls
    Facts,
    /// Relay for an hour, and see whether memory grows
    Soak(soak::Soak),
    /// Count the instructions of a message in each stage, and compare
    Instructions(instructions::Instructions),
    /// Write what was measured into docs/benchmarks.md
    Report,
    /// One stage of a message's way, to be counted; says how many messages came out
    Stage(stage::Work),
    /// The program that does nothing but send bytes
    Floor(floor::Floor),
    /// Publishers and readers, told what to do on standard input
    Load(load::Order),
    /// Keep processors from falling asleep until the parent ends; to be run at the lowest priority
    KeepAwake,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Run(run) => run.run(&work()?),
        Command::Facts => facts::Facts::run(&work()?),
        Command::Soak(soak) => soak.run(&work()?),
        Command::Instructions(instructions) => instructions.run(&work()?),
        Command::Report => report::write(&work()?),
        Command::Stage(stage) => {
            println!("{}", stage.run()?);
            Ok(())
        }
        Command::Floor(floor) => floor.run(),
        Command::KeepAwake => {
            program::keep_awake();
            Ok(())
        }
        Command::Load(order) => {
            // Each reader is a file descriptor.
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
            let most = rustix::process::Rlimit { current: limit.maximum, ..limit };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, most)?;
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(load::run(order))
        }
    }
}

/// Where rows and files of subjects are: beside what cargo has built.
fn work() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent).context("a target folder")?;
    let folder = target.join("bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
