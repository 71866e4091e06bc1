//! Metrics, gathered from the same snapshots as everything else when somebody asks (OpenMetrics 1.0).
//!
//! Labels are names of destinations, streams and rules, and words from fixed lists; never a URL, and never a key. There are as many
//! as is configured, times the streams that are live, up to a limit.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::header::{ACCEPT, HeaderMap};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::answer;
use super::desk::Desk;
use super::destinations::{Destination, DestinationStatus};
use super::recordings::Recording;
use super::sessions::{Role, Session};
use super::streams::Stream;
use crate::destination::State as Stands;
use crate::inbound::Ending;
use crate::limits::METRIC_STREAMS;
use crate::recorder::board::State as Recorded;

/// What scrapers are told that this is.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of one moment, in order.
#[derive(Debug, Default)]
struct Metrics(Vec<(Metric, Vec<Series>)>);

/// What a metric is.
#[derive(Debug, Clone, Copy)]
struct Metric {
    /// Without prefix, unit and `_total`.
    name: &'static str,
    kind: Kind,
    unit: Option<&'static Unit>,
    help: &'static str,
}

/// How its values move.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// They only grow.
    Count,
    /// Up and down.
    Level,
}

/// Labels, and the value that goes with them.
type Series = (Labels, f64);

type Labels = Vec<(&'static str, String)>;

const BYTES: Option<&Unit> = Some(&Unit::Bytes);
const SECONDS: Option<&Unit> = Some(&Unit::Seconds);

/// A count of what has no unit.
const fn count(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Count, unit: None, help }
}

/// A level of what has no unit.
const fn level(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Level, unit: None, help }
}

impl Metric {
    const fn in_unit(self, unit: Option<&'static Unit>) -> Metric {
        Metric { unit, ..self }
    }
}

/// A metric that each of some things has, and its value there; none where that is not known.
type Each<T> = (Metric, fn(&T) -> Option<f64>);

const STREAM: [Each<Stream>; 11] = [
    (level("stream_live", "1 while the publisher is there, 0 while it has been lost and may come back"), |s| {
        yes(s.is_live())
    }),
    (count("stream_media", "Media since the stream's beginning").in_unit(BYTES), |s| Some(s.bytes as f64)),
    (level("stream_bytes_per_second", "Media over the last ten seconds"), |s| bytes(s.bitrate)),
    (level("stream_video_bytes_per_second", "Pictures over the last ten seconds"), |s| {
        bytes(s.video.as_ref()?.bitrate)
    }),
    (level("stream_audio_bytes_per_second", "Sound over the last ten seconds"), |s| bytes(s.audio.as_ref()?.bitrate)),
    (level("stream_frames_per_second", "Pictures over the last ten seconds"), |s| s.video.as_ref()?.frame_rate),
    (
        level("stream_key_frame_interval", "The longest of the last intervals between key frames").in_unit(SECONDS),
        |s| s.video.as_ref()?.key_frame_interval_seconds,
    ),
    (level("stream_av_skew", "How far the sound is ahead of the picture").in_unit(SECONDS), |s| s.av_skew_seconds),
    (level("stream_players", "Players that read the stream here"), |s| Some(s.players as f64)),
    (level("stream_log", "Media that is held for the stream's readers").in_unit(BYTES), |s| Some(s.log.bytes as f64)),
    (level("stream_log_time", "Media time that is held for the stream's readers").in_unit(SECONDS), |s| {
        Some(s.log.seconds)
    }),
];

