//! The configuration file: what it may say, and what is said about it where it is wrong.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::HashMap;
use std::time::Duration;

use rtmp_relay::Config;
use rtmp_relay::config::file::{self, EXAMPLE};
use rtmp_relay::config::{Problems, Settings};
use rtmp_relay::hook::{Hook, To};
use rtmp_relay::journal::Code;
use rtmp_relay::limits::HOOKS;
use rtmp_relay::recorder::Limits;
use rtmp_relay::stream::{Merge, Name};

fn variables(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn config(yaml: &str, environment: &[(&str, &str)]) -> Result<Config, Problems> {
    let settings = file::parse(yaml, variables(environment)).map_err(|problem| Problems(vec![problem]))?;
    settings.resolve().await
}

/// Where a stream goes: names of destinations, `tcUrl`s and names there.
fn targets(config: &Config, stream: &str) -> Vec<(String, String, String)> {
    let name = Name::new(stream).unwrap();
    let ways = config.destinations.iter().filter_map(|route| Some((route.name.clone(), route.of(&name)?.unwrap())));
    ways.map(|(name, (url, key))| (name, url.tc_url(), key.expose().to_owned())).collect()
}

/// The file as the mission gives it: no names, keys in the environment.
const MISSION: &str = r#"
listen: ":1935"
destinations:
  - url: "rtmp://a.rtmp.youtube.com/live2/"
    stream_key: ${YOUTUBE_KEY}
    source_streams: ["live/test", "live/main"]
  - url: "rtmp://live.twitch.tv/app/"
    stream_key: "twitch#key?a=b/c"
    source_streams: ["live/*"]
"#;

#[tokio::test]
async fn the_missions_own_file_sends_each_stream_where_it_says() {
    let config = config(MISSION, &[("YOUTUBE_KEY", "abc-123")]).await.unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:1935");
    let owned = |(name, url, key): (&str, &str, &str)| (name.to_owned(), url.to_owned(), key.to_owned());
    let youtube = owned(("a.rtmp.youtube.com", "rtmp://a.rtmp.youtube.com/live2", "abc-123"));
    let twitch = owned(("live.twitch.tv", "rtmp://live.twitch.tv/app", "twitch#key?a=b/c"));
    assert_eq!(targets(&config, "live/test"), [youtube, twitch.clone()]);
    assert_eq!(targets(&config, "live/other"), [twitch]);
    assert_eq!(targets(&config, "stage/test"), []);
}

#[tokio::test]
async fn each_destination_has_settings_of_its_own() {
    let yaml = r#"
chunk_size: 4096
merge: audio
destinations:
  - url: rtmp://a/x
    merge: none
    reconnect: {initial: 100ms, max: 2s}
    timeouts: {progress: 5s}
    max_lag: 3s
    max_bitrate: 8M
    chunk_size: 60000
  - url: rtmp://b/x
"#;
    let config = config(yaml, &[]).await.unwrap();
    let [a, b] = [0, 1].map(|n| config.destinations[n].settings);
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    assert_eq!(
        (a.reconnect.initial, a.reconnect.max, a.timeouts.connect, a.timeouts.progress),
        (ms(100), s(2), s(10), s(5))
    );
    assert_eq!((a.max_lag, a.max_bitrate, a.chunk_size), (s(3), Some(8_000_000), 60_000));
    assert_eq!(a.merge, Merge::None);
    let (chunk_size, merge) = (4096, Merge::Audio);
    assert_eq!(b, rtmp_relay::destination::Settings { chunk_size, merge, ..Default::default() });
}

#[tokio::test]
async fn a_platform_fills_in_its_servers_and_what_is_written_goes_before() {
    let yaml = r#"
destinations:
  - {name: youtube, platform: youtube, stream_key: abcd-efgh-ijkl-mnop}
  - {name: old, platform: youtube, stream_key: abcd-efgh-ijkl-mnop, url: "rtmp://a.rtmp.youtube.com/live2"}
  - {name: twitch, platform: twitch, stream_key: abcd-efgh-ijkl-mnop, backup_url: "rtmp://b/app", guard: advise}
  - {name: facebook, platform: facebook, url: "rtmps://live-api-s.facebook.com:443/rtmp/FB-1-0-x?s_bl=1"}
  - {name: mine, url: "rtmp://a/{app}/{stream}", backup_url: "rtmp://b/{app}/{stream}"}
"#;
    let config = config(yaml, &[]).await.unwrap();
    let name = Name::new("live/show").unwrap();
    let mut told = String::new();
    for route in &config.destinations {
        let place = |(url, key): (rtmp_relay::rtmp::url::Url, rtmp_relay::rtmp::Secret)| {
            format!("{} {}", url.tc_url(), key.expose())
        };
        let backup = route.backup_of(&name).map(place);
        let odd = route.odd().map(|odd| odd.to_string());
        let Some(Ok(primary)) = route.of(&name) else { panic!("{}", route.name) };
        let platform = route.settings.platform.map(|platform| &*platform.id);
        told += &format!(
            "{}: {}\n  backup {backup:?}\n  {platform:?} {:?}\n  {odd:?}\n",
            route.name,
            place(primary),
            route.settings.guard
        );
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn what_a_wildcard_has_found_goes_into_url_and_key() {
    let yaml = r#"
destinations:
  - name: cams
    url: "rtmp://h/{app}-{2}"
    stream_key: "cam-{1}"
    source_streams: ["studio/*-*"]
"#;
    let cams = [("cams".to_owned(), "rtmp://h/studio-hd".to_owned(), "cam-1".to_owned())];
    assert_eq!(targets(&config(yaml, &[]).await.unwrap(), "studio/1-hd"), cams);
}

#[tokio::test]
async fn the_example_holds_every_key_and_is_sound() {
    let sound = config(EXAMPLE, &[]).await.unwrap();
    assert_eq!(sound.destinations.iter().map(|r| &*r.name).collect::<Vec<_>>(), ["youtube", "twitch", "archive"]);
    assert_eq!(targets(&sound, "studio/cam-7")[0].2, "cam-7");
    let schema: serde_json::Value = serde_json::from_str(&file::schema()).unwrap();
    let keys =
        |schema: &serde_json::Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let shapes = ["Destination", "Access", "Recording", "Reconnect", "Timeouts", "Webhook", "OnEvent"]
        .map(|shape| keys(&schema["$defs"][shape]));
    for key in [keys(&schema), shapes.concat()].concat() {
        assert!(EXAMPLE.contains(&format!("{key}:")), "the example does not explain {key}");
    }
    // With every comment taken away it is the same file: defaults are told as they are.
    let told: String = EXAMPLE
        .lines()
        .map(|line| {
            line.replacen(
                "# ",
                "",
                usize::from(line.starts_with("# ") && line.contains(": ") && !line.contains("rtmp-relay")),
            )
        })
        // What names files is not told as a default, nor an address that is another one where it is taken.
        .filter(|line| {
            !["record_dir:", "tls_", "ca_file:", "api_listen:", "api_token:"].iter().any(|file| line.starts_with(file))
        })
        .map(|line| line + "\n")
        .collect();
    assert_eq!(config(&told, &[]).await.unwrap(), sound);
}

#[tokio::test]
async fn who_is_told_what_happens_is_called_after_its_host_or_its_number() {
    let yaml = r#"
webhooks:
  - {url: "https://h.example/CANARY", secret: CANARY, events: ["publish.*", destination.live], timeout: 3s}
  - {url: "http://h.example:8080/"}
on_event:
  - {command: "CANARY | mail"}
  - {command: "true", events: ["*.failed"], timeout: 1m}
"#;
    let hooks = config(yaml, &[]).await.unwrap().hooks;
    let told = |hook: &Hook, code| hook.events.iter().any(|events| events.is_for(code));
    let seen = hooks.iter().map(|hook| {
        let (signed, timeout) = match &hook.to {
            To::Webhook(webhook) => (webhook.key.is_some(), webhook.timeout),
            To::Command(command) => (false, command.timeout),
        };
        let codes = [Code::PublishLost, Code::DestinationLive, Code::RecordingFailed];
        (&*hook.name, signed, timeout.as_secs(), codes.map(|code| told(hook, code)))
    });
    let expected = [
        ("h.example", true, 3, [true, true, false]),
        ("h.example-2", false, 10, [true; 3]),
        ("on_event", false, 30, [true; 3]),
        ("on_event-2", false, 60, [false, false, true]),
    ];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    assert!(!format!("{hooks:?}").contains("CANARY"), "{hooks:?}");
    let many = |count: usize| format!("on_event:\n{}", "  - command: \"true\"\n".repeat(count));
    assert_eq!(config(&many(HOOKS), &[]).await.unwrap().hooks.len(), HOOKS);
    let error = config(&many(HOOKS + 1), &[]).await.unwrap_err().to_string();
    assert_eq!(error, "66:5: there are more than 64 webhooks and commands");
}

#[tokio::test]
async fn recordings_have_rules_and_record_all_is_one_of_them() {
    let yaml = r#"
record_all: true
record_dir: all
segment_time: 1h
recordings:
  - {dir: a/shows, source_streams: ["live/*"], segment_size: 500M}
  - {dir: b/shows}
  - {dir: c, name: cams}
"#;
    let config = config(yaml, &[]).await.unwrap();
    let name = Name::new("studio/cam").unwrap();
    let rules = config.recordings.iter().map(|rule| {
        let Limits { time, bytes } = rule.segments;
        (&*rule.name, rule.folder.to_str().unwrap(), rule.is_for(&name), time.map(|t| t.as_secs()), bytes)
    });
    let expected = [
        ("shows", "a/shows", false, None, Some(500_000_000)),
        ("shows-2", "b/shows", true, None, None),
        ("cams", "c", true, None, None),
        ("all", "all", true, Some(3600), None),
    ];
    assert_eq!(rules.collect::<Vec<_>>(), expected);
    let flags = Settings { segment_size: Some("1M".parse().unwrap()), ..Settings::default() };
    let file = file::parse(yaml, HashMap::new()).unwrap();
    let last = flags.over(file).resolve().await.unwrap().recordings.pop().unwrap();
    assert_eq!(last.segments, Limits { time: Some(Duration::from_secs(3600)), bytes: Some(1_000_000) });
}

#[test]
fn the_schema_is_what_editors_are_given() {
    insta::assert_snapshot!(file::schema());
}

#[tokio::test]
async fn what_is_wrong_is_told_with_line_and_column_and_never_with_the_value() {
    let mut told = String::new();
    for yaml in [
        "lisen: \":1935\"",
        "destinations:\n  - url: rtmp://h/a\n    strem_key: CANARY",
        "destinations:\n  - url: rtmp://h/a\n    colour: red",
        "destinations:\n  - name: x\n    stream_key: CANARY",
        "destinations:\n  - url: CANARY",
        "destinations:\n  - url: rtmpt://h/CANARY",
        "destinations:\n  - url: rtmp://h/a\n    stream_key: \"CANARY with blanks\"",
        "destinations:\n  - url: rtmp://h/a\n    stream_key: ${UNSET_KEY}",
        "destinations:\n  - url: rtmp://h/a\n    stream_key: [CANARY]",
        "destinations:\n  - url: rtmp://h/a\n    stream_key: CANARY\n    stream_key_file: /x",
        "destinations:\n  - url: rtmp://h/a\n    stream_key_file: /nowhere/key",
        "destinations:\n  - url: rtmp://h/a\n    stream_key_command: \"exit 7; CANARY\"",
        "destinations:\n  - url: rtmp://h/a\n    source_streams: [test]",
        "destinations:\n  - url: rtmp://h/{2}/x\n    source_streams: [\"live/*\"]",
        "destinations:\n  - url: rtmp://h/a\n    enabled: perhaps",
        "destinations:\n  - url: rtmp://h/a\n    chunk_size: 100",
        "destinations:\n  - url: rtmp://h/a\n    reconnect: {initial: 1ms}",
        "destinations:\n  - url: rtmp://h/a\n    reconnect: {initial: 10s}",
        "destinations:\n  - url: rtmp://h/a\n    reconnect: 5s",
        "destinations:\n  - url: rtmp://h/a\n    timeouts: {connect: 10s, progres: 10s}",
        "destinations:\n  - url: rtmp://h/a\n    timeouts: {connect: 1h}",
        "destinations:\n  - url: rtmp://h/a\n    max_lag: 1h",
        "destinations:\n  - url: rtmp://h/a\n    max_bitrate: fast",
        "destinations:\n  - {url: rtmp://h/a, name: one}\n  - {url: rtmp://i/a, name: one}",
        "destinations:\n  - url: rtmp://h/a/CANARY\n  - url: rtmp://h/a/CANARY",
        "destinations:\n  - url: rtmp://h/a\n    name: \"two words\"",
        "destinations:\n  - platform: CANARY\n    stream_key: x",
        "destinations:\n  - platform: youtube",
        "destinations:\n  - platform: instagram\n    stream_key: CANARY",
        "destinations:\n  - platform: youtube\n    stream_key: rtmp://a.rtmp.youtube.com/live2/CANARY",
        "destinations:\n  - platform: youtube\n    stream_key: \"CANARY CANARY\"",
        "destinations:\n  - platform: youtube\n    stream_key: x\n    backup_url: CANARY",
        "destinations:\n  - url: rtmp://h/a/CANARY\n    backup_url: rtmp://h/a",
        "destinations:\n  - platform: twitch\n    stream_key: x\n    guard: CANARY",
        "recordings:\n  - source_streams: [\"live/*\"]",
        "recordings:\n  - {dir: x, segment_tim: 10m}",
        "recordings:\n  - dir: x\n    segment_time: 10",
        "recordings:\n  - dir: x\n    segment_time: 10ms",
        "recordings:\n  - dir: x\n    segment_size: huge",
        "recordings:\n  - dir: x\n    segment_size: 1k",
        "recordings:\n  - dir: x\n    source_streams: [test]",
        "recordings:\n  - {dir: x, name: one}\n  - {dir: y, name: one}\n  - {dir: z, name: ../z}",
        "destinations:\n  - url: rtmps://h/a\n    tls_pin: CANARY",
        "destinations:\n  - url: rtmps://h/a\n    ca_file: /nowhere/ca",
        "destinations:\n  - url: rtmps://h/a\n    ca_file: Cargo.toml",
        "destinations:\n  - url: rtmps://h/a\n    ca_file: ca\n    tls_pin: ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
        "destinations:\n  - url: rtmp://h/a\n    tls_pin: ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
        "ca_file: /dev/zero",
        "tls_listen: \":443\"",
        "tls_cert: cert\ntls_key: key",
        "tls_listen: \":443\"\ntls_cert: Cargo.toml\ntls_key: /nowhere/key",
        "tls_listen: \":443\"\ntls_cert: Cargo.toml\ntls_key: Cargo.toml",
        "webhooks:\n  - url: CANARY",
        "webhooks:\n  - url: ftp://h/CANARY",
        "webhooks:\n  - url: https://CANARY:CANARY@h/",
        "webhooks:\n  - url: https://h/CANARY\n    secret: whsec_CANARY!",
        "webhooks:\n  - url: https://h/CANARY\n    events: [publish.start]",
        "webhooks:\n  - url: https://h/CANARY\n    events: [\"CANARY*\"]",
        "webhooks:\n  - url: https://h/CANARY\n    timeout: 10ms",
        "webhooks:\n  - secret: CANARY",
        "on_event: CANARY",
        "on_event:\n  - command: CANARY\n    timeout: 1h",
        "on_event:\n  - command: CANARY\n    event: [\"*\"]",
        "tls_verify: false",
        "destinations: CANARY",
        "destinations:\n  - CANARY",
        "grace: soon",
        "grace: 15",
        "grace: ${CANARY_VARIABLE}",
        "access: {publish_key: CANARY, play_key: CANARY}",
        "access: {publish_key: CANARY, key_file: /x}",
        "access: {publish_key: \"sha256:CANARY\"}",
        "access: {auth_url: CANARY}",
        "access:\n  key_file: /nowhere/keys",
        "access:\n  allow_publish: [\"10.0.0.0/99\"]",
        "access:\n  takeover: CANARY",
        "access:\n  publishkey: CANARY",
        "stream_access:\n  - streams: [\"live/*\"]\n    access: {auth_url: \"http://CANARY:x@h/\"}",
        "stream_access:\n  - access: {}",
        "max_connections: many",
        "max_connections: -1",
        "listen: \"1935\"",
        "listen: \":1935\"\nlisten: \":1936\"",
        "listen: \":1935\n",
        "\tlisten: x",
        "listen: \":1935\"\ndestinations:\n  - url: rtmp://localhost/live",
    ] {
        let error = config(yaml, &[("CANARY_VARIABLE", "CANARY")]).await.expect_err(yaml).to_string();
        assert!(!error.contains("CANARY\"") && !error.replace("CANARY_VARIABLE", "").contains("CANARY"), "{error}");
        told += &format!("{yaml}\n=> {error}\n\n");
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn a_key_is_text_whatever_it_looks_like() {
    for key in ["0123", "1e5", "true", "0x1f", "1_000", "12:30", "-", "no", "2026-11-24", "\"a # b\"", "a#b", "'$x{y}'"]
    {
        let yaml = format!("destinations: [{{url: rtmp://h/a, stream_key: {key}}}]");
        let yaml = if key == "-" { yaml.replace(": -", ": \"-\"") } else { yaml };
        match config(&yaml, &[]).await {
            Ok(config) => assert_eq!(targets(&config, "live/x")[0].2, key.trim_matches(['"', '\'']), "{yaml}"),
            Err(error) => assert!(key.contains(' '), "{key}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_key_that_is_empty_is_an_error_and_not_the_streams_name() {
    for key in ["", "~", "null", "\"\"", "${EMPTY}", "${UNSET:-}"] {
        let yaml = format!("destinations:\n  - url: rtmp://h/a\n    stream_key: {key}\n");
        let error = config(&yaml, &[("EMPTY", "")]).await.expect_err(&yaml).to_string();
        assert!(error.starts_with("3:"), "{yaml}: {error}");
    }
}

#[tokio::test]
async fn flags_go_before_the_file_and_destinations_add_up() {
    let file = file::parse("grace: 1s\nlisten: \":1\"\ndestinations: [{url: rtmp://a/b}]", HashMap::new()).unwrap();
    let flags = Settings {
        grace: Some("2s".parse().unwrap()),
        relay_to: vec!["rtmp://c/d".parse().unwrap()],
        ..Settings::default()
    };
    let config = flags.over(file).resolve().await.unwrap();
    assert_eq!((config.grace.as_secs(), config.listen.port()), (2, 1));
    assert_eq!(config.destinations.iter().map(|r| &*r.name).collect::<Vec<_>>(), ["a", "c"]);
}

#[tokio::test]
async fn an_empty_file_is_a_relay_without_destinations() {
    for yaml in ["", "# nothing\n", "destinations: []\n"] {
        assert_eq!(config(yaml, &[]).await.unwrap(), Config::default(), "{yaml:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_too_large_or_not_there_is_an_error_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.yaml");
    let load = async || Config::load(Settings::default(), Some(&path)).await.map(|loaded| loaded.config);
    assert!(load().await.unwrap_err().to_string().contains("relay.yaml: cannot be read: No such file"));
    std::fs::write(&path, "#".repeat(1 << 21)).unwrap();
    assert!(load().await.unwrap_err().to_string().ends_with("relay.yaml: is larger than 1048576 bytes"));
    std::fs::write(&path, "destinations:\n  - url: rtmp://h/a\n    strem_key: x").unwrap();
    let error = load().await.unwrap_err().to_string();
    assert!(error.ends_with("relay.yaml:3:5: unknown key \"strem_key\": did you mean \"stream_key\"?"), "{error}");
    // A key file stands beside the file that names it.
    std::fs::write(&path, "destinations:\n  - url: rtmp://h/a\n    stream_key_file: key").unwrap();
    std::fs::write(folder.path().join("key"), "abc\n").unwrap();
    assert_eq!(targets(&load().await.unwrap(), "live/x")[0].2, "abc");
}
