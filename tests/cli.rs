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
        let mut server = Running::start(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
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
    let (server, address) =
        Running::serve(&["--relay-to", nobody, "--record-all", "--record-dir", directory, "--log-level=trace"]);
    let url = format!("rtmp://{address}/live/test?CANARY");
    assert!(run(&["publish", CLIP, &url, "--speed=10", "--log-level=trace"]).status.success());
    let (log, code, _) = server.interrupt();
    assert_eq!(code, Some(0));
    assert!(log.contains("Connection refused"), "the destination has been tried: {log}");
    assert!(!log.contains("CANARY"), "{log}");
    for wrong in ["rtmps://h/CANARY/CANARY", "rtmp://h:CANARY/CANARY", "CANARY", "rtmp://CANARY@h/CANARY/CANARY"] {
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
