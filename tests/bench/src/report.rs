//! The report: rows in, `docs/benchmarks.md` out. What stands in it between `<!-- NAME -->` and `<!-- end -->` is written here; all
//! else is written by people, and left alone.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::cell::{Cell, Way};
use crate::facts::Facts;
use crate::load::Quantiles;
use crate::plot;
use crate::row::Row;
use crate::soak::{Soaked, line};
use crate::subject::Subject;

const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks.md");

/// Rows of several runs.
#[derive(Debug, Default)]
pub(crate) struct Rows(Vec<Row>);

/// The middle one of several values, the least and the largest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let median = match values.len() {
            0 => return None,
            n if n % 2 == 1 => values[n / 2],
            n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
        };
        Some(Spread { median, least: values[0], most: values[values.len() - 1] })
    }

    fn say(self) -> String {
        format!("{:.2} ({:.2}–{:.2})", self.median, self.least, self.most)
    }
}

impl Rows {
    fn all(&self, cell: &Cell, subject: Subject) -> impl Iterator<Item = &Row> {
        self.0.iter().filter(move |row| row.cell == *cell && row.subject == subject)
    }

    /// Those that may be compared.
    fn of(&self, cell: &Cell, subject: Subject) -> impl Iterator<Item = &Row> {
        self.all(cell, subject).filter(|row| row.is_sound())
    }

    fn cells(&self) -> Vec<Cell> {
        let mut cells: Vec<Cell> = self.0.iter().map(|row| row.cell.clone()).collect();
        cells.sort();
        cells.dedup();
        cells
    }

    fn spread(&self, cell: &Cell, subject: Subject, value: impl Fn(&Row) -> f64) -> Option<Spread> {
        Spread::of(self.of(cell, subject).map(value).collect())
    }

    /// CPU against the floor of the same round.
    pub(crate) fn ratio(&self, cell: &Cell, subject: Subject) -> Option<Spread> {
        let floors: BTreeMap<usize, f64> = self.of(cell, Subject::Floor).map(|row| (row.round, row.cost())).collect();
        Spread::of(self.of(cell, subject).filter_map(|row| Some(row.cost() / floors.get(&row.round)?)).collect())
    }

    /// The median of each quantile, in milliseconds.
    fn latency(&self, cell: &Cell, subject: Subject, kind: &str) -> Option<[f64; 3]> {
        let of = |part: fn(&Quantiles) -> u32| {
            let values = self.of(cell, subject).filter_map(|row| row.count.latency.get(&format!("all {kind}")));
            Spread::of(values.map(|quantiles| f64::from(part(quantiles)) / 1e3).collect())
        };
        Some([of(|q| q.p50)?.median, of(|q| q.p99)?.median, of(|q| q.p999)?.median])
    }

    fn lost(&self, cell: &Cell, subject: Subject) -> u64 {
        self.all(cell, subject).map(|row| row.lost() + row.count.disordered).sum()
    }

    fn limits(&self, cell: &Cell, subject: Subject) -> String {
        let limits: Vec<&str> = self.all(cell, subject).filter_map(Row::limit).collect();
        match limits.first() {
            None => String::new(),
            Some(_) => {
                let mut kinds = limits.clone();
                kinds.sort_unstable();
                kinds.dedup();
                format!("{} in {} of {}", kinds.join(", "), limits.len(), self.all(cell, subject).count())
            }
        }
    }
}

