//! Tables for a terminal: a line for each thing, cut where the terminal ends.

use std::fmt::Write as _;

/// One destination with one stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) state: String,
    /// In this state.
    pub(super) seconds: u64,
    pub(super) bytes: u64,
    /// Bits a second.
    pub(super) bitrate: u64,
    pub(super) lag_milliseconds: u64,
    pub(super) dropped: u64,
    pub(super) reconnects: u64,
    pub(super) stream: String,
    /// Until the next attempt.
    pub(super) retry_seconds: Option<f64>,
    /// What there is to say, the most urgent first.
    pub(super) remarks: Vec<String>,
}

/// A line for each destination, no longer than `width`; nothing if there are none.
pub(super) fn destinations(rows: &[Row], width: usize) -> String {
    let mut table = String::new();
    if rows.is_empty() {
        return table;
    }
    let name = column(rows.iter().map(|row| &*row.name));
    let head = format!(
        "{:name$}  {:11} {:>6} {:>9} {:>8} {:>7} {:>6} {:>6}  {}",
        "DESTINATION", "STATE", "FOR", "SENT", "RATE", "LAG", "DROPS", "RECON", "STREAM, REASON"
    );
    line(&mut table, &head, width);
    for row in rows {
        let retry = row.retry_seconds.map(|seconds| format!("again in {seconds:.1} s: "));
        let text = format!(
            "{:name$.name$}  {:11} {:>6} {:>9} {:>8} {:>7} {:>6} {:>6}  {}  {}{}",
            row.name,
            row.state,
            format!("{} s", row.seconds),
            bytes(row.bytes),
            rate(row.bitrate),
            format!("{} ms", row.lag_milliseconds),
            row.dropped,
            row.reconnects,
            row.stream,
            retry.unwrap_or_default(),
            row.remarks.join("; "),
        );
        line(&mut table, &text, width);
    }
    table
}

/// How wide a column of names is: neither too narrow for its title nor wider than a third of most terminals.
pub(super) fn column<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or(0).clamp(11, 32)
}

/// One more line. What would move the cursor is left out: names and reasons are other people's.
pub(super) fn line(table: &mut String, text: &str, width: usize) {
    let cut: String = text.trim_end().chars().filter(|c| !c.is_control()).take(width).collect();
    let _ = writeln!(table, "{cut}");
}

/// Megabits a second.
pub(super) fn rate(bits: u64) -> String {
    format!("{:.1} M", bits as f64 / 1e6)
}

/// Bytes, in at most four digits.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{n} B"),
        10_000..10_000_000 => format!("{} kB", n / 1000),
        10_000_000..10_000_000_000 => format!("{} MB", n / 1_000_000),
        _ => format!("{} GB", n / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_at_most_four_digits() {
        assert_eq!([9_999, 10_000, 9_999_999, 10_000_000].map(bytes), ["9999 B", "10 kB", "9999 kB", "10 MB"]);
    }

    #[test]
    fn what_others_have_written_moves_no_cursor() {
        let mut table = String::new();
        line(&mut table, "a\x1b[2Jb\r\n\u{9b}31mc", 80);
        assert_eq!(table, "a[2Jb31mc\n");
    }
}
