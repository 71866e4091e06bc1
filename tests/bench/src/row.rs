//! A row: one subject in one cell, once. Rows are kept as they were measured, a line of JSON each.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cell::{Cell, Way};
use crate::load::Count;
use crate::subject::Subject;

/// What was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) round: usize,
    pub(crate) cell: Cell,
    pub(crate) subject: Subject,
    /// CPU-seconds of the subject.
    pub(crate) cpu: f64,
    /// KiB of memory it held at the end.
    pub(crate) rss: u64,
    /// Times a second that its threads went to sleep.
    pub(crate) switches: f64,
    /// Processors in use meanwhile: by the load, and by whoever else there was.
    pub(crate) load: f64,
    pub(crate) others: f64,
    /// Processors that had nothing to do, and that the hypervisor gave to somebody else.
    pub(crate) idle: f64,
    pub(crate) stolen: f64,
    pub(crate) count: Count,
    /// Why there is nothing to see.
    pub(crate) failed: Option<String>,
}

impl Row {
    /// CPU-seconds for each Gbit that has come.
    pub(crate) fn cost(&self) -> f64 {
        self.cpu / (self.count.bytes as f64 * 8.0 / 1e9)
    }

    /// Messages that did not come.
    pub(crate) fn lost(&self) -> u64 {
        self.count.lost.values().sum()
    }

    /// Who was at the limit, so that the row says little of its subject. At full speed somebody has to be.
    pub(crate) fn limit(&self) -> Option<&'static str> {
        if self.cell.way == Way::Bulk {
            None
        } else if self.load > 0.9 {
            Some("load")
        } else if self.count.late.p99 > 20_000 {
            Some("late")
        } else if self.idle < 0.05 {
            Some("machine")
        } else if self.others > 0.5 || self.stolen > 0.1 {
            Some("others")
        } else {
            None
        }
    }

    /// Whether it may be compared. Who is published to late is published to in bursts, which is another load.
    pub(crate) fn is_sound(&self) -> bool {
        self.failed.is_none() && !matches!(self.limit(), Some("load" | "late"))
    }

    /// Adds it to a file.
    pub(crate) fn append(&self, path: &Path) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(writeln!(file, "{}", serde_json::to_string(self)?)?)
    }

    /// All rows of a file; none where there is no file.
    pub(crate) fn read(path: &Path) -> Result<Vec<Row>> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).with_context(|| path.display().to_string())).collect()
    }
}