/// Writes all sections for which there is something.
pub(crate) fn write(folder: &Path) -> Result<()> {
    let rows = Rows(Row::read(&folder.join("rows.jsonl"))?);
    let peers = Rows(Row::read(&folder.join("peers.jsonl"))?);
    let asleep = Rows(Row::read(&folder.join("asleep.jsonl"))?);
    let facts: Option<Facts> = read(&folder.join("facts.json"))?;
    let soak: Option<Soaked> = read(&folder.join("soak.json"))?;
    let mut text = std::fs::read_to_string(REPORT).context(REPORT)?;
    put(&mut text, "machine", &machine(folder))?;
    if !rows.0.is_empty() {
        put(&mut text, "targets", &targets(&rows, &peers))?;
        put(&mut text, "cells", &cells(&rows))?;
        put(&mut text, "merge", &merge(&rows))?;
        put(&mut text, "line", &straight(&rows))?;
    }
    if !peers.0.is_empty() {
        put(&mut text, "peers", &field(&peers))?;
    }
    if !asleep.0.is_empty() {
        put(&mut text, "asleep", &field(&asleep))?;
    }
    if let Some(facts) = facts {
        put(&mut text, "facts", &about(&facts))?;
    }
    if let Some(soak) = soak {
        put(&mut text, "soak", &soaked(&soak))?;
    }
    std::fs::write(REPORT, text)?;
    let drawn = if peers.0.is_empty() { &rows } else { &peers };
    plot::draw(&lines(drawn, &rows), Path::new(REPORT).with_file_name("benchmarks.svg").as_path())
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(serde_json::from_str(&text).with_context(|| path.display().to_string())?)),
        Err(_) => Ok(None),
    }
}

/// Puts `section` where it belongs.
fn put(text: &mut String, name: &str, section: &str) -> Result<()> {
    let begin = format!("<!-- {name} -->\n");
    let from = text.find(&begin).with_context(|| format!("no <!-- {name} --> in {REPORT}"))? + begin.len();
    let to = text[from..].find("<!-- end -->").context("no <!-- end -->")? + from;
    text.replace_range(from..to, &format!("\n{}\n\n", section.trim()));
    Ok(())
}

fn machine(folder: &Path) -> String {
    let first = |command: &mut Command| {
        let said = command.output().ok()?;
        Some(String::from_utf8_lossy(&said.stdout).lines().next()?.to_owned())
    };
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor =
        processor.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown").to_owned();
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = first(Command::new("uname").args(["-s", "-r", "-m"])).unwrap_or_default();
    let compiler = first(Command::new("rustc").arg("--version")).unwrap_or_default();
    let commit =
        first(Command::new("git").args(["describe", "--always", "--dirty", "--exclude=*"])).unwrap_or_default();
    let day = first(Command::new("date").args(["-u", "+%Y-%m-%d"])).unwrap_or_default();
    let mut versions: Vec<String> =
        Subject::value_variants().iter().filter_map(|subject| subject.version(folder)).collect();
    versions.dedup();
    format!(
        "{day}, commit {commit}. {count} processors ({processor}, a virtual machine), {kernel}, {compiler}. {}.",
        versions.join(" · ")
    )
}

fn ms(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn cells(rows: &Rows) -> String {
    let mut text = String::from(
        "| cell | floor, CPU-s/Gbit | relay ÷ floor | latency p50 / p99 / p99.9, ms | floor's | lost | memory, MB | at its limit |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for cell in rows.cells() {
        let latency =
            |subject| rows.latency(&cell, subject, "both").map_or("–".to_owned(), |q| q.map(ms).join(" / "));
        let floor =
            rows.spread(&cell, Subject::Floor, Row::cost).map_or("–".to_owned(), |s| format!("{:.4}", s.median));
        let memory = rows.spread(&cell, Subject::Relay, |row| row.rss as f64 / 1024.0).map_or(0.0, |s| s.median);
        let ratio = rows.ratio(&cell, Subject::Relay).map_or("–".to_owned(), Spread::say);
        let _ = writeln!(
            text,
            "| {} | {floor} | {ratio} | {} | {} | {} | {memory:.0} | {} |",
            cell.title(),
            latency(Subject::Relay),
            latency(Subject::Floor),
            rows.lost(&cell, Subject::Relay),
            rows.limits(&cell, Subject::Relay),
        );
    }
    text
}

fn merge(rows: &Rows) -> String {
    let mut text = String::from(
        "| cell | merge: audio ÷ floor | ÷ merge: none | video p50 / p99, ms | audio p50 / p99 / longest | lost |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for cell in rows.cells() {
        let Some(ratio) = rows.ratio(&cell, Subject::RelayMerge) else { continue };
        let none = rows.ratio(&cell, Subject::Relay).map(|none| format!("{:.2}", ratio.median / none.median));
        let quantiles = |kind| rows.latency(&cell, Subject::RelayMerge, kind).unwrap_or_default().map(ms);
        let longest = rows.spread(&cell, Subject::RelayMerge, |row| {
            row.count.latency.get("all audio").map_or(0.0, |q| f64::from(q.max) / 1e3)
        });
        let ([v50, v99, _], [a50, a99, _]) = (quantiles("video"), quantiles("audio"));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {v50} / {v99} | {a50} / {a99} / {} | {} |",
            cell.title(),
            ratio.say(),
            none.unwrap_or("–".to_owned()),
            longest.map_or("–".to_owned(), |s| ms(s.most)),
            rows.lost(&cell, Subject::RelayMerge),
        );
    }
    text
}

