//! Recordings of the built program: killed again and again, cut into segments, on a disk that is full.

#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

mod peers;
mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use peers::{Encoder, until};
use rtmp_relay::flv::file::{DURATION_AT, Reader, Tag};
use rtmp_relay::flv::{self, Kind, Role};
use support::recording::fixture;
use tokio::time::sleep;

/// The built program, and what it says.
struct Program {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Program {
    fn serve(arguments: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rtmp-relay"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
        Program::start(command)
    }

    fn start(mut command: Command) -> Program {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("it says {line:?}"));
        let log = Arc::new(Mutex::new(String::new()));
        let (errors, said) = (BufReader::new(child.stderr.take().unwrap()), log.clone());
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                said.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Program { child, address, log }
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// As a loss of power would, but for what the system has not written.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As Ctrl-C would.
    fn end(mut self) {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

fn repair(files: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rtmp-relay")).arg("repair").args(files).output().unwrap()
}

fn tags(bytes: &[u8]) -> Vec<Tag> {
    let mut reader = Reader::new();
    reader.push(bytes);
    let tags: Vec<_> = std::iter::from_fn(|| reader.read_tag().unwrap()).collect();
    reader.finish().expect("the file ends between tags");
    tags
}

/// A clip of ten seconds, a key frame every two.
static CLIP: LazyLock<Vec<Tag>> = LazyLock::new(|| tags(&std::fs::read(fixture("flv/clip.flv")).unwrap()));

fn is_frame(tag: &Tag) -> bool {
    tag.kind != Kind::Data && flv::classify(tag.kind, &tag.payload).role == Role::Frame
}

/// Those a recording has: from the first key frame on.
fn frames(tags: &[Tag]) -> Vec<(Kind, &[u8])> {
    let key = |tag: &&Tag| tag.kind == Kind::Video && flv::classify(tag.kind, &tag.payload).key;
    let from = tags.iter().filter(|tag| is_frame(tag)).skip_while(|tag| !key(tag));
    from.map(|tag| (tag.kind, &tag.payload[..])).collect()
}

/// Publishes the clip `speed` times as fast as it is, until it ends or the server does, and says when each frame went out.
async fn publish(server: SocketAddr, stream: &str, speed: u32) -> Arc<Mutex<Vec<Instant>>> {
    let mut encoder = Encoder::publish(server, stream).await.unwrap();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let times = sent.clone();
    tokio::spawn(async move {
        let (began, mut has_begun) = (tokio::time::Instant::now(), false);
        for tag in CLIP.iter() {
            tokio::time::sleep_until(began + Duration::from_millis(tag.timestamp.into()) / speed).await;
            has_begun |= is_frame(tag) && flv::classify(tag.kind, &tag.payload).key && tag.kind == Kind::Video;
            if is_frame(tag) && has_begun {
                times.lock().unwrap().push(Instant::now());
            }
            encoder.send(tag.kind, tag.timestamp, &tag.payload).await;
        }
        encoder.end().await;
    });
    sent
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

/// What ffprobe counts in a file: packets of sound and of picture, and its duration. `None` without ffprobe.
fn probe(path: &Path) -> Option<(usize, usize, f64)> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", "packet=codec_type:format=duration", "-of", "csv"]).arg(path);
    let Ok(output) = command.output() else {
        eprintln!("SKIPPED: there is no ffprobe here");
        return None;
    };
    let (text, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && errors.is_empty(), "{}: {errors}", path.display());
    let count = |line: &str| text.lines().filter(|found| found.trim_end_matches(',') == line).count();
    let duration = text.lines().find_map(|line| line.strip_prefix("format,")).unwrap();
    Some((count("packet,audio"), count("packet,video"), duration.parse().unwrap()))
}

/// The file is whole and can be played: headers, then a key frame, and the right duration. Its frames.
fn playable(path: &Path) -> Vec<(Kind, Vec<u8>)> {
    let bytes = std::fs::read(path).unwrap();
    let tags = tags(&bytes);
    assert_eq!(tags[0].kind, Kind::Data, "metadata first");
    let first = tags.iter().position(is_frame).expect("a frame");
    let headers: Vec<_> = tags[1..first].iter().map(|tag| flv::classify(tag.kind, &tag.payload).role).collect();
    assert_eq!(headers, [Role::Header, Role::Header], "{}", path.display());
    assert!(flv::classify(tags[first].kind, &tags[first].payload).key && tags[first].timestamp == 0);
    let last = f64::from(tags.iter().map(|tag| tag.timestamp).max().unwrap()) / 1e3;
    let duration = f64::from_be_bytes(*bytes[DURATION_AT as usize..].first_chunk().unwrap());
    assert!((last..last + 0.1).contains(&duration), "{duration} s, the last frame at {last} s");
    let frames: Vec<_> = tags.iter().filter(|tag| is_frame(tag)).map(|tag| (tag.kind, tag.payload.to_vec())).collect();
    if let Some((audio, video, seen)) = probe(path) {
        let of = |kind| frames.iter().filter(|frame| frame.0 == kind).count();
        assert_eq!((audio, video), (of(Kind::Audio), of(Kind::Video)), "{}", path.display());
        assert!((seen - duration).abs() < 0.1, "{seen} s and {duration} s");
    }
    frames
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_is_killed_loses_a_second_at_most_and_is_played() {
    let rounds: u64 = std::env::var("KILLS").map_or(6, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--record-all", "--record-dir", folder.path().to_str().unwrap()];
    let expected = frames(&CLIP);
    let (mut random, mut worst) = (fastrand::Rng::with_seed(8), Duration::ZERO);
    for round in 0..rounds {
        // Its start repairs what the one before has left.
        let program = Program::serve(&arguments);
        let sent = publish(program.address, "live/show", 4).await;
        until("it is being recorded", || files(folder.path(), "part").len() == 1).await;
        sleep(Duration::from_millis(random.u64(150..1600))).await;
        program.kill();
        let killed = Instant::now();
        assert_eq!(files(folder.path(), "flv").len() as u64, round);
        let [part] = &files(folder.path(), "part")[..] else { panic!("{:?}", files(folder.path(), "part")) };
        if round + 1 == rounds || round % 2 == 0 {
            let output = repair(&[part]);
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success() && said.contains("repaired"), "{said}");
        } else {
            let program = Program::serve(&arguments);
            until("it is repaired", || program.log().contains("recording repaired after a crash")).await;
            program.end();
        }
        let file = files(folder.path(), "flv").pop().unwrap();
        let recorded = playable(&file);
        assert!(
            recorded.iter().map(|(kind, payload)| (*kind, &payload[..])).eq(expected[..recorded.len()].iter().copied())
        );
        // From when the first frame that is missing was sent.
        let lost = sent.lock().unwrap().get(recorded.len()).map_or(Duration::ZERO, |at| killed.duration_since(*at));
        worst = worst.max(lost);
        assert!(lost < Duration::from_secs(1), "round {round}: {lost:?}");
        assert!(!String::from_utf8(repair(&[&file]).stdout).unwrap().contains("repaired;"), "once is enough");
    }
    assert_eq!((files(folder.path(), "flv").len() as u64, files(folder.path(), "part").len()), (rounds, 0));
    println!("{rounds} kills, {rounds} files, at most {} ms lost", worst.as_millis());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_of_a_living_relay_is_left_alone_by_repair_and_by_another_relay() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--record-all", "--record-dir", folder.path().to_str().unwrap()];
    let program = Program::serve(&arguments);
    let sent = publish(program.address, "live/show", 8).await;
    until("it is being recorded", || files(folder.path(), "part").len() == 1).await;
    let output = repair(&[&files(folder.path(), "part")[0]]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(": it is being recorded\n"), "{said}");
    let other = Program::serve(&arguments);
    until("all is sent", || sent.lock().unwrap().len() == frames(&CLIP).len()).await;
    until("it has ended", || files(folder.path(), "flv").len() == 1).await;
    assert!(!other.log().contains("repaired"));
    other.end();
    program.end();
    assert_eq!(playable(&files(folder.path(), "flv")[0]).len(), sent.lock().unwrap().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_one_after_the_other_hold_every_packet_once_and_each_begins_with_headers_and_a_key_frame() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.yaml");
    let yaml = "recordings:\n  - {dir: long, segment_time: 3s}\n  - {dir: large, segment_size: 100k, source_streams: [\"live/*\"]}\n  - {dir: none, source_streams: [\"stage/*\"]}\n";
    std::fs::write(&file, yaml).unwrap();
    let program = Program::serve(&["--config", file.to_str().unwrap()]);
    let sent = publish(program.address, "live/show", 4).await;
    let expected = frames(&CLIP);
    until("all is sent", || sent.lock().unwrap().len() == expected.len()).await;
    until("the recordings have ended", || {
        ["long", "large"].iter().all(|dir| {
            !files(&folder.path().join(dir), "flv").is_empty() && files(&folder.path().join(dir), "part").is_empty()
        })
    })
    .await;
    program.end();
    // Key frames stand at 0, 2, 4, 6 and 8 s.
    for (dir, wanted) in [("long", 3), ("large", 2)] {
        let segments = files(&folder.path().join(dir), "flv");
        assert_eq!(segments.len(), wanted, "{segments:?}");
        let all: Vec<_> = segments.iter().flat_map(|segment| playable(segment)).collect();
        assert!(all.iter().map(|(kind, payload)| (*kind, &payload[..])).eq(expected.iter().copied()), "{dir}");
    }
    assert!(!folder.path().join("none").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_begins_and_ends_recordings_and_does_not_disturb_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.yaml");
    let write = |yaml: &str| std::fs::write(&file, format!("recordings:\n{yaml}")).unwrap();
    write("  - {dir: kept}\n  - {dir: removed}\n");
    let program = Program::serve(&["--config", file.to_str().unwrap()]);
    // A changed file is taken up after about a second, which is in the middle of the second GOP.
    let sent = publish(program.address, "live/show", 3).await;
    let of = |dir: &str, extension: &str| files(&folder.path().join(dir), extension);
    until("both are written", || of("kept", "part").len() + of("removed", "part").len() == 2).await;
    write("  - {dir: kept}\n  - {dir: added}\n");
    let changed = "added recording added; removed recording removed";
    until(changed, || program.log().contains(changed)).await;
    until("one has ended", || of("removed", "flv").len() == 1).await;
    until("all is sent", || sent.lock().unwrap().len() == frames(&CLIP).len()).await;
    until("all have ended", || of("kept", "flv").len() + of("added", "flv").len() == 2).await;
    program.end();
    let expected = frames(&CLIP);
    let [kept, removed, added] = ["kept", "removed", "added"].map(|dir| playable(&of(dir, "flv")[0]));
    let is = |recorded: &[(Kind, Vec<u8>)], expected: &[(Kind, &[u8])]| {
        recorded.iter().map(|(kind, payload)| (*kind, &payload[..])).eq(expected.iter().copied())
    };
    assert!(is(&kept, &expected), "one file with everything");
    assert!(is(&removed, &expected[..removed.len()]) && removed.len() < expected.len());
    assert!(is(&added, &expected[expected.len() - added.len()..]), "everything from its beginning on");
    // The removed one ends when its task hears of it, which may be a few frames into the GOP that the new one begins with; one
    // that began in the GOP there was would have most of it twice.
    let twice = (removed.len() + added.len()).saturating_sub(expected.len());
    assert!(twice < expected.len() / 5 / 4, "{twice} frames are in both");
}

/// A program in a mount namespace of its own, with a small disk at `folder`, which goes with it.
fn on_a_small_disk(folder: &Path, options: &str) -> Option<Program> {
    let unshared = |user: &[&str], script: &str| {
        let mut command = Command::new("unshare");
        command.args(user).args(["-m", "sh", "-ec", script, "sh"]).arg(folder).arg(env!("CARGO_BIN_EXE_rtmp-relay"));
        command
    };
    let mount = format!("mount -t tmpfs -o {options} none \"$1\"");
    let user =
        [&[][..], &["-Ur"]].into_iter().find(|user| unshared(user, &mount).output().is_ok_and(|o| o.status.success()));
    let Some(user) = user else {
        eprintln!("SKIPPED: no mount of our own is permitted here");
        return None;
    };
    let script = format!("{mount}; exec \"$2\" serve --listen 127.0.0.1:0 --record-all --record-dir \"$1/shows\"");
    Some(Program::start(unshared(user, &script)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_filled_to_the_brim_stops_the_recording_within_two_seconds_and_not_the_relay() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = on_a_small_disk(folder.path(), "size=2m") else { return };
    // The same folder as the program sees it.
    let disk = PathBuf::from(format!("/proc/{}/root{}", program.child.id(), folder.path().display()));
    let sent = publish(program.address, "live/show", 4).await;
    let mut player = peers::Player::play(program.address, "live/show").await;
    let shows = disk.join("shows");
    until("it is being recorded", || files(&shows, "part").len() == 1).await;
    sleep(Duration::from_millis(300)).await;
    // Whatever is left, something else takes.
    let filler = std::fs::File::create(disk.join("filler")).unwrap();
    let full = Instant::now();
    let mut at = 0;
    while std::os::unix::fs::FileExt::write_at(&filler, &[1; 4096], at).is_ok() {
        at += 4096;
    }
    until("it is told", || program.log().contains("recording stopped, tried again in 10s: No space left on device"))
        .await;
    assert!(full.elapsed() < Duration::from_secs(2), "{:?}", full.elapsed());
    until("what is whole is kept", || files(&shows, "flv").len() == 1).await;
    let recorded = playable(&files(&shows, "flv")[0]);
    let expected = frames(&CLIP);
    assert!(
        recorded.iter().map(|(kind, payload)| (*kind, &payload[..])).eq(expected[..recorded.len()].iter().copied())
    );
    // The stream is as if nothing had been.
    let played = player
        .rest()
        .await
        .iter()
        .filter(|(kind, _, payload)| {
            Kind::from_tag_type(*kind)
                .is_some_and(|kind| is_frame(&Tag { kind, timestamp: 0, payload: payload.clone().into() }))
        })
        .count();
    assert_eq!((played, sent.lock().unwrap().len()), (expected.len(), expected.len()));
    program.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_may_only_be_read_is_told_and_the_stream_is_relayed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = on_a_small_disk(folder.path(), "ro,size=2m") else { return };
    let began = Instant::now();
    let sent = publish(program.address, "live/show", 20).await;
    let mut player = peers::Player::play(program.address, "live/show").await;
    until("it is told", || program.log().contains("recording stopped, tried again in 10s: Read-only file system"))
        .await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(player.rest().await.len() >= sent.lock().unwrap().len());
    program.end();
}

#[tokio::test]
async fn no_name_of_a_stream_leads_out_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let shows = folder.path().join("shows");
    let program = Program::serve(&["--record-all", "--record-dir", shows.to_str().unwrap()]);
    let names = [
        "..%2f..%2fetc/x",
        "a\\..\\b/c",
        "~root/.ssh",
        "$(reboot)/`x`",
        "-rf/*",
        "a;b|c/d",
        &format!("{}/x", "a".repeat(400)),
    ];
    for name in names {
        let mut encoder = Encoder::publish(program.address, name).await.unwrap();
        encoder.headers().await;
        encoder.send(Kind::Video, 0, &peers::video(true, 0)).await;
        encoder.end().await;
    }
    until("all are recorded", || files(&shows, "flv").len() == names.len()).await;
    for file in files(&shows, "flv") {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(rtmp_relay::recorder::naming::is_part(&format!("{name}.part")), "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    program.end();
}

#[test]
fn what_cannot_be_repaired_is_told_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let [film, picture, nowhere] = ["film.flv.part", "picture.gif", "nowhere.flv"].map(|name| folder.path().join(name));
    let clip = std::fs::read(fixture("flv/clip.flv")).unwrap();
    std::fs::write(&film, &clip[..100_000]).unwrap();
    std::fs::write(&picture, "GIF89a").unwrap();
    let output = repair(&[&film, &picture, &nowhere]);
    let [said, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("film.flv: ") && said.contains("repaired; "), "{said}");
    assert!(
        errors.contains("picture.gif: it is not an FLV file") && errors.contains("nowhere.flv: No such file"),
        "{errors}"
    );
    assert!(errors.ends_with("rtmp-relay: 2 not repaired\n"), "{errors}");
    let whole = tags(&std::fs::read(folder.path().join("film.flv")).unwrap());
    assert!(whole[1..] == CLIP[1..whole.len()] && whole.len() > 100, "all but the numbers of the metadata");
}
