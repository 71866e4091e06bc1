//! `status` and `top`: where a running relay stands, once or for as long as it is looked at.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::table::{self, Row, bytes, column, line, rate};
use super::{Top, print};

/// How often `top` looks.
const FRAME: Duration = Duration::from_secs(1);

/// Where no terminal says how wide it is.
const WIDTH: usize = 400;

/// Everything in one look.
#[derive(Debug, Default, Deserialize)]
struct View {
    status: Relay,
    streams: Vec<Stream>,
    destinations: Vec<Destination>,
    recordings: Vec<Recording>,
}

#[derive(Debug, Default, Deserialize)]
struct Relay {
    version: String,
    uptime_seconds: f64,
    rtmp: Rtmp,
    visitors: usize,
}

#[derive(Debug, Default, Deserialize)]
struct Rtmp {
    listen: String,
}

#[derive(Debug, Deserialize)]
struct Stream {
    name: String,
    state: String,
    seconds: f64,
    players: usize,
    bitrate: Option<u64>,
    video: Option<Video>,
    audio: Option<Audio>,
}

#[derive(Debug, Deserialize)]
struct Video {
    codec: String,
    width: Option<u32>,
    height: Option<u32>,
    frame_rate: Option<f64>,
    key_frame_interval_seconds: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Audio {
    codec: String,
    sample_rate: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Destination {
    name: String,
    streams: Vec<Sent>,
}

#[derive(Debug, Deserialize)]
struct Sent {
    stream: Option<String>,
    state: String,
    seconds: f64,
    reason: Option<String>,
    retry_in_seconds: Option<f64>,
    reconnects: u64,
    bytes_sent: u64,
    dropped_frames: BTreeMap<String, u64>,
    bitrate: u64,
    lag_seconds: f64,
    at: Option<String>,
    unannounced: Vec<String>,
    advice: Vec<Advice>,
}

#[derive(Debug, Deserialize)]
struct Advice {
    text: String,
}

#[derive(Debug, Deserialize)]
struct Recording {
    name: String,
    stream: Option<String>,
    state: String,
    seconds: f64,
    bytes: u64,
    file: Option<String>,
    error: Option<String>,
}

/// Prints where a relay stands.
pub(super) async fn run(status: super::Status) -> Result<()> {
    let seen = look(&Caller::new(&status.api)?).await?;
    if status.json {
        return print(&serde_json::to_string_pretty(&seen)?);
    }
    let width = terminal_size::terminal_size_of(io::stdout()).map_or(WIDTH, |(width, _)| usize::from(width.0));
    print(&page(&view(seen)?, width))
}

/// Shows where a relay stands until stopped.
pub(super) async fn top(top: Top, stop: CancellationToken) -> Result<()> {
    let caller = Caller::new(&top.api)?;
    if !io::stdout().is_terminal() {
        bail!("top needs a terminal: rtmp-relay status prints once");
    }
    let _whole = Whole::open();
    let mut tick = interval(FRAME);
    let mut last = None;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            _ = tick.tick() => {}
        }
        let (width, height) = terminal_size::terminal_size_of(io::stdout())
            .map_or((80, 24), |(w, h)| (usize::from(w.0), usize::from(h.0)));
        let text = match look(&caller).await.and_then(view) {
            Ok(view) => last.insert(page(&view, width)).clone(),
            // What was last known stays, and says that it is old.
            Err(error) => format!("NOT CONNECTED: {error:#}\n\n{}", last.as_deref().unwrap_or_default()),
        };
        Whole::draw(&text, height);
    }
}

/// Everything the API has to say, as it says it.
async fn look(caller: &Caller) -> Result<Value> {
    let mut seen = json!({ "status": caller.get::<Value>("/api/v1/status").await? });
    for what in ["streams", "destinations", "recordings"] {
        seen[what] = caller.get::<Value>(&format!("/api/v1/{what}")).await?[what].take();
    }
    Ok(seen)
}

fn view(seen: Value) -> Result<View> {
    serde_json::from_value(seen).context("the relay's API is not of this version")
}

fn page(view: &View, width: usize) -> String {
    let View { status, streams, destinations, recordings } = view;
    let mut page = format!(
        "rtmp-relay {} on {}, up {} s, {} connections\n",
        status.version, status.rtmp.listen, status.uptime_seconds as u64, status.visitors
    );
    let rows: Vec<Row> = destinations.iter().flat_map(|to| to.streams.iter().map(|sent| sent.row(&to.name))).collect();
    let tables = [published(streams, width), table::destinations(&rows, width), recorded(recordings, width)];
    for table in tables.iter().filter(|table| !table.is_empty()) {
        let _ = write!(page, "\n{table}");
    }
    if streams.is_empty() {
        page.push_str("\nnothing is published\n");
    }
    page
}