/// CPU against the number of destinations.
fn straight(rows: &Rows) -> String {
    let mut text = String::from(
        "| | a stream costs | each destination | one processor carries | R² | R² of the medians |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for subject in [Subject::Floor, Subject::Relay, Subject::RelayMerge] {
        let points: Vec<(f64, f64)> = rows
            .0
            .iter()
            .filter(|row| row.subject == subject && row.is_sound() && plain(&row.cell, Way::Push))
            .map(|row| (row.cell.readers as f64, row.cpu / row.count.seconds))
            .collect();
        let (slope, begin, explained) = line(&points);
        let cells = rows.cells().into_iter().filter(|cell| plain(cell, Way::Push));
        let medians: Vec<(f64, f64)> = cells
            .filter_map(|cell| {
                let cpu = rows.spread(&cell, subject, |row| row.cpu / row.count.seconds)?;
                Some((cell.readers as f64, cpu.median))
            })
            .collect();
        // Two points are always on a line.
        if slope > 0.0 && medians.len() > 2 {
            let _ = writeln!(
                text,
                "| {} | {:.1} ms/s | {:.3} ms/s | {:.0} | {explained:.4} | {:.4} |",
                subject.title(),
                begin * 1e3,
                slope * 1e3,
                (1.0 - begin) / slope,
                line(&medians).2
            );
        }
    }
    let memory = |name| {
        let cell = Cell::parse(name).ok()?;
        rows.spread(&cell, Subject::Relay, |row| row.rss as f64)
    };
    if let (Some(few), Some(many)) = (memory("push-100"), memory("push-500")) {
        let _ = writeln!(
            text,
            "\nMemory for each further destination, from 100 to 500: {:.1} KiB.",
            (many.median - few.median) / 400.0
        );
    }
    text
}

fn plain(cell: &Cell, way: Way) -> bool {
    cell.way == way && cell.streams == 1 && cell.bitrate == 6_000_000
}

fn field(rows: &Rows) -> String {
    let cells: Vec<Cell> = rows.cells();
    let head: Vec<String> = cells.iter().map(Cell::title).collect();
    let mut text = format!(
        "| CPU ÷ floor · p50 / p99 ms · lost | {} |\n|{}\n",
        head.join(" | "),
        " --- |".repeat(cells.len() + 1)
    );
    for subject in Subject::value_variants() {
        if !rows.0.iter().any(|row| row.subject == *subject) {
            continue;
        }
        let entries: Vec<String> = cells
            .iter()
            .map(|cell| {
                let Some(ratio) = rows.ratio(cell, *subject) else {
                    let failed =
                        rows.0.iter().any(|row| row.cell == *cell && row.subject == *subject && row.failed.is_some());
                    return if failed { "failed" } else { "–" }.to_owned();
                };
                let [p50, p99, _] = rows.latency(cell, *subject, "both").unwrap_or_default().map(ms);
                let lost = match rows.lost(cell, *subject) {
                    0 => String::new(),
                    lost => format!(" · {lost} lost"),
                };
                let first = match subject {
                    Subject::Floor => rows.spread(cell, *subject, Row::cost).map_or(0.0, |s| s.median),
                    _ => ratio.median,
                };
                let first = if *subject == Subject::Floor {
                    format!("{first:.4} CPU-s/Gbit")
                } else {
                    format!("**{first:.2}**")
                };
                format!("{first} · {p50} / {p99}{lost}")
            })
            .collect();
        let _ = writeln!(text, "| {} | {} |", subject.title(), entries.join(" | "));
    }
    let limited = rows.0.iter().filter(|row| row.limit().is_some()).count();
    let _ = writeln!(
        text,
        "\nOf {} measurements {limited} were disturbed (load, machine or others at their limit).",
        rows.0.len()
    );
    text
}

