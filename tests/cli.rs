//! The program itself: what it prints, how it ends.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rtmp_relay::flv::{Kind, file};

const PROGRAM: &str = env!("CARGO_BIN_EXE_rtmp-relay");
const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/flv/clip.flv");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A program in the background, killed at the end whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(arguments: &[&str]) -> Running {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(command.spawn().unwrap())
    }

    /// `serve` on a free port, and where that is.
    fn serve(arguments: &[&str]) -> (Running, String) {
        Running::serve_at("127.0.0.1:0", arguments)
    }

    fn serve_at(listen: &str, arguments: &[&str]) -> (Running, String) {
        let mut server = Running::start(&[&["serve", "--listen", listen], arguments].concat());
        let mut line = String::new();
        BufReader::new(server.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        (server, address)
    }

    /// Its exit code, once it ends by itself.
    fn wait(mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }

    /// Ctrl-C; what it printed as its log, its exit code and how long that took.
    fn interrupt(mut self) -> (String, Option<i32>, Duration) {
        let asked = Instant::now();
        Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap();
        let mut log = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (log, self.0.wait().unwrap().code(), asked.elapsed())
    }
}

/// Kinds and payloads of a file, without its metadata.
fn media(path: &Path) -> Vec<(Kind, Vec<u8>)> {
    let mut reader = file::Reader::new();
    reader.push(&std::fs::read(path).unwrap());
    let tags = std::iter::from_fn(|| reader.read_tag().unwrap());
    tags.filter(|t| t.kind != Kind::Data).map(|t| (t.kind, t.payload.to_vec())).collect()
}

