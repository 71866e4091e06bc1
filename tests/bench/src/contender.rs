//! A contender: a subject in a cell, with a load of its own, which is measured when it has its turn.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::cell::Cell;
use crate::program::Machine;
use crate::row::Row;
use crate::run::Load;
use crate::subject::{Running, Subject};

/// What is not measured at the beginning of a turn.
const SETTLE: Duration = Duration::from_millis(300);

/// A subject and its load.
pub(crate) struct Contender {
    pub(crate) subject: Subject,
    running: Running,
    load: Load,
    spent: Spent,
}

/// What was spent in all turns, in seconds of a processor.
#[derive(Default)]
struct Spent {
    seconds: f64,
    cpu: f64,
    load: f64,
    busy: f64,
    idle: f64,
    stolen: f64,
    switches: u64,
    /// KiB at the end of the last one.
    rss: u64,
}

impl Contender {
    /// Starts both.
    pub(crate) fn start(subject: Subject, cell: &Cell, folder: &Path) -> Result<Contender> {
        let mut load = Load::start(cell, subject.is_raw(), folder)?;
        let running = subject.start(cell, load.readers, folder)?;
        load.flows(&running)?;
        Ok(Contender { subject, running, load, spent: Spent::default() })
    }

    /// Has its publishers wait.
    pub(crate) fn rest(&mut self) -> Result<()> {
        self.load.talk.say("rest")
    }

    /// Lets it come to what it will do from then on, and rest.
    pub(crate) fn warm(&mut self) -> Result<()> {
        sleep(self.subject.warm());
        self.rest()
    }

    /// Measures for this long.
    pub(crate) fn turn(&mut self, time: Duration) -> Result<()> {
        self.load.talk.say("wake")?;
        sleep(SETTLE);
        let look = |of: &Contender| {
            Ok::<_, anyhow::Error>((of.running.program.usage(), of.load.program.usage(), Machine::look()?))
        };
        let (subject, load, machine) = look(self)?;
        self.load.talk.say("open")?;
        sleep(time);
        self.load.talk.say("close")?;
        let (subject_now, load_now, machine_now) = look(self)?;
        self.rest()?;
        let (busy, idle, stolen) = machine_now.since(&machine);
        let spent = &mut self.spent;
        spent.seconds += time.as_secs_f64();
        spent.cpu += subject_now.cpu_since(&subject);
        spent.load += load_now.cpu_since(&load);
        spent.busy += busy;
        spent.idle += idle;
        spent.stolen += stolen;
        spent.switches += subject_now.switches_since(&subject);
        spent.rss = subject_now.rss;
        Ok(())
    }

    /// What came of all its turns.
    pub(crate) fn row(mut self, round: usize, cell: &Cell) -> Result<Row> {
        let count = self.load.end()?;
        let Spent { seconds, cpu, load, busy, idle, stolen, switches, rss } = self.spent;
        Ok(Row {
            round,
            cell: cell.clone(),
            subject: self.subject,
            cpu,
            rss,
            switches: switches as f64 / seconds,
            load: load / seconds,
            others: (busy - cpu - load).max(0.0) / seconds,
            idle: idle / seconds,
            stolen: stolen / seconds,
            count,
            failed: None,
        })
    }
}
