//! A cell: what a subject has to do while it is measured.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// So many streams, each to so many readers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) way: Way,
    pub(crate) streams: u16,
    /// Of each stream.
    pub(crate) readers: usize,
    /// Bits a second of each stream.
    pub(crate) bitrate: u64,
}

/// How readers come to their stream, and at which pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    /// It is published to them.
    Push,
    /// It is published to them in TLS.
    Rtmps,
    /// It is published to them as fast as the slowest takes it.
    Bulk,
    /// They play it.
    Play,
}

const RATE: u64 = 6_000_000;

impl Cell {
    /// Reads a cell's name: `push-100`, `play-2000@1` (at 1 Mbit/s), `push-50x10` (50 streams to 10 each).
    pub(crate) fn parse(name: &str) -> Result<Cell> {
        let Some((way, rest)) = name.split_once('-') else {
            bail!("{name} is no cell: push-100, play-2000@1, push-50x10")
        };
        let way = match way {
            "push" => Way::Push,
            "rtmps" => Way::Rtmps,
            "bulk" => Way::Bulk,
            "play" => Way::Play,
            _ => bail!("{way} is not push, rtmps, bulk or play"),
        };
        let (rest, rate) = rest.split_once('@').unwrap_or((rest, "6"));
        let (streams, readers) = rest.split_once('x').unwrap_or(("1", rest));
        Ok(Cell {
            way,
            streams: streams.parse()?,
            readers: readers.parse()?,
            bitrate: rate.parse::<u64>()? * 1_000_000,
        })
    }

    /// Whether a processor has room for several programs that do it at once: they get warm together. 1.2 Gbit/s each at most.
    pub(crate) fn is_light(&self) -> bool {
        let rate = self.readers as u64 * self.bitrate;
        self.way != Way::Bulk && self.streams == 1 && rate <= 1_200_000_000
    }

    /// What `parse` reads.
    pub(crate) fn name(&self) -> String {
        let way = match self.way {
            Way::Push => "push",
            Way::Rtmps => "rtmps",
            Way::Bulk => "bulk",
            Way::Play => "play",
        };
        let streams = if self.streams == 1 { String::new() } else { format!("{}x", self.streams) };
        let rate = if self.bitrate == RATE { String::new() } else { format!("@{}", self.bitrate / 1_000_000) };
        format!("{way}-{streams}{}{rate}", self.readers)
    }

    /// What it is, for people.
    pub(crate) fn title(&self) -> String {
        let way = match self.way {
            Way::Push => "push",
            Way::Rtmps => "RTMPS push",
            Way::Bulk => "bulk push",
            Way::Play => "play",
        };
        let streams = if self.streams == 1 { String::new() } else { format!("{} streams × ", self.streams) };
        let rate =
            if self.bitrate == RATE { String::new() } else { format!(" at {} Mbit/s", self.bitrate / 1_000_000) };
        format!("{way} {streams}{}{rate}", self.readers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for name in ["push-1", "play-2000@1", "push-50x10", "rtmps-20", "bulk-5"] {
            assert_eq!(Cell::parse(name).expect(name).name(), name);
        }
        for wrong in ["push", "pull-5", "push-x", "push-"] {
            assert!(Cell::parse(wrong).is_err(), "{wrong}");
        }
    }
}