#[test]
fn a_clip_published_is_the_clip_played_two_relays_on() {
    let folder = tempfile::tempdir().unwrap();
    let (second, to) = Running::serve(&[]);
    let (first, from) = Running::serve(&["--relay-to", &format!("rtmp://{to}/live")]);
    let output = folder.path().join("out.flv");
    let player = Running::start(&["play", &format!("rtmp://{to}/live/test"), "-o", output.to_str().unwrap()]);
    // The player waits for a stream that is not there yet.
    while !output.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let published = run(&["publish", CLIP, &format!("rtmp://{from}/live/test"), "--speed", "5"]);
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    let played = player.wait();
    assert_eq!(played, Some(0));
    assert_eq!(media(&output), media(Path::new(CLIP)));
    for server in [first, second] {
        let (log, code, took) = server.interrupt();
        assert_eq!(code, Some(0), "{log}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn interop_88_keys_appear_in_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = "rtmp://CANARY:CANARY@127.0.0.1:1/CANARY-app/CANARY-key?CANARY=CANARY";
    let directory = folder.path().to_str().unwrap();
    let mut arguments = vec!["--relay-to", nobody, "--record-all", "--record-dir", directory, "--log-level=trace"];
    arguments.extend(["--publish-key=CANARY-publish", "--play-key=CANARY-play"]);
    let (server, address) = Running::serve(&arguments);
    // First: it is in the relay's log once its goodbye is over, and the second one takes a second.
    let denied = run(&["publish", CLIP, &format!("rtmp://{address}/live/test?key=CANARY-wrong"), "--log-level=trace"]);
    let said = String::from_utf8(denied.stderr).unwrap();
    assert!(said.contains("NetStream.Publish.Denied") && !said.contains("CANARY"), "{said}");
    let url = format!("rtmp://{address}/live/test?key=CANARY-publish");
    assert!(run(&["publish", CLIP, &url, "--speed=10", "--log-level=trace"]).status.success());
    let (log, code, _) = server.interrupt();
    assert!(log.contains("publishing denied: the key is not valid"), "{log}");
    assert_eq!(code, Some(0));
    assert!(log.contains("Connection refused"), "the destination has been tried: {log}");
    assert!(!log.contains("CANARY"), "{log}");
    for wrong in ["rtmpt://h/CANARY/CANARY", "rtmp://h:CANARY/CANARY", "CANARY", "rtmp://CANARY@h/CANARY/CANARY"] {
        for arguments in
            [&["serve", "--relay-to", wrong][..], &["publish", CLIP, wrong], &["play", wrong, "-o", "-"], &[wrong]]
        {
            let output = run(arguments);
            let text = [output.stdout, output.stderr].map(|o| String::from_utf8(o).unwrap()).concat();
            assert!(!output.status.success() && !text.contains("CANARY"), "{arguments:?}: {text}");
        }
    }
}

#[test]
fn who_is_told_what_happens_is_named_by_its_host_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.yaml");
    let yaml = "webhooks:\n  - {url: \"http://127.0.0.1:1/CANARY?CANARY=CANARY\", secret: CANARY}\n\
                on_event:\n  - {command: \": CANARY; exit 3\"}\n";
    std::fs::write(&file, yaml).unwrap();
    let file = file.to_str().unwrap();
    let check = run(&["check", file]);
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(said.contains("* ─► 127.0.0.1   http://127.0.0.1, signed\n* ─► on_event   a command\n"), "{said}");
    let (server, _) = Running::serve(&["--config", file, "--log-level=trace"]);
    let (log, code, _) = server.interrupt();
    assert_eq!(code, Some(0), "{log}");
    for trouble in ["the webhook cannot be reached: Connection refused", "the command failed: exit status: 3"] {
        assert_eq!(log.matches(trouble).count(), 1, "{log}");
    }
    assert!(!(said + &log).contains("CANARY"), "{log}");
}

#[test]
fn a_log_may_be_an_object_a_line() {
    let (server, address) = Running::serve(&["--log-format=json", "--relay-to", "rtmp://127.0.0.1:1/live/CANARY"]);
    assert!(run(&["publish", CLIP, &format!("rtmp://{address}/live/test"), "--speed=10"]).status.success());
    let (log, ..) = server.interrupt();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let lost = lines.iter().find(|line| line["destination"] == "127.0.0.1").expect("the destination is lost");
    assert_eq!((&lost["level"], &lost["class"]), (&"WARN".into(), &"network".into()), "{lost}");
    assert!(lost["message"].as_str().unwrap().contains("Connection refused"), "{lost}");
    assert!(lines.iter().all(|line| line["timestamp"].as_str().unwrap().ends_with('Z')), "{log}");
    assert!(!log.contains("CANARY"), "{log}");
}

#[test]
fn a_public_address_without_a_rule_is_warned_of() {
    for (listen, arguments, warned) in [
        ("0.0.0.0:0", &[][..], true),
        ("0.0.0.0:0", &["--publish-key", "KEY"], false),
        ("0.0.0.0:0", &["--allow-publish", "10.0.0.0/8"], false),
        ("127.0.0.1:0", &[], false),
    ] {
        let (server, _) = Running::serve_at(listen, arguments);
        let (log, ..) = server.interrupt();
        assert_eq!(log.contains("ANYONE who can reach"), warned, "{arguments:?}: {log}");
    }
}

#[test]
fn a_wrong_argument_is_named_and_said_what_is_wrong_with() {
    let said = |arguments: &[&str]| {
        let output = run(arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = said(&["serve", "--relay-to", "rtmp://h"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        text,
        "rtmp-relay: destination 1 is not a URL to relay to: the application is missing: it should look like rtmp://host/app/key\n"
    );
    let (code, text) = said(&["serve", "--listen", "1935"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("--listen <ADDRESS>") && text.contains(":1935"), "{text}");
    let (code, text) = said(&["serve", "--listen", "127.0.0.1:39999", "--relay-to", "rtmp://localhost:39999/live"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("this relay itself"), "{text}");
    assert_eq!(said(&["publish", "/nowhere.flv", "rtmp://h/a/b"]).0, Some(1));
}

/// All that a program says on standard output while it starts, up to where its API is.
fn api_of(server: &mut Running) -> String {
    let lines = BufReader::new(server.0.stdout.as_mut().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.contains("HTTP API")).unwrap();
    line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

#[test]
fn an_api_whose_usual_port_is_taken_has_another_and_one_that_is_told_where_has_that_or_none() {
    let start = |more: &[&str]| Running::start(&[&["serve", "--listen", "127.0.0.1:0"], more].concat());
    let mut both = [start(&[]), start(&[])];
    let [one, two] = both.each_mut().map(api_of);
    assert_ne!(one, two);
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--api-listen", &one]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains(&format!("cannot listen for the API on {one}")) && text.contains("in use"), "{text}");
    let (off, _) = Running::serve(&["--api-listen", "off"]);
    assert!(!off.interrupt().0.contains("HTTP API"));
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--api-listen", ":0", "--api-token", "CANARY"]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "rtmp-relay: api_token has 16 bytes at least\n");
}

/// The file as the mission gives it.
const MISSION: &str = r#"
listen: ":1935"
destinations:
  - url: "rtmp://a.rtmp.youtube.com/live2/"
    stream_key: "CANARY-youtube"
    source_streams: ["live/test", "live/main"]
  - url: "rtmp://live.twitch.tv/app/"
    stream_key: "CANARY-twitch"
    source_streams: ["live/*"]
"#;

#[test]
fn the_missions_own_file_passes_check_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.yaml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, MISSION).unwrap();
    let checked = run(&["check", path, "--stream", "live/test", "--stream", "live/x", "--stream", "stage/x"]);
    let text = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success() && !text.contains("CANARY"), "{text}");
    insta::assert_snapshot!(text);

    // Nobody publishes, so nobody is connected to.
    let (server, _) = Running::serve(&["--config", path]);
    let (log, code, _) = server.interrupt();
    assert_eq!(code, Some(0), "{log}");

    let (youtube, to) = Running::serve(&[]);
    std::fs::write(&file, MISSION.replace("a.rtmp.youtube.com", &to).replace("live.twitch.tv", "127.0.0.1:1")).unwrap();
    let (server, address) = Running::serve(&["--config", path, "--log-level", "trace"]);
    let output = folder.path().join("out.flv");
    let played = format!("rtmp://{to}/live2/CANARY-youtube");
    let player = Running::start(&["play", &played, "-o", output.to_str().unwrap()]);
    while !output.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(run(&["publish", CLIP, &format!("rtmp://{address}/live/test"), "--speed", "5"]).status.success());
    assert_eq!(player.wait(), Some(0));
    assert_eq!(media(&output), media(Path::new(CLIP)));
    let (log, code, _) = server.interrupt();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("127.0.0.1") && !log.contains("CANARY"), "{log}");
    youtube.interrupt();
}

#[test]
fn a_misspelt_key_fails_check_with_its_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.yaml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, MISSION.replacen("stream_key", "strem_key", 1)).unwrap();
    for arguments in [&["check", path][..], &["serve", "--config", path]] {
        let output = run(arguments);
        let text = [output.stdout, output.stderr].map(|o| String::from_utf8(o).unwrap()).concat();
        assert_eq!(output.status.code(), Some(1), "{text}");
        let wanted = format!("rtmp-relay: {path}:5:5: unknown key \"strem_key\": did you mean \"stream_key\"?\n");
        assert_eq!(text, wanted);
    }
    let output = run(&["check", "/nowhere.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere.yaml: cannot be read"));
}

#[test]
fn check_says_what_is_recorded_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.yaml");
    std::fs::write(
        &file,
        "recordings: [{dir: /shows, source_streams: [\"live/*\"], segment_time: 10m, segment_size: 1G}]",
    )
    .unwrap();
    let checked = run(&["check", file.to_str().unwrap(), "--stream", "live/a", "--stream", "stage/a"]);
    let text = String::from_utf8(checked.stdout).unwrap();
    let rule = "live/* ─► shows   recordings in /shows, another file after 600s or after 1000000000 bytes\n";
    assert!(text.contains(rule), "{text}");
    assert!(text.contains("live/a goes to:\n  shows   a file in /shows\n"), "{text}");
    assert!(text.ends_with("stage/a goes to:\n  nowhere\n"), "{text}");
}