const DESTINATION: [Each<DestinationStatus>; 12] = [
    (level("destination_up", "1 while the server has accepted the stream and bytes leave"), |d| {
        yes(d.state == Stands::Live.to_string())
    }),
    (level("destination_state_age", "How long the destination has been in its state").in_unit(SECONDS), |d| {
        Some(d.seconds)
    }),
    (count("destination_attempts", "Connections tried"), |d| Some(d.attempts as f64)),
    (count("destination_sent", "Sent, over all sessions").in_unit(BYTES), |d| Some(d.bytes_sent as f64)),
    (count("destination_sent_messages", "Messages sent, over all sessions"), |d| Some(d.messages_sent as f64)),
    (level("destination_bytes_per_second", "Sent over the last second"), |d| bytes(Some(d.bitrate))),
    (
        level("destination_lag", "Media time that has come and has not arrived at the server's host").in_unit(SECONDS),
        |d| Some(d.lag_seconds),
    ),
    (
        level("destination_acknowledged_lag", "Media time that the server has not acknowledged, if it does")
            .in_unit(SECONDS),
        |d| d.acknowledged_lag_seconds,
    ),
    (level("destination_unsent", "Waits here for the server").in_unit(BYTES), |d| Some(d.unsent_bytes as f64)),
    (
        level("destination_kernel_unsent", "Waits in the system until the server's host has acknowledged it")
            .in_unit(BYTES),
        |d| d.kernel_unsent_bytes.map(|bytes| bytes as f64),
    ),
    (level("destination_round_trip", "How long an acknowledgement of TCP takes").in_unit(SECONDS), |d| {
        d.round_trip_seconds
    }),
    (count("destination_connected", "Time spent connected, over all sessions").in_unit(SECONDS), |d| {
        Some(d.connected_seconds)
    }),
];

const RECORDING: [Each<Recording>; 1] =
    [(count("recording_written", "Written, over all files").in_unit(BYTES), |r| Some(r.bytes as f64))];

/// Bytes a second, of bits.
fn bytes(bitrate: Option<u64>) -> Option<f64> {
    bitrate.map(|bits| bits as f64 / 8.0)
}

fn yes(is: bool) -> Option<f64> {
    Some(f64::from(u8::from(is)))
}

impl Metrics {
    fn now(desk: &Desk) -> Self {
        let now = desk.now();
        let mut metrics = Metrics::default();
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        metrics.add(level("build_info", "1; what runs"), [(version, 1.0)]);
        metrics.add(level("uptime", "Since the start").in_unit(SECONDS), [(vec![], now.since(desk.began))]);
        metrics.add(
            level("ready", "1 while streams are taken, 0 while it is stopping"),
            [(vec![], f64::from(u8::from(desk.is_ready())))],
        );
        metrics.visitors(desk);

        let mut streams = Stream::now(desk, &now);
        metrics.add(
            level("streams", "Streams that have a publisher, or had one a moment ago"),
            [(vec![], streams.len() as f64)],
        );
        let left_out = streams.len().saturating_sub(METRIC_STREAMS);
        metrics.add(
            level("streams_left_out", "Those of them that have no metrics, since there are too many"),
            [(vec![], left_out as f64)],
        );
        streams.truncate(METRIC_STREAMS);
        let is_shown =
            |stream: &Option<String>| stream.as_ref().is_none_or(|name| streams.iter().any(|s| s.name == *name));
        let labels = |key, name: &str, stream: &Option<String>| {
            vec![(key, name.to_owned()), ("stream", stream.clone().unwrap_or_default())]
        };

        let mut destinations = Vec::new();
        for destination in Destination::now(desk, &now) {
            let rows = destination.streams.into_iter().filter(|row| is_shown(&row.stream));
            destinations.extend(rows.map(|row| (labels("destination", &destination.name, &row.stream), row)));
        }
        let recordings = Recording::now(desk, &now).into_iter().filter(|row| is_shown(&row.stream));
        let recordings: Vec<_> = recordings.map(|row| (labels("recording", &row.name, &row.stream), row)).collect();
        let streams: Vec<_> = streams.into_iter().map(|row| (vec![("stream", row.name.clone())], row)).collect();

        metrics.each(STREAM, &streams);
        metrics.each(DESTINATION, &destinations);
        metrics.destinations(&destinations);
        metrics.each(RECORDING, &recordings);
        let state = recordings.iter().flat_map(|(labels, row)| one_of(labels, &row.state, Recorded::ALL));
        metrics.add(level("recording_state", "1 for the state the recording is in, 0 for the others"), state);
        metrics
    }

    fn add(&mut self, metric: Metric, series: impl IntoIterator<Item = Series>) {
        self.0.push((metric, series.into_iter().collect()));
    }

    fn each<T, const N: usize>(&mut self, all: [Each<T>; N], things: &[(Labels, T)]) {
        for (metric, value) in all {
            self.add(metric, things.iter().filter_map(|(labels, thing)| Some((labels.clone(), value(thing)?))));
        }
    }