fn about(facts: &Facts) -> String {
    let mut text = format!(
        "- Start-up, from the program's start to the first connection it takes: {:.1} ms, {:.1} ms at most.\n\
         - The program is {:.1} MB.\n\
         - With nobody connected it holds {:.1} MB; each connection that waits for a stream adds {:.1} KiB, and a thousand of them take \
         {:.2} % of a processor.\n",
        facts.start.0,
        facts.start.1,
        facts.size as f64 / 1e6,
        facts.empty as f64 / 1024.0,
        facts.idle,
        facts.idle_cpu * 100.0
    );
    let mut before = Quantiles::default();
    for (hop, now) in facts.hops.iter().enumerate() {
        let ms = |value: u32| f64::from(value) / 1e3;
        let _ = writeln!(
            text,
            "- Behind {} relay{}: {:.2} ms p50, {:.2} ms p99, {:.2} ms p99.9{}.",
            hop + 1,
            if hop == 0 { "" } else { "s in a row" },
            ms(now.p50),
            ms(now.p99),
            ms(now.p999),
            if hop == 0 {
                String::new()
            } else {
                format!("; this hop adds {:.2} ms p50", ms(now.p50.saturating_sub(before.p50)))
            }
        );
        before = *now;
    }
    for (destinations, calls) in &facts.calls {
        let all: f64 = calls.values().sum();
        let mut parts: Vec<(&String, &f64)> = calls.iter().collect();
        parts.sort_by(|a, b| b.1.total_cmp(a.1));
        let parts: Vec<String> = parts.iter().map(|(name, calls)| format!("{name} {calls:.3}")).collect();
        let _ = writeln!(
            text,
            "- System calls for each delivered message, with {destinations} destinations: {all:.3} ({}).",
            parts.join(", ")
        );
    }
    text
}

fn soaked(soak: &Soaked) -> String {
    let (first, last) = (soak.rss.first(), soak.rss.last());
    let most = soak.rss.iter().map(|(_, rss)| *rss).max().unwrap_or(0);
    let lost = soak.count.lost.get("steady").copied().unwrap_or(0);
    let latency = soak.count.latency.get("steady both").copied().unwrap_or_default();
    format!(
        "{} minutes, 5 destinations, one of which comes and goes (20 s there, 10 s away) and one takes nothing after its first second: \
         {} messages delivered, **{lost} lost** by the three others, {} out of order; {} sessions in all. Memory {:.1} MB at the \
         beginning, {:.1} MB at the end, {:.1} MB at most; after the first sixth of the time the line that fits best changes by \
         **{:+.2} %**. Latency to the three others {:.2} ms p50, {:.2} ms p99, {:.2} ms p99.9. The relay used {:.2} % of a processor.",
        soak.minutes,
        soak.count.messages,
        soak.count.disordered,
        soak.count.sessions,
        first.map_or(0.0, |(_, rss)| *rss as f64 / 1024.0),
        last.map_or(0.0, |(_, rss)| *rss as f64 / 1024.0),
        most as f64 / 1024.0,
        soak.growth * 100.0,
        f64::from(latency.p50) / 1e3,
        f64::from(latency.p99) / 1e3,
        f64::from(latency.p999) / 1e3,
        soak.cpu / soak.count.seconds * 100.0
    )
}