#[test]
fn config_example_passes_check_and_config_schema_is_json() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.yaml");
    let example = run(&["config", "example"]);
    std::fs::write(&file, &example.stdout).unwrap();
    let checked = run(&["check", file.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let schema: serde_json::Value = serde_json::from_slice(&run(&["config", "schema"]).stdout).unwrap();
    assert_eq!(schema["title"], "rtmp-relay");
}

#[test]
fn the_environment_goes_before_the_file_and_flags_before_both() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.yaml");
    std::fs::write(&file, "listen: \"127.0.0.1:1\"\n").unwrap();
    let first_line = |command: &mut Command| {
        let mut server = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(server.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line
    };
    let serve = || {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--config", file.to_str().unwrap()]).env("RTMP_RELAY_LISTEN", "127.0.0.2:0");
        command
    };
    assert!(first_line(&mut serve()).contains(" listens on 127.0.0.2:"));
    assert!(first_line(serve().args(["--listen", "127.0.0.3:0"])).contains(" listens on 127.0.0.3:"));
}

#[test]
fn platforms_are_listed_and_told_about() {
    let table = run(&["platforms"]);
    assert!(table.status.success());
    let mut told = String::from_utf8(table.stdout).unwrap();
    let ids: Vec<String> = told.lines().skip(1).map_while(|l| Some(l.split_once(' ')?.0.to_owned())).collect();
    assert_eq!(ids.len(), rtmp_relay::platforms::all().len());
    for id in &ids {
        told += &format!("\n{}", String::from_utf8(run(&["platforms", id]).stdout).unwrap());
    }
    insta::assert_snapshot!(told);
    let unknown = run(&["platforms", "myspace"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("no platform has this name: there are youtube, "));
}

/// `serve` with an API on a free port, and where that is.
fn serve_with_api(arguments: &[&str], token: &str) -> (Running, String, String) {
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"]).args(arguments);
    command.env("RTMP_RELAY_API_TOKEN", token);
    let mut server =
        Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    let relay = lines.next().unwrap().rsplit(' ').next().unwrap().to_owned();
    let api = lines.find(|line| line.starts_with("HTTP API on ")).unwrap();
    let api = api.split(' ').nth(3).unwrap().replace("/api/v1/status", "");
    (server, relay, api)
}

#[test]
fn a_running_relay_tells_where_it_stands_to_whoever_may_ask() {
    const TOKEN: &str = "CANARY-correct-horse-battery";
    let (_server, relay, api) = serve_with_api(&["--relay-to", "rtmp://127.0.0.1:1/live/CANARY"], TOKEN);
    let _publisher = Running::start(&["publish", CLIP, &format!("rtmp://{relay}/live/show"), "--loop"]);
    let status = |token: &str, more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["status", "--api", &api]).args(more).env("RTMP_RELAY_API_TOKEN", token).output().unwrap()
    };
    let until = Instant::now() + Duration::from_secs(30);
    let table = loop {
        let told = status(TOKEN, &[]);
        let text = String::from_utf8(told.stdout).unwrap();
        assert!(told.status.success(), "{text}{}", String::from_utf8_lossy(&told.stderr));
        if text.contains("backing_off") && text.contains("a key frame every 2.0 s") {
            break text;
        }
        assert!(Instant::now() < until, "{text}");
    };
    assert!(table.starts_with(&format!("rtmp-relay {} on {relay}, up ", env!("CARGO_PKG_VERSION"))), "{table}");
    assert!(table.contains("live/show") && table.contains("H.264 320x180 at 25") && table.contains("AAC 44.1 kHz"));
    assert!(table.contains("cannot connect"), "{table}");
    let json: serde_json::Value = serde_json::from_slice(&status(TOKEN, &["--json"]).stdout).unwrap();
    assert_eq!(json["streams"][0]["video"]["codec"], "H.264");
    assert_eq!(json["destinations"][0]["streams"][0]["error"]["class"], "network");
    assert!(!table.contains("CANARY") && !json.to_string().contains("CANARY"));

    let wrong = status("CANARY-wrong-horse-battery", &[]);
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!(
        (wrong.status.code(), &*said),
        (Some(1), "rtmp-relay: the API wants its token: set RTMP_RELAY_API_TOKEN\n")
    );
    let nobody = run(&["status", "--api", "http://127.0.0.1:1"]);
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert!(said.starts_with("rtmp-relay: nobody answers at 127.0.0.1:1: is a relay running"), "{said}");
    for bad in ["", "https://127.0.0.1", "http://"] {
        assert_eq!(run(&["status", "--api", bad]).status.code(), Some(1), "{bad:?}");
    }
    let top = run(&["top", "--api", &api]);
    assert!(String::from_utf8(top.stderr).unwrap().contains("top needs a terminal"));
}