    fn visitors(&mut self, desk: &Desk) {
        self.add(level("visitors", "Connections to us"), [(vec![], desk.visitors.count() as f64)]);
        let left = desk.visitors.endings();
        let left = Ending::ALL.map(|ending| {
            let count = left.get(&ending).copied().unwrap_or_default();
            (vec![("reason", ending.name().to_owned())], count as f64)
        });
        self.add(count("visitors_left", "Connections to us that have ended, by how"), left);
        let sessions = Session::now(desk, &desk.now());
        let of = |role: Role| sessions.iter().filter(|session| session.role == role).count() as f64;
        let sessions = [(Role::Publish, "publish"), (Role::Play, "play")]
            .map(|(role, name)| (vec![("role", name.to_owned())], of(role)));
        self.add(level("sessions", "Those who publish and play"), sessions);
    }

    /// What of a destination needs a label more.
    fn destinations(&mut self, rows: &[(Labels, DestinationStatus)]) {
        let state = rows.iter().flat_map(|(labels, row)| one_of(labels, &row.state, Stands::ALL));
        self.add(level("destination_state", "1 for the state the destination is in, 0 for the others"), state);
        let error =
            rows.iter().filter_map(|(labels, row)| Some((with(labels, "class", row.error.as_ref()?.class), 1.0)));
        self.add(
            level("destination_last_error", "1; the class of the last error, which stays after a recovery"),
            error,
        );
        let by = |what: fn(&DestinationStatus) -> &BTreeMap<&'static str, u64>| {
            let each = move |(labels, row): &(Labels, DestinationStatus)| {
                let of = |(reason, count): (&&str, &u64)| (with(labels, "reason", reason), *count as f64);
                what(row).iter().map(of).collect::<Vec<_>>()
            };
            rows.iter().flat_map(each).collect::<Vec<_>>()
        };
        self.add(count("destination_dropped_frames", "Frames left out, by why"), by(|row| &row.dropped_frames));
        let reconnects = by(|row| &row.reconnects_by_reason);
        self.add(count("destination_reconnects", "Sessions after the first, by what ended the one before"), reconnects);
        let matter =
            rows.iter().flat_map(|(labels, row)| row.advice.iter().map(|a| (with(labels, "matter", &a.matter), 1.0)));
        self.add(level("destination_advice", "1 for what the platform does not like about the stream"), matter);
    }
}

/// A series for each state there is, so that one that is left falls to 0.
fn one_of<T: fmt::Display, const N: usize>(labels: &Labels, state: &str, all: [T; N]) -> Vec<Series> {
    let series = |one: T| (with(labels, "state", &one.to_string()), f64::from(u8::from(one.to_string() == state)));
    all.into_iter().map(series).collect()
}

fn with(labels: &Labels, key: &'static str, value: &str) -> Labels {
    let mut labels = labels.clone();
    labels.push((key, value.to_owned()));
    labels
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (Metric { name, kind, unit, help }, all) in &self.0 {
            let kind_told = match kind {
                Kind::Count => MetricType::Counter,
                Kind::Level => MetricType::Gauge,
            };
            let mut family = encoder.encode_descriptor(name, help, *unit, kind_told)?;
            for (labels, value) in all {
                let series = family.encode_family(labels)?;
                match kind {
                    Kind::Count => ConstCounter::new(*value).encode(series)?,
                    Kind::Level => ConstGauge::new(*value).encode(series)?,
                }
            }
        }
        Ok(())
    }
}

/// Metrics: OpenMetrics 1.0 for who asks for it, as Prometheus does, else the text that was there before it.
#[utoipa::path(get, path = "/metrics", tag = "health", operation_id = "metrics", responses(
    (status = OK, content_type = "application/openmetrics-text", body = String)
))]
pub(super) async fn metrics(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    let mut registry = Registry::with_prefix("rtmp_relay");
    registry.register_collector(Box::new(Metrics::now(&desk)));
    let accepts = headers.get(ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or_default();
    let mut text = String::new();
    let kind = if accepts.contains("application/openmetrics-text") {
        encode(&mut text, &registry).expect("a string takes everything");
        OPEN_METRICS
    } else {
        prometheus_text::encode(&mut text, &registry).expect("a string takes everything");
        prometheus_text::CONTENT_TYPE
    };
    answer::text(kind, text)
}
