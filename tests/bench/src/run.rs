//! A run: every subject in every cell, several times, in an order drawn anew for each round.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::cell::{Cell, Way};
use crate::load::Count;
use crate::program::{Machine, Program, Talk};
use crate::row::Row;
use crate::subject::{Running, Subject, beside, command, make_certificate};

/// Cells and subjects.
#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// Cells, as in push-100, play-2000@1, push-50x10, rtmps-20, bulk-5
    #[arg(long, value_delimiter = ',', required = true)]
    cells: Vec<String>,
    /// Subjects; those that cannot do a cell are left out of it
    #[arg(long, value_delimiter = ',', required = true)]
    subjects: Vec<Subject>,
    /// How often each is measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// For how long
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// What the order is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The file that rows are written to, in the target folder; what it held is forgotten
    #[arg(long, default_value = "rows.jsonl")]
    rows: String,
}

impl Run {
    /// Measures.
    pub(crate) fn run(&self, folder: &Path) -> Result<()> {
        let cells = self.cells.iter().map(|name| Cell::parse(name)).collect::<Result<Vec<_>>>()?;
        let mut subjects = self.subjects.clone();
        subjects.retain(|subject| match subject.missing(folder) {
            None => true,
            Some(path) => {
                eprintln!(
                    "SKIPPED {}: there is no {} (tests/bench/setup-peers installs it)",
                    subject.title(),
                    path.display()
                );
                false
            }
        });
        let rows = folder.join(&self.rows);
        std::fs::write(&rows, "")?;
        let jobs: Vec<(&Cell, Subject)> = cells
            .iter()
            .flat_map(|cell| subjects.iter().filter(|subject| subject.can(cell)).map(move |subject| (cell, *subject)))
            .collect();
        let mut random = fastrand::Rng::with_seed(self.seed);
        for round in 1..=self.rounds {
            let mut jobs = jobs.clone();
            random.shuffle(&mut jobs);
            for (number, (cell, subject)) in jobs.iter().enumerate() {
                let row = self.measure(round, cell, *subject, folder);
                let row = row.unwrap_or_else(|error| failed(round, cell, *subject, format!("{error:#}")));
                row.append(&rows)?;
                say(&row, &format!("{round}.{:02}/{}", number + 1, jobs.len()));
            }
        }
        Ok(())
    }

    fn measure(&self, round: usize, cell: &Cell, subject: Subject, folder: &Path) -> Result<Row> {
        let mut load = Load::start(cell, subject.is_raw(), folder)?;
        let running = subject.start(cell, load.readers, folder)?;
        load.flows(&running)?;
        sleep(subject.warm());
        let before = (running.program.usage(), load.program.usage(), Machine::look()?);
        load.talk.say("open")?;
        sleep(Duration::from_secs(self.seconds));
        let after = (running.program.usage(), load.program.usage(), Machine::look()?);
        load.talk.say("close")?;
        let count: Count = serde_json::from_str(&load.talk.hear()?)?;
        let seconds = count.seconds;
        let (cpu, load) = (after.0.cpu_since(&before.0), after.1.cpu_since(&before.1));
        let (busy, idle, stolen) = after.2.since(&before.2);
        Ok(Row {
            round,
            cell: cell.clone(),
            subject,
            cpu,
            rss: after.0.rss,
            switches: after.0.switches_since(&before.0) as f64 / seconds,
            load: load / seconds,
            others: (busy - cpu - load).max(0.0) / seconds,
            idle: idle / seconds,
            stolen: stolen / seconds,
            count,
            failed: None,
        })
    }
}

fn failed(round: usize, cell: &Cell, subject: Subject, why: String) -> Row {
    let count = Count::default();
    let [cpu, switches, load, others, idle, stolen] = [0.0; 6];
    let cell = cell.clone();
    Row { round, cell, subject, cpu, rss: 0, switches, load, others, idle, stolen, count, failed: Some(why) }
}

/// A line for whoever waits.
fn say(row: &Row, place: &str) {
    let (cell, subject) = (row.cell.name(), row.subject.title());
    if let Some(failed) = &row.failed {
        return println!("{place} {cell:12} {subject:24} FAILED: {failed}");
    }
    let latency = row.count.latency.get("all both").copied().unwrap_or_default();
    println!(
        "{place} {cell:12} {subject:24} {:.4} CPU-s/Gbit, {:.2} ms p50, {:.2} p99, {} lost, {} MB, load {:.2}, others {:.2} {}",
        row.cost(),
        f64::from(latency.p50) / 1e3,
        f64::from(latency.p99) / 1e3,
        row.lost(),
        row.rss / 1024,
        row.load,
        row.others,
        row.limit().map(|limit| format!("LIMIT: {limit}")).unwrap_or_default(),
    );
}

/// A load that is running.
pub(crate) struct Load {
    pub(crate) program: Program,
    pub(crate) talk: Talk,
    /// Where its readers are, if they are servers.
    pub(crate) readers: SocketAddr,
}

impl Load {
    /// Starts the load of a cell.
    pub(crate) fn start(cell: &Cell, raw: bool, folder: &Path) -> Result<Load> {
        let mut words = vec!["load".to_owned()];
        words.push(format!("--streams={}", cell.streams));
        words.push(format!("--readers={}", cell.readers));
        words.push(format!("--bitrate={}", cell.bitrate));
        match cell.way {
            Way::Push => {}
            Way::Play => words.push("--play".to_owned()),
            Way::Bulk => words.push("--bulk".to_owned()),
            Way::Rtmps if raw => {}
            Way::Rtmps => words.push(format!("--tls={}", make_certificate(folder)?.display())),
        }
        if raw {
            words.push("--raw".to_owned());
        }
        Load::with(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Starts any load.
    pub(crate) fn with(words: &[&str]) -> Result<Load> {
        let (program, mut talk) = Program::talk(&mut command(&beside("bench"), words))?;
        let said = talk.hear()?;
        let port: u16 = said.strip_prefix("listens ").context(said.clone())?.parse()?;
        Ok(Load { program, talk, readers: SocketAddr::from(([127, 0, 0, 1], port)) })
    }

    /// Lets it begin, and waits until every reader has media.
    pub(crate) fn flows(&mut self, running: &Running) -> Result<()> {
        self.talk.say(&format!("go {} {}", running.publish, running.play))?;
        let said = self.talk.hear().context("the load has given up")?;
        anyhow::ensure!(said == "flows", "the load says {said}");
        Ok(())
    }
}
