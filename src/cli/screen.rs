//! The terminal: log lines that scroll, and below them a table that changes in place. Without a terminal, log lines only.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::{Instant, interval};
use tracing_subscriber::fmt::MakeWriter;

use super::table::{Row, bytes, column, destinations, line};
use super::{Log, LogFormat};
use crate::destination::{Board, Status};
use crate::recorder;

/// How often the table is drawn anew.
const FRAME: Duration = Duration::from_millis(500);

/// Standard error, shared by the log and the table.
#[derive(Debug, Clone)]
pub(super) struct Screen(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    terminal: bool,
    table: String,
}

impl Screen {
    /// Takes standard error, and the log with it.
    pub(super) fn open(log: Log) -> Self {
        let json = log.log_format == LogFormat::Json;
        let terminal = io::stderr().is_terminal() && !json;
        let screen = Screen(Arc::new(Mutex::new(Lines { terminal, table: String::new() })));
        // Only a program logs; a second one in the same process (a test) leaves things as they are.
        let lines = tracing_subscriber::fmt()
            .with_env_filter(log.log_level)
            .with_target(false)
            .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none())
            .with_writer(screen.clone());
        let _ = match json {
            true => lines.json().flatten_event(true).try_init(),
            false => lines.try_init(),
        };
        screen
    }

    /// Shows a relay's destinations and recordings until dropped.
    pub(super) async fn show(&self, board: &Board, recordings: &recorder::Board) {
        if !self.lines().terminal {
            return std::future::pending().await;
        }
        let mut tick = interval(FRAME);
        loop {
            tick.tick().await;
            let width = terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| usize::from(width.0));
            let table = table(&board.statuses(), width) + &recorded(&recordings.statuses(), width);
            self.lines().draw(table);
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Lines {
    /// The table again, in the same place.
    fn draw(&mut self, table: String) {
        let erase = self.erase();
        self.table = table;
        self.put(&format!("{erase}{}", self.table));
    }

    /// Back to where the table begins, everything below removed.
    fn erase(&self) -> String {
        match self.table.lines().count() {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }

    /// A terminal that is gone is nobody's loss.
    fn put(&self, text: &str) {
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// One log line, above the table.
impl Write for Screen {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let lines = self.lines();
        lines.put(&format!("{}{}{}", lines.erase(), String::from_utf8_lossy(line), lines.table));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// One line for each destination, no longer than `width`.
fn table(statuses: &[Status], width: usize) -> String {
    let row = |s: &Status| Row {
        name: s.name.clone(),
        state: s.state.to_string(),
        seconds: s.since.elapsed().as_secs(),
        bytes: s.bytes,
        bitrate: s.bitrate,
        lag_milliseconds: s.delivered.lag.as_millis() as u64,
        dropped: s.dropped,
        reconnects: s.reconnects,
        stream: s.stream.as_ref().map(ToString::to_string).unwrap_or_default(),
        retry_seconds: s.retry_at.map(|at| at.duration_since(Instant::now()).as_secs_f64()),
        remarks: remarks(s),
    };
    destinations(&statuses.iter().map(row).collect::<Vec<_>>(), width)
}

/// What there is to say of one, the most urgent first.
fn remarks(status: &Status) -> Vec<String> {
    let unannounced = format!("the server did not announce {}", status.unannounced.join(", "));
    let advice = status.advice.iter().map(|advice| advice.text.clone());
    let mut remarks: Vec<String> = status.reason.iter().cloned().collect();
    remarks.extend(status.backup.then(|| "at the backup server".to_owned()));
    remarks.extend((!status.unannounced.is_empty()).then_some(unannounced));
    remarks.extend(advice.filter(|text| !status.reason.as_ref().is_some_and(|reason| reason.contains(text))));
    remarks
}

/// One line for each recording.
fn recorded(statuses: &[recorder::board::Status], width: usize) -> String {
    let mut table = String::new();
    if statuses.is_empty() {
        return table;
    }
    let name = column(statuses.iter().map(|s| &*s.rule));
    let head =
        format!("{:name$}  {:11} {:>6} {:>9}  {}", "RECORDING", "STATE", "FOR", "WRITTEN", "STREAM, FILE OR REASON");
    line(&mut table, &head, width);
    for s in statuses {
        let file = s.file.as_ref().map(|file| file.display().to_string());
        let reason = s.last_error.clone().filter(|_| s.state == recorder::board::State::Failed);
        let (since, written) = (format!("{} s", s.since.elapsed().as_secs()), bytes(s.bytes));
        let rest = reason.or(file).unwrap_or_default();
        let row = format!("{:name$.name$}  {:11} {since:>6} {written:>9}  {}  {rest}", s.rule, s.state, s.stream);
        line(&mut table, &row, width);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Name;

    #[tokio::test(start_paused = true)]
    async fn a_row_says_where_a_destination_stands_in_one_line() {
        let board = Board::default();
        board.add("youtube");
        board.add("a.very.long.host.name.that.does.not.end.example");
        let expected = [
            "DESTINATION                       STATE          FOR      SENT",
            "youtube                           waiting        0 s       0 B",
            "a.very.long.host.name.that.does.  waiting        0 s       0 B",
        ];
        assert_eq!(table(&board.statuses(), 62).lines().collect::<Vec<_>>(), expected);
        assert_eq!(table(&[], 80), "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_recording_has_a_line_of_its_own() {
        let board = recorder::Board::default();
        assert_eq!(recorded(&board.statuses(), 80), "");
        let _row = board.add("shows", &Name::new("live/a").expect("a name"));
        let mut statuses = board.statuses();
        let expected = [
            "RECORDING    STATE          FOR   WRITTEN  STREAM, FILE OR REASON",
            "shows        waiting        0 s       0 B  live/a",
        ];
        assert_eq!(recorded(&statuses, 80).lines().collect::<Vec<_>>(), expected);
        (statuses[0].state, statuses[0].last_error) = (recorder::board::State::Failed, Some("disk full".to_owned()));
        assert!(recorded(&statuses, 80).ends_with("failed         0 s       0 B  live/a  disk full\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_says_what_its_server_did_not_announce() {
        let board = Board::default();
        board.add("youtube");
        let mut statuses = board.statuses();
        statuses[0].unannounced = vec!["HEVC".to_owned(), "multitrack".to_owned()];
        assert!(table(&statuses, 200).ends_with("the server did not announce HEVC, multitrack\n"));
        statuses[0].reason = Some("nothing comes from the encoder".to_owned());
        assert!(table(&statuses, 200).contains("nothing comes from the encoder; the server did not announce"));
    }
}
