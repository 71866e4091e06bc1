//! The soak for people: plays worlds by seed, tells the story of one, lists what is watched.

use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use sim::soak::{self, Campaign, Kind, Law, Outcome, Plan, Point, Summary, Told};

/// Whole relays on a simulated network, drawn from seeds and watched by laws.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plays the worlds of many seeds.
    Soak {
        /// Which seeds: from..to, without the last.
        #[arg(long, default_value = "0..2000", value_parser = range)]
        seeds: Range<u64>,
        /// Worlds at a time.
        #[arg(long, default_value_t = 2)]
        jobs: usize,
        /// Begins no new world after this many seconds.
        #[arg(long)]
        seconds: Option<u64>,
    },
    /// Plays one world and tells what happens.
    Replay {
        /// Its seed.
        #[arg(long)]
        seed: u64,
        /// Everything, down to every segment.
        #[arg(long)]
        wire: bool,
    },
    /// Plays with deliberate bugs in the product, one after the other, until a law catches each. Needs a build with
    /// `--features mutants`: `just mutants`.
    Mutants {
        /// A bug that so many seeds do not show has survived.
        #[arg(long, default_value_t = HUNT)]
        seeds: u64,
        /// Only these.
        names: Vec<String>,
    },
    /// Lists laws, kinds of fault, and points to be reached.
    List,
}

/// Lines of the trace that a failure shows.
const LAST: usize = 40;
/// Seeds that each mutant is hunted through.
const HUNT: u64 = 200;
/// Failures that are told in full.
const TOLD: usize = 3;

fn main() -> ExitCode {
    let good = match Cli::parse().command {
        Command::Soak { seeds, jobs, seconds } => soak(seeds, jobs, seconds.map(Duration::from_secs)),
        Command::Replay { seed, wire } => replay(seed, if wire { Told::Wire } else { Told::Story }),
        Command::Mutants { seeds, names } => mutants(&names, seeds),
        Command::List => list(),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let ends = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    ends.ok_or_else(|| "it looks like 0..2000".to_owned())
}

fn soak(seeds: Range<u64>, jobs: usize, limit: Option<Duration>) -> bool {
    let total = seeds.end.saturating_sub(seeds.start);
    let shown = std::io::stderr().is_terminal();
    let every = if shown { 1 } else { 100 };
    let summary = Campaign { seeds, jobs, limit }.run(|so_far| {
        if so_far.seeds.is_multiple_of(every) {
            let end = if shown { "\r" } else { "\n" };
            eprint!("{}{end}", progress(so_far, total));
            let _ = std::io::stderr().flush();
        }
    });
    eprintln!("{}", progress(&summary, total));
    #[cfg(feature = "mutants")]
    let summary = Summary { mutants: Some(hunted(&[], HUNT)), ..summary };
    for outcome in summary.failures.iter().take(TOLD) {
        failure(outcome);
    }
    for outcome in summary.failures.iter().skip(TOLD) {
        println!("{}", outcome.violation.as_ref().expect("a failure"));
    }
    println!("\n{:>7}  fault", "times");
    for kind in Kind::ALL {
        println!("{:>7}  {kind:?}: {}", summary.faults.get(&kind).unwrap_or(&0), kind.sentence());
    }
    println!("\n{:>7}  point", "worlds");
    for point in Point::ALL {
        println!("{:>7}  {point:?}: {}", summary.points.get(point).unwrap_or(&0), point.sentence());
    }
    println!("\n{}", summary.json());
    summary.is_good()
}

fn progress(so_far: &Summary, total: u64) -> String {
    format!(
        "{:>5} of {total} worlds, {:.1} simulated hours in {:.0} s ({:.0} times real time), {} broken",
        so_far.seeds,
        so_far.simulated.as_secs_f64() / 3600.0,
        so_far.took.as_secs_f64(),
        so_far.speed(),
        so_far.failures.len()
    )
}

/// Seed, script, law, the last lines, and how to see all of it.
fn failure(outcome: &Outcome) {
    let seed = outcome.plan.seed;
    let violation = outcome.violation.as_ref().expect("a failure");
    println!("\n{violation}\n  {}\n", violation.law.sentence());
    script(&outcome.plan);
    let trace = if outcome.trace.is_empty() { soak::play(seed, Told::Story).trace } else { outcome.trace.clone() };
    let lines: Vec<&str> = trace.lines().collect();
    println!("\n{}", lines[lines.len().saturating_sub(LAST)..].join("\n"));
    println!("\n  cargo run --release -p sim -- replay --seed {seed}");
}

fn script(plan: &Plan) {
    for fault in &plan.faults {
        println!("  {fault}");
    }
}

fn replay(seed: u64, told: Told) -> bool {
    let outcome = soak::play(seed, told);
    script(&outcome.plan);
    println!("\n{}", outcome.trace);
    for point in outcome.points.keys() {
        println!("  reached {point:?}: {}", point.sentence());
    }
    match &outcome.violation {
        Some(violation) => println!("\n{violation}\n  {}", violation.law.sentence()),
        None => println!("\nall laws held for {:.1} s", outcome.lasted.as_secs_f64()),
    }
    outcome.violation.is_none()
}

#[cfg(not(feature = "mutants"))]
fn mutants(_: &[String], _: u64) -> bool {
    eprintln!("the bugs are in no build but those with --features mutants:");
    eprintln!("  cargo run --release -p sim --features mutants -- mutants");
    false
}

#[cfg(feature = "mutants")]
fn mutants(names: &[String], seeds: u64) -> bool {
    let (caught, all) = hunted(names, seeds);
    println!("\n{{\"mutants_caught\":{caught},\"mutants\":{all}}}");
    caught == all
}

/// How many were caught, of how many.
#[cfg(feature = "mutants")]
fn hunted(names: &[String], seeds: u64) -> (usize, usize) {
    let all = soak::mutants::hunt(names, seeds, |hunted| println!("{hunted}"));
    (all.iter().filter(|hunted| hunted.caught.is_some()).count(), all.len())
}

fn list() -> bool {
    println!("laws");
    for law in Law::ALL {
        println!("  {law:20} {}", law.sentence());
    }
    println!("\nkinds of fault");
    for kind in Kind::ALL {
        println!("  {:20} {}", format!("{kind:?}"), kind.sentence());
    }
    println!("\npoints to be reached");
    for point in Point::ALL {
        println!("  {:26} {}", format!("{point:?}"), point.sentence());
    }
    true
}