impl Sent {
    fn row(&self, name: &str) -> Row {
        let unannounced = format!("the server did not announce {}", self.unannounced.join(", "));
        let reason = self.reason.as_deref().unwrap_or_default();
        let mut remarks: Vec<String> = self.reason.iter().cloned().collect();
        remarks.extend((self.at.as_deref() == Some("backup")).then(|| "at the backup server".to_owned()));
        remarks.extend((!self.unannounced.is_empty()).then_some(unannounced));
        remarks.extend(self.advice.iter().map(|advice| advice.text.clone()).filter(|text| !reason.contains(text)));
        Row {
            name: name.to_owned(),
            state: self.state.clone(),
            seconds: self.seconds as u64,
            bytes: self.bytes_sent,
            bitrate: self.bitrate,
            lag_milliseconds: (self.lag_seconds * 1000.0) as u64,
            dropped: self.dropped_frames.iter().filter(|(why, _)| *why != "away").map(|(_, frames)| frames).sum(),
            reconnects: self.reconnects,
            stream: self.stream.clone().unwrap_or_default(),
            retry_seconds: self.retry_in_seconds,
            remarks,
        }
    }
}

fn published(streams: &[Stream], width: usize) -> String {
    let mut table = String::new();
    if streams.is_empty() {
        return table;
    }
    let name = column(streams.iter().map(|stream| &*stream.name));
    let head = format!("{:name$}  {:6} {:>6} {:>8} {:>7}  {}", "STREAM", "STATE", "FOR", "RATE", "PLAYERS", "MADE OF");
    line(&mut table, &head, width);
    for stream in streams {
        let text = format!(
            "{:name$.name$}  {:6} {:>6} {:>8} {:>7}  {}",
            stream.name,
            stream.state,
            format!("{} s", stream.seconds as u64),
            rate(stream.bitrate.unwrap_or_default()),
            stream.players,
            stream.made_of().join(", "),
        );
        line(&mut table, &text, width);
    }
    table
}

impl Stream {
    fn made_of(&self) -> Vec<String> {
        let mut parts = Vec::new();
        if let Some(video) = &self.video {
            let size = video.width.zip(video.height).map(|(width, height)| format!(" {width}x{height}"));
            let rate = video.frame_rate.map(|rate| format!(" at {rate:.0}"));
            parts.push(format!("{}{}{}", video.codec, size.unwrap_or_default(), rate.unwrap_or_default()));
            parts.extend(video.key_frame_interval_seconds.map(|seconds| format!("a key frame every {seconds:.1} s")));
        }
        match &self.audio {
            Some(audio) => {
                let rate = audio.sample_rate.map(|rate| format!(" {:.1} kHz", f64::from(rate) / 1000.0));
                parts.push(format!("{}{}", audio.codec, rate.unwrap_or_default()));
            }
            None => parts.push("no sound".to_owned()),
        }
        parts
    }
}

fn recorded(recordings: &[Recording], width: usize) -> String {
    let mut table = String::new();
    if recordings.is_empty() {
        return table;
    }
    let name = column(recordings.iter().map(|recording| &*recording.name));
    let head =
        format!("{:name$}  {:11} {:>6} {:>9}  {}", "RECORDING", "STATE", "FOR", "WRITTEN", "STREAM, FILE OR REASON");
    line(&mut table, &head, width);
    for recording in recordings {
        let failed = recording.error.as_ref().filter(|_| recording.state == "failed");
        let text = format!(
            "{:name$.name$}  {:11} {:>6} {:>9}  {}  {}",
            recording.name,
            recording.state,
            format!("{} s", recording.seconds as u64),
            bytes(recording.bytes),
            recording.stream.as_deref().unwrap_or_default(),
            failed.or(recording.file.as_ref()).map_or("", String::as_str),
        );
        line(&mut table, &text, width);
    }
    table
}

/// The terminal's other screen, left as it was found.
struct Whole;

impl Whole {
    fn open() -> Self {
        put("\x1b[?1049h\x1b[?25l");
        Whole
    }

    /// Every line over the one before it; what does not fit is below.
    fn draw(text: &str, height: usize) {
        let lines: Vec<String> =
            text.lines().take(height.saturating_sub(1)).map(|line| format!("{line}\x1b[K")).collect();
        put(&format!("\x1b[H{}\x1b[J", lines.join("\r\n")));
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        put("\x1b[?25h\x1b[?1049l");
    }
}

/// A terminal that is gone is nobody's loss.
fn put(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
