//! The soak: an hour of relaying in real time to five servers, of which one comes and goes and one takes nothing. Memory must not
//! grow, and the three others must get everything.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::load::Count;
use crate::program::{Program, free};
use crate::run::Load;
use crate::subject::{Running, beside, command};

/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// What is left out at the beginning: a sixth, ten minutes of an hour.
const SETTLES: u64 = 6;
/// Memory may grow by this much in the rest.
const GROWTH: f64 = 0.01;

/// How long.
#[derive(Debug, Clone, Args)]
pub(crate) struct Soak {
    /// Minutes
    #[arg(long, default_value_t = 60)]
    minutes: u64,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Soaked {
    pub(crate) minutes: u64,
    /// Seconds, and KiB of memory.
    pub(crate) rss: Vec<(u64, u64)>,
    /// How much memory has grown after it had settled, by the line that fits best.
    pub(crate) growth: f64,
    /// CPU-seconds of the relay.
    pub(crate) cpu: f64,
    pub(crate) count: Count,
}

impl Soak {
    /// Runs for as long as it says.
    pub(crate) fn run(&self, folder: &Path) -> Result<()> {
        let mut load = Load::with(&["load", "--readers=5"])?;
        let publish = free()?;
        let mut relay = command(&beside("rtmp-relay"), &["serve", "--listen", &publish.to_string()]);
        for name in ["steady-0", "steady-1", "steady-2", "flap-0", "stall-0"] {
            relay.arg("--relay-to").arg(format!("rtmp://{}/live/{name}", load.readers));
        }
        let program = Program::start(&relay, &folder.join("soak.log"))?.awaits(publish)?;
        let running = Running { program, publish, play: publish };
        load.flows(&running)?;
        load.talk.say("open")?;
        let (before, began) = (running.program.usage(), Instant::now());
        let mut rss = Vec::new();
        while began.elapsed() < Duration::from_secs(60 * self.minutes) {
            sleep(LOOK);
            rss.push((began.elapsed().as_secs(), running.program.usage().rss));
        }
        let cpu = running.program.usage().cpu_since(&before);
        load.talk.say("close")?;
        let count = load.end()?;
        let settled: Vec<(f64, f64)> = rss
            .iter()
            .filter(|(at, _)| *at >= 60 * self.minutes / SETTLES)
            .map(|(at, rss)| (*at as f64, *rss as f64))
            .collect();
        let growth = growth(&settled);
        let lost = count.lost.get("steady").copied().unwrap_or(0);
        let result = Soaked { minutes: self.minutes, rss, growth, cpu, count };
        std::fs::write(folder.join("soak.json"), serde_json::to_string(&result)?)?;
        println!(
            "soak of {} minutes: {} messages, {lost} lost by the three steady servers, {} sessions, memory {} KiB, {:+.3} %",
            self.minutes,
            result.count.messages,
            result.count.sessions,
            result.rss.last().map_or(0, |(_, rss)| *rss),
            growth * 100.0
        );
        ensure!(lost == 0 && result.count.disordered == 0, "messages were lost");
        ensure!(growth < GROWTH, "memory grows");
        Ok(())
    }
}

/// How much the line that fits best rises from its beginning to its end, against its mean.
fn growth(points: &[(f64, f64)]) -> f64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return 0.0 };
    let (slope, _, _) = line(points);
    let mean = points.iter().map(|point| point.1).sum::<f64>() / points.len() as f64;
    slope * (last.0 - first.0) / mean
}

/// The line that fits best: its slope, where it begins, and how much of what there is to explain it explains (R²).
pub(crate) fn line(points: &[(f64, f64)]) -> (f64, f64, f64) {
    let count = points.len() as f64;
    let mean = |part: fn(&(f64, f64)) -> f64| points.iter().map(part).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let sum = |part: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(part).sum::<f64>();
    let (xx, xy, yy) = (
        sum(&|point| (point.0 - x).powi(2)),
        sum(&|point| (point.0 - x) * (point.1 - y)),
        sum(&|point| (point.1 - y).powi(2)),
    );
    let slope = if xx > 0.0 { xy / xx } else { 0.0 };
    let explained = if yy > 0.0 { slope * xy / yy } else { 1.0 };
    (slope, y - slope * x, explained)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_is_found_and_its_growth() {
        let points: Vec<(f64, f64)> = (0..100).map(|x| (f64::from(x), 1000.0 + f64::from(x))).collect();
        let (slope, begin, explained) = line(&points);
        assert!((slope - 1.0).abs() < 1e-9 && (begin - 1000.0).abs() < 1e-6 && (explained - 1.0).abs() < 1e-9);
        assert!((growth(&points) - 99.0 / 1049.5).abs() < 1e-9);
        let (_, _, explained) = line(&[(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)]);
        assert!(explained < 0.01);
    }
}
