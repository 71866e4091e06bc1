//! A run: every subject in every cell, several times, cells and their subjects in an order drawn anew for each round.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::cell::{Cell, Way};
use crate::contender::Contender;
use crate::load::Count;
use crate::program::{Program, Talk};
use crate::row::Row;
use crate::subject::{Running, Subject, beside, command, make_certificate};

/// How often each has its turn in a round.
const TURNS: u32 = 4;

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
    /// Let the subjects' processors fall asleep when there is nothing to do
    #[arg(long)]
    asleep: bool,
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
                    "SKIPPED {}: there is no {} (tests/bench/setup-peers installs what others have made, tests/bench/tune ours)",
                    subject.title(),
                    path.display()
                );
                false
            }
        });
        let rows = folder.join(&self.rows);
        std::fs::write(&rows, "")?;
        let _awake = (!self.asleep).then(Program::that_keeps_awake).transpose()?;
        let mut random = fastrand::Rng::with_seed(self.seed);
        for round in 1..=self.rounds {
            let mut cells: Vec<&Cell> = cells.iter().collect();
            random.shuffle(&mut cells);
            for (number, cell) in cells.iter().enumerate() {
                let mut subjects: Vec<Subject> = subjects.iter().copied().filter(|subject| subject.can(cell)).collect();
                random.shuffle(&mut subjects);
                let measured = self.measure(round, cell, &subjects, folder, &mut random);
                let measured = measured.unwrap_or_else(|error| {
                    subjects.iter().map(|subject| failed(round, cell, *subject, format!("{error:#}"))).collect()
                });
                for row in measured {
                    row.append(&rows)?;
                    say(&row, &format!("{round}.{:02}/{}", number + 1, cells.len()));
                }
            }
        }
        Ok(())
    }

    /// All of them are there, and take turns: while one is measured nothing is published to the others, so that each has the
    /// machine for itself, and all have the same one.
    fn measure(
        &self,
        round: usize,
        cell: &Cell,
        subjects: &[Subject],
        folder: &Path,
        random: &mut fastrand::Rng,
    ) -> Result<Vec<Row>> {
        let mut subjects = subjects.to_vec();
        // So that those wait least who must not wait too long.
        subjects.sort_by_key(|subject| subject.warm());
        let mut contenders = Vec::new();
        for subject in subjects {
            contenders.push(Contender::start(subject, cell, folder)?);
            if !cell.is_light() {
                contenders.last_mut().map(Contender::warm).transpose()?;
            }
        }
        if cell.is_light() {
            let warm = contenders.iter().map(|contender| contender.subject.warm()).max();
            sleep(warm.unwrap_or_default());
            contenders.iter_mut().try_for_each(Contender::rest)?;
        }
        for _ in 0..TURNS {
            random.shuffle(&mut contenders);
            for contender in &mut contenders {
                contender.turn(Duration::from_secs(self.seconds) / TURNS)?;
            }
        }
        contenders.into_iter().map(|contender| contender.row(round, cell)).collect()
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
        let (program, mut talk) = Program::talk(&command(&beside("bench"), words))?;
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

    /// Lets it end, and says what came of it.
    pub(crate) fn end(&mut self) -> Result<Count> {
        self.talk.say("end")?;
        Ok(serde_json::from_str(&self.talk.hear()?)?)
    }
}