/// What was promised, and whether it is kept.
fn targets(rows: &Rows, peers: &Rows) -> String {
    let mut text = String::from("| what | must | aim | measured | |\n| --- | --- | --- | --- | --- |\n");
    let mut judge = |what: &str, must: Option<f64>, aim: Option<f64>, measured: Option<f64>| {
        let Some(measured) = measured else { return };
        let verdict = match (must, aim) {
            (_, Some(aim)) if measured <= aim => "aim met",
            (Some(must), _) if measured <= must => "must met",
            (Some(_), _) => "**must missed**",
            (None, _) => "aim missed",
        };
        let word = |bound: Option<f64>| bound.map_or("–".to_owned(), |bound| format!("≤ {bound}"));
        let _ = writeln!(text, "| {what} | {} | {} | {measured:.2} | {verdict} |", word(must), word(aim));
    };
    let ratio = |name: &str, subject| rows.ratio(&Cell::parse(name).ok()?, subject).map(|s| s.median);
    for (name, must, aim) in [
        ("push-5", Some(1.8), Some(1.4)),
        ("push-20", Some(1.45), Some(1.2)),
        ("push-100", Some(1.25), Some(1.05)),
        ("push-500", Some(1.25), Some(1.05)),
        ("push-50x10", None, Some(1.1)),
        ("rtmps-20", None, Some(1.8)),
    ] {
        judge(&format!("{name}, CPU ÷ floor"), must, aim, ratio(name, Subject::Relay));
    }
    for (name, aim) in [("push-20", 0.8), ("push-100", 0.65), ("push-500", 0.65)] {
        judge(&format!("{name}, merge: audio, CPU ÷ floor"), None, Some(aim), ratio(name, Subject::RelayMerge));
    }
    for name in ["push-20", "push-100", "play-200"] {
        let Ok(cell) = Cell::parse(name) else { continue };
        let both = rows.latency(&cell, Subject::Relay, "both").zip(rows.latency(&cell, Subject::Floor, "both"));
        judge(&format!("{name}, latency p50 ÷ floor's"), None, Some(1.5), both.map(|(ours, floor)| ours[0] / floor[0]));
        judge(&format!("{name}, latency p99 ÷ floor's"), None, Some(2.0), both.map(|(ours, floor)| ours[1] / floor[1]));
    }
    let memory =
        Cell::parse("play-500").ok().and_then(|cell| rows.spread(&cell, Subject::Relay, |row| row.rss as f64 / 1024.0));
    judge("memory with 500 players, MB", None, Some(20.0), memory.map(|s| s.median));
    let lost: u64 =
        rows.0.iter().filter(|row| row.subject != Subject::Floor).map(|row| row.lost() + row.count.disordered).sum();
    judge("messages lost or out of order, all cells", Some(0.0), None, Some(lost as f64));
    for cell in peers.cells() {
        let median = |subject| peers.ratio(&cell, subject).map(|s| s.median);
        for (ours, word) in [(Subject::Relay, ""), (Subject::RelayTuned, ", tuned")] {
            let against = |other| median(ours).zip(median(other)).map(|(ours, other)| ours / other);
            let (nginx, tee) = (against(Subject::Nginx4096), against(Subject::FfmpegTee));
            judge(&format!("{}{word}, CPU ÷ nginx-rtmp's at 4096", cell.title()), Some(1.0), None, nginx);
            judge(&format!("{}{word}, CPU ÷ ffmpeg tee's", cell.title()), Some(0.25), None, tee);
        }
    }
    text
}

/// Lines of the plot: a panel each for push and play, a line each for a subject.
fn lines(rows: &Rows, ours: &Rows) -> Vec<plot::Panel> {
    let panel = |way, title: &str| {
        let of = |subject: Subject| {
            // Merging is measured beside the floor, not beside the peers.
            let rows = if subject == Subject::RelayMerge { ours } else { rows };
            let cells = rows.cells().into_iter().filter(|cell| plain(cell, way));
            let points = cells.filter_map(|cell| Some((cell.readers as f64, rows.ratio(&cell, subject)?.median)));
            plot::Line { name: subject.title().to_owned(), points: points.collect() }
        };
        let lines = Subject::value_variants().iter().map(|subject| of(*subject)).filter(|line| !line.points.is_empty());
        plot::Panel { title: title.to_owned(), lines: lines.collect() }
    };
    let panels = [panel(Way::Push, "push: destinations"), panel(Way::Play, "play: players")];
    panels.into_iter().filter(|panel| !panel.lines.is_empty()).collect()
}
