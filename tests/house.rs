//! The house rules that no compiler keeps: who may import whom, and where the doors are.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may use. `limits` is open to all.
const MAY_USE: [(&str, &[&str]); 28] = [
    ("rtmp", &["flv"]),
    ("flv", &["rtmp"]),
    ("stream", &["flv"]),
    ("net", &["rtmp"]),
    ("backoff", &[]),
    ("limits", &[]),
    ("causes", &[]),
    ("origin", &[]),
    ("mutants", &[]),
    ("journal", &["stream"]),
    ("hook", &["journal", "rtmp", "net", "backoff", "causes"]),
    ("platforms", &["flv"]),
    ("guard", &["stream", "flv", "platforms"]),
    ("feed", &["stream", "rtmp", "flv", "net"]),
    ("film", &["stream", "flv"]),
    ("gate", &["stream", "rtmp", "net", "causes"]),
    ("inbound", &["stream", "rtmp", "net", "feed", "causes", "gate", "journal"]),
    ("ingest", &["stream", "rtmp", "flv", "net", "inbound", "causes", "journal"]),
    ("player", &["stream", "rtmp", "net", "inbound", "feed", "causes", "journal"]),
    ("viewer", &["stream", "rtmp", "net", "inbound", "gate", "film", "causes", "journal"]),
    ("destination", &["stream", "rtmp", "net", "feed", "backoff", "causes", "journal", "guard", "platforms"]),
    ("recorder", &["stream", "rtmp", "flv", "net", "film", "origin", "journal"]),
    (
        "config",
        &[
            "stream",
            "rtmp",
            "net",
            "destination",
            "recorder",
            "inbound",
            "gate",
            "causes",
            "guard",
            "platforms",
            "origin",
            "hook",
        ],
    ),
    ("preflight", &["stream", "rtmp", "net", "config", "destination"]),
    (
        "relay",
        &[
            "stream",
            "rtmp",
            "net",
            "config",
            "inbound",
            "gate",
            "ingest",
            "player",
            "destination",
            "recorder",
            "journal",
            "hook",
        ],
    ),
    (
        "api",
        &[
            "stream",
            "rtmp",
            "net",
            "config",
            "inbound",
            "destination",
            "recorder",
            "relay",
            "platforms",
            "guard",
            "origin",
            "viewer",
            "journal",
            "hook",
        ],
    ),
    (
        "cli",
        &[
            "api",
            "stream",
            "rtmp",
            "flv",
            "net",
            "config",
            "relay",
            "destination",
            "recorder",
            "ingest",
            "inbound",
            "gate",
            "origin",
            "preflight",
            "platforms",
            "hook",
        ],
    ),
    ("lib", &[]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Every source file of the product: its path below `src`, its room, and its text up to the tests.
fn house() -> Vec<(String, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&src).into_iter().map(|path| {
        let below = path.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
        let room = below.split(['/', '.']).next().unwrap().to_owned();
        let text = fs::read_to_string(path).unwrap();
        (below, room, text.split("#[cfg(test)]").next().unwrap().to_owned())
    });
    files.filter(|(below, ..)| below != "main.rs").collect()
}

/// Rooms named after `crate::` in a text, `use crate::{a, b}` included.
fn used(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for rest in text.split("crate::").skip(1) {
        let list = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap());
        let names = if rest.starts_with('{') { list.split(',').collect() } else { vec![list] };
        rooms.extend(
            names
                .iter()
                .map(|n| n.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>()),
        );
    }
    rooms.retain(|r| !r.is_empty());
    rooms
}

#[test]
fn rooms_use_only_the_rooms_they_may() {
    let may: BTreeMap<&str, &[&str]> = MAY_USE.into();
    for (file, room, text) in house() {
        let allowed = may.get(room.as_str()).unwrap_or_else(|| panic!("src/{file}: a room without a rule"));
        for other in used(&text) {
            let fine = other == room || other == "limits" || allowed.contains(&other.as_str());
            assert!(fine, "src/{file} uses crate::{other}, which {room} may not");
        }
    }
}

#[test]
fn the_protocol_knows_no_runtime_and_only_the_doors_know_sockets() {
    for (file, room, text) in house() {
        // Programs in the documentation have their own clocks and runtimes.
        let text: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        if ["rtmp", "flv"].contains(&room.as_str()) {
            assert!(!text.contains("tokio"), "src/{file} names tokio");
        }
        if file != "net/tcp.rs" {
            assert!(!text.contains("tokio::net"), "src/{file} names tokio::net");
        }
        let doors = ["net/tcp.rs", "cli"];
        if !doors.iter().any(|door| file.starts_with(door)) {
            for clock in ["std::time::Instant", "SystemTime::now", "fastrand::u64", "Rng::new()", "tokio::spawn"] {
                assert!(!text.contains(clock), "src/{file} names {clock}: a simulation could not be repeated");
            }
        }
    }
}

#[test]
fn every_file_opens_with_a_sentence_about_its_noun() {
    for (file, _, text) in house() {
        assert!(text.starts_with("//! "), "src/{file} does not say what it is");
    }
}
