//! A gate: how many instructions a message costs in each stage, counted by valgrind, held against numbers that are kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};

use crate::stage::Stage;
use crate::subject::beside;

/// The numbers that are kept: instructions for a message, and in the last two stages for a message and a reader.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");

/// More than this above what is kept is too much. The same program differs by less than a thousandth; another compiler, C library
/// or processor by a little more.
const TOLERANCE: f64 = 0.05;

/// Counts and compares.
#[derive(Debug, Clone, Args)]
pub(crate) struct Instructions {
    /// Keep what is counted now
    #[arg(long)]
    accept: bool,
}

impl Instructions {
    /// Fails where a stage has become dearer.
    pub(crate) fn run(&self, folder: &Path) -> Result<()> {
        let kept: BTreeMap<Stage, f64> = match std::fs::read_to_string(KEPT) {
            Ok(text) => serde_json::from_str(&text)?,
            Err(_) => BTreeMap::new(),
        };
        let mut counted = BTreeMap::new();
        let mut dearer = Vec::new();
        for stage in Stage::value_variants() {
            let now = count(*stage, folder)?;
            let before = kept.get(stage).copied();
            let change = before.map(|before| now / before - 1.0);
            let name = word(*stage);
            println!(
                "{name:8} {now:8.1} instructions, {}",
                match change {
                    Some(change) => format!("{:+.2} % of {:.1}", change * 100.0, before.unwrap_or(now)),
                    None => "new".to_owned(),
                }
            );
            match change {
                Some(change) if change > TOLERANCE => dearer.push(name),
                Some(change) if change < -TOLERANCE => {
                    println!("{name:8} is cheaper than what is kept: `just instructions --accept` keeps it so");
                }
                _ => {}
            }
            counted.insert(*stage, (now * 10.0).round() / 10.0);
        }
        if self.accept {
            std::fs::write(KEPT, serde_json::to_string_pretty(&counted)? + "\n")?;
            return Ok(());
        }
        ensure!(kept.len() == counted.len(), "not all stages have a number in {KEPT}");
        if !dearer.is_empty() {
            bail!(
                "{} became dearer by more than {} %: see target/bench/callgrind.*, or `just instructions --accept`",
                dearer.join(" and "),
                TOLERANCE * 100.0
            );
        }
        println!("instructions: {} passed, 0 failed", counted.len());
        Ok(())
    }
}

fn word(stage: Stage) -> String {
    stage.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Instructions for each message that comes out of a stage.
fn count(stage: Stage, folder: &Path) -> Result<f64> {
    let name = word(stage);
    let out = folder.join(format!("callgrind.{name}"));
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg("--toggle-collect=*stage::measured*");
    valgrind.arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(beside("bench")).args(["stage", &name]);
    // One instruction that copies any number of bytes is counted as one for each, and only some processors have it copied so.
    valgrind.env("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1000000000");
    let ran = valgrind.output().context("valgrind, which Debian's package of that name has")?;
    let said = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.success(), "{said}");
    let collected = said.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse::<f64>().ok());
    let messages: f64 = String::from_utf8_lossy(&ran.stdout).trim().parse()?;
    Ok(collected.context("valgrind has not counted anything")? / messages)
}
