//! `platforms`: what is known of the platforms that have a name here.

use std::fmt::Write as _;

use anyhow::{Result, anyhow};

use super::{Platforms, print};
use crate::platforms::{self, Limits, Need, Platform};

pub(super) fn run(platforms: &Platforms) -> Result<()> {
    let Some(id) = &platforms.platform else { return print(&table()) };
    let known = || platforms::ids().collect::<Vec<_>>().join(", ");
    print(&details(platforms::named(id).ok_or_else(|| anyhow!("no platform has this name: there are {}", known()))?))
}

/// A line each.
fn table() -> String {
    let mut text = format!("{:11} {}\n", "PLATFORM", "SERVER");
    for platform in platforms::all() {
        let _ = writeln!(text, "{:11} {}", platform.id, server(platform));
    }
    text + "\nIn a destination of the configuration file: platform: NAME, and its stream_key.\n"
}

fn server(platform: &Platform) -> String {
    let shown = |example: &str| format!("one for each broadcast, as in {example}: give it as url");
    platform.url.clone().unwrap_or_else(|| platform.url_example.as_deref().map(shown).unwrap_or_default())
}

fn details(platform: &Platform) -> String {
    let mut text = format!("{} (platform: {})\n", platform.name, platform.id);
    let mut row = |what: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "  {what:20} {value}");
    };
    row("server", &server(platform));
    let others = [("without TLS", &platform.plain_url), ("second server", &platform.backup_url)];
    for (what, url) in others.into_iter().filter_map(|(what, url)| Some((what, url.as_ref()?))) {
        row(what, url);
    }
    if let Some(key) = &platform.key {
        row("stream key", &format_args!("as in {}", key.example));
    }
    for (what, value) in limits(&platform.limits) {
        row(what, &value);
    }
    row("when it says no", &platform.refusal);
    row("source", &format_args!("{} ({})", platform.source, platform.checked));
    text
}

/// Everything that is limited, in words.
fn limits(limits: &Limits) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let mut row = |what, value: Option<String>| rows.extend(value.map(|value| (what, value)));
    let listed = |codecs: &platforms::Codecs| (!codecs.0.is_empty()).then(|| codecs.to_string());
    row("video codec", listed(&limits.video_codecs));
    row("audio codec", listed(&limits.audio_codecs));
    let needs = limits.needs.iter().map(|need| match need {
        Need::Audio => "sound",
        Need::Video => "picture",
    });
    row("has to be there", Some(needs.collect::<Vec<_>>().join(", ")).filter(|needs| !needs.is_empty()));
    row("level of H.264", limits.level.map(|level| format!("up to {level}")));
    row("size", limits.size.map(|size| format!("up to {size}")));
    row("frame rate", limits.frame_rate.map(|rate| format!("up to {rate}")));
    row("video bitrate", limits.video_bitrate.map(|kbps| format!("up to {kbps} kbit/s")));
    for step in &limits.video_bitrates {
        row("video bitrate", Some(format!("up to {} kbit/s at {}", step.kbps, step.up_to)));
    }
    row("audio bitrate", limits.audio_bitrate.map(|kbps| format!("up to {kbps} kbit/s")));
    row("key frame every", limits.key_frame_interval.map(|interval| interval.to_string()));
    let named = |matters: &[platforms::Matter]| {
        (!matters.is_empty()).then(|| matters.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    row("refuses", named(&limits.refuses));
    row("not confirmed", named(&limits.unsure));
    rows
}
