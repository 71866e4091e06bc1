//! `check`: a configuration file, and which stream goes where.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::{Check, print};
use crate::config::{Config, Settings};
use crate::hook::To;
use crate::stream::{Name, Pattern};

pub(super) async fn run(check: Check) -> Result<()> {
    let config = Config::load(Settings::default(), Some(&check.file)).await?.config;
    let mut text = plan(&config);
    for stream in &check.stream {
        let name = Name::new(stream).context("a stream is called app/name, as in live/test")?;
        writeln!(text, "\n{name} goes to:")?;
        text.push_str(&targets(&config, &name));
    }
    print(&text)
}

/// Everything that is configured, keys hidden.
fn plan(config: &Config) -> String {
    let mut text = format!("listens on {}\n", config.listen);
    if let Some(tls) = &config.tls {
        let _ = writeln!(text, "listens for RTMPS on {}", tls.listen);
    }
    for rule in &config.gate.0 {
        let _ = writeln!(text, "{} may be published by {} and played by {}", rule.streams, rule.publish, rule.play);
    }
    if config.gate.let_anybody_publish() && !config.listen.ip().is_loopback() {
        text.push_str("anyone who can reach this address may publish: see access: in `rtmp-relay config example`\n");
    }
    if config.destinations.is_empty() {
        text.push_str("no destinations: streams are served to players here only\n");
    }
    for route in &config.destinations {
        let off = if route.enabled { "" } else { "   (disabled)" };
        let _ = writeln!(text, "{} ─► {}   {:?}{off}", listed(&route.streams), route.name, route.url);
        if let Some(backup) = &route.backup {
            let _ = writeln!(text, "    or, while that fails, {backup:?}");
        }
        if let Some(odd) = route.odd() {
            let _ = writeln!(text, "    {odd}");
        }
    }
    for rule in &config.recordings {
        let time = rule.segments.time.map(|time| format!("after {time:?}"));
        let size = rule.segments.bytes.map(|bytes| format!("after {bytes} bytes"));
        let often: Vec<String> = time.into_iter().chain(size).collect();
        let often = if often.is_empty() { String::new() } else { format!(", another file {}", often.join(" or ")) };
        let _ = writeln!(
            text,
            "{} ─► {}   recordings in {}{often}",
            listed(&rule.streams),
            rule.name,
            rule.folder.display()
        );
    }
    for hook in &config.hooks {
        let events: Vec<String> = hook.events.iter().map(ToString::to_string).collect();
        let _ = match &hook.to {
            To::Webhook(webhook) => {
                let signed = if webhook.key.is_some() { ", signed" } else { "" };
                writeln!(text, "{} ─► {}   {:?}{signed}", events.join(", "), hook.name, webhook.server)
            }
            To::Command(_) => writeln!(text, "{} ─► {}   a command", events.join(", "), hook.name),
        };
    }
    text
}

fn listed(streams: &[Pattern]) -> String {
    streams.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Where one stream goes.
fn targets(config: &Config, name: &Name) -> String {
    let mut text = String::new();
    let mut taken = Vec::new();
    for route in config.destinations.iter().filter(|route| route.enabled) {
        let Some(resolved) = route.of(name) else { continue };
        let _ = match resolved {
            Ok(place) if taken.contains(&place) => writeln!(text, "  {}   blocked: the same place again", route.name),
            Ok(place) => {
                let written = writeln!(text, "  {}   {} key {}", route.name, place.0, place.1);
                taken.push(place);
                written
            }
            Err(error) => writeln!(text, "  {}   blocked: {error}", route.name),
        };
    }
    for rule in config.recordings.iter().filter(|rule| rule.is_for(name)) {
        let _ = writeln!(text, "  {}   a file in {}", rule.name, rule.folder.display());
    }
    if text.is_empty() { "  nowhere\n".to_owned() } else { text }
}
