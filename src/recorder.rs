//! A recording: a cursor that writes FLV files. Bounded like any reader: lapped, it starts another file at the next key frame.
//!
//! ```text
//!  LOG ─► cursor ─► Segments ─► File ─► name.flv.part ─close─► name.flv
//!         a task    on a thread that may wait for the disk ──────crash──► repair ─► name.flv
//! ```
//! A disk that is full, broken, slow or gone stops the recording, and nobody else: the publisher does not know of it, and what it
//! sends waits in the log for as long as it fits there.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::limits::{RECORDING_BYTES, RECORDING_FLUSH, RECORDING_RETRY, RECORDING_STALL};
use crate::net::Network;
use crate::origin::Origin;
use crate::stream::cursor::Read;
use crate::stream::{Cursor, Frame, Join, Log, Name, Pattern};

pub mod board;
mod file;
pub mod naming;
pub mod repair;
mod segments;

pub use board::{Board, Row};
pub use repair::{Repaired, repair, repair_folder};
pub use segments::Limits;

use naming::Naming;
use segments::{News, Segments};

/// A recording begins with the stream and is moved on only when the log has lost what it was at.
pub const FROM_THE_BEGINNING: Join = Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX };

/// The recording of a stream that has been running for a while begins at the next key frame.
pub const FROM_THE_NEXT_KEY_FRAME: Join = Join { newest_if_within: Duration::ZERO, lag_max: Duration::MAX };

/// What is recorded where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it is called in logs and status.
    pub name: String,
    /// Which streams.
    pub streams: Vec<Pattern>,
    /// The folder for its files.
    pub folder: PathBuf,
    /// When a file ends and the next begins.
    pub segments: Limits,
    /// Who has said so.
    pub from: Origin,
}

impl Rule {
    /// All streams, each in one file, into `folder`.
    pub fn every(folder: PathBuf) -> Self {
        let (name, streams) = ("recordings".to_owned(), vec![Pattern::all()]);
        Rule { name, streams, folder, segments: Limits::default(), from: Origin::Flags }
    }

    /// Whether `stream` is recorded by it.
    pub fn is_for(&self, stream: &Name) -> bool {
        self.streams.iter().any(|pattern| pattern.matches(stream))
    }
}

/// Repairs what a crash has left in a folder.
pub async fn repair_all(folder: PathBuf) {
    let repaired = spawn_blocking(move || repair_folder(&folder)).await;
    for (part, outcome) in repaired.into_iter().flatten() {
        match outcome {
            Ok(Repaired { path, cut, .. }) => {
                info!(file = %path.display(), "recording repaired after a crash: {cut} bytes of a torn tag are cut off");
            }
            Err(repair::Error::Empty) => info!(file = %part.display(), "removed: nothing has been recorded in it"),
            Err(error) => warn!(file = %part.display(), "cannot be repaired: {error}"),
        }
    }
}

/// Records one stream by one rule, to the end of either.
#[derive(Debug)]
pub struct Recorder<N> {
    net: N,
    log: Arc<Log>,
    cursor: Cursor,
    folder: PathBuf,
    /// On its way to the disk and back while something is written.
    segments: Option<Segments>,
    synced: Instant,
    stop: CancellationToken,
    row: Row,
}

impl<N: Network> Recorder<N> {
    /// A recorder of `log`, which is called `name`, from where `join` says until the stream ends or `stop`.
    pub fn new(net: N, rule: Rule, name: &Name, log: Arc<Log>, join: Join, stop: CancellationToken, row: Row) -> Self {
        let cursor = Cursor::new(log.clone(), join);
        let segments = Segments::new(file::create, rule.folder.clone(), Naming::new(name), rule.segments);
        Recorder { net, log, cursor, folder: rule.folder, segments: Some(segments), synced: Instant::now(), stop, row }
    }

    /// Writes until it is over. A disk that refuses is tried again after a while.
    pub async fn run(mut self) {
        while let Err(error) = self.record().await {
            error!(folder = %self.folder.display(), "recording stopped, tried again in {RECORDING_RETRY:?}: {error}");
            self.row.tell_failure(&error.to_string());
            self.row.update(|status| {
                status.enter(board::State::Failed);
                status.file = None;
                status.last_error = Some(error.to_string());
                status.retry_at = Some(Instant::now() + RECORDING_RETRY);
            });
            let log = self.log.clone();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = log.ended() => return,
                () = sleep(RECORDING_RETRY) => {}
            }
            // What has been missed is not made up for.
            self.cursor = Cursor::new(log, FROM_THE_BEGINNING);
        }
    }

    async fn record(&mut self) -> io::Result<()> {
        // Looked at now and then instead of being woken for each frame: nobody waits for a recording.
        let mut tick = interval(RECORDING_FLUSH / 4);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (log, stop) = (self.log.clone(), self.stop.clone());
        loop {
            let stopped = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                () = log.ended() => false,
                _ = tick.tick() => false,
            };
            loop {
                let (frames, read) = self.frames();
                if !frames.is_empty() {
                    self.write(frames).await?;
                }
                match read {
                    Read::More => {}
                    Read::Level if !stopped => break,
                    Read::Level | Read::Ended => return self.on_the_disk(Segments::close).await,
                }
            }
        }
    }

    /// The next frames, taken from the log before anything is written: the log is locked for that long.
    fn frames(&mut self) -> (Vec<(Frame, bool)>, Read) {
        let (mut frames, mut bytes) = (Vec::new(), 0);
        let before = self.cursor.skipped().all();
        let read = self.cursor.read(|frame, jumped| {
            bytes += frame.payload.len();
            frames.push((frame.clone(), jumped));
            bytes < RECORDING_BYTES
        });
        let dropped = self.cursor.skipped().all() - before;
        if dropped > 0 {
            warn!(folder = %self.folder.display(), "the disk is too slow for the recording: {dropped} frames are left out");
            self.row.update(|status| status.dropped += dropped);
        }
        (frames, read)
    }

    async fn write(&mut self, frames: Vec<(Frame, bool)>) -> io::Result<()> {
        let now = Timestamp::try_from(self.net.time_of_day()).map_err(io::Error::other)?;
        let sync = self.synced.elapsed() >= RECORDING_FLUSH;
        if sync {
            self.synced = Instant::now();
        }
        self.on_the_disk(move |segments| segments.write(&frames, now, sync)).await
    }

    /// Does something that may take the disk a while, and says so if it takes long.
    async fn on_the_disk<F>(&mut self, work: F) -> io::Result<()>
    where
        F: FnOnce(&mut Segments) -> io::Result<()> + Send + 'static,
    {
        let mut segments = self.segments.take().ok_or_else(|| io::Error::other("a write has not come back"))?;
        let mut working = spawn_blocking(move || {
            let done = work(&mut segments);
            (segments, done)
        });
        let slow = timeout(RECORDING_STALL, &mut working).await;
        let (mut segments, done) = match slow {
            Ok(done) => done,
            Err(_) => {
                warn!(folder = %self.folder.display(), "the disk is slow: it has been at one write for {RECORDING_STALL:?}");
                self.row.update(|status| status.enter(board::State::Slow));
                working.await
            }
        }
        .map_err(io::Error::other)?;
        self.row.update(|status| {
            status.enter(if segments.part().is_some() { board::State::Recording } else { board::State::Waiting });
            status.file = segments.part().map(Into::into);
            (status.files, status.bytes) = (segments.files, segments.bytes);
        });
        // A file that was refused as it was begun is no news: the refusal is.
        let is_told = |news: &News| done.is_ok() || matches!(news, News::Complete(_));
        segments.news.drain(..).filter(is_told).for_each(|news| self.row.tell(&news));
        self.segments = Some(segments);
        done
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::io::{ErrorKind, Seek, SeekFrom, Write};
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    use bytes::Bytes;
    use tempfile::TempDir;
    use tokio::task::{JoinHandle, yield_now};
    use tokio::time;

    use super::board::{State, Status};
    use super::file::{Create, Disk};
    use super::*;
    use crate::flv::Kind;
    use crate::flv::file::Reader;
    use crate::journal::{self, Journal};
    use crate::net::tcp::Tcp;
    use crate::stream::{Preamble, log};

    /// A real file behind a disk with a will of its own.
    #[derive(Debug)]
    struct Willful {
        file: fs::File,
        write: fn(&mut fs::File, &[u8]) -> io::Result<usize>,
        sync: fn() -> io::Result<()>,
    }

    impl Write for Willful {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            (self.write)(&mut self.file, bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.file.flush()
        }
    }

    impl Seek for Willful {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.file.seek(to)
        }
    }

    impl Disk for Willful {
        fn sync(&mut self) -> io::Result<()> {
            (self.sync)()
        }
    }

    fn willful(path: &Path, write: fn(&mut fs::File, &[u8]) -> io::Result<usize>) -> io::Result<Box<dyn Disk>> {
        let file = fs::File::options().write(true).create_new(true).open(path)?;
        Ok(Box::new(Willful { file, write, sync: || Ok(()) }))
    }

    /// A recorder at work, the log it reads, and what it shows.
    struct Case {
        folder: TempDir,
        log: Arc<Log>,
        board: Board,
        told: journal::Cursor,
        frames: u64,
        running: JoinHandle<()>,
    }

    impl Case {
        fn start(create: Create) -> Case {
            let journal = Journal::default();
            let (folder, board, told) = (tempfile::tempdir().unwrap(), Board::new(journal.clone()), journal.after(0));
            let log = Arc::new(Log::new(log::Limits::default()));
            let name = Name::new("live/show").unwrap();
            let rule = Rule::every(folder.path().join("below"));
            let row = board.add(&rule.name, &name);
            let stop = CancellationToken::new();
            let mut recorder = Recorder::new(Tcp, rule, &name, log.clone(), FROM_THE_BEGINNING, stop, row);
            recorder.segments.as_mut().unwrap().create = create;
            Case { folder, log, board, told, frames: 0, running: tokio::spawn(recorder.run()) }
        }

        /// A second of pictures, a key frame first. Nobody waits for anything here.
        fn second(&mut self) {
            for n in 0..25 {
                let payload = Bytes::from([&[if n == 0 { 0x17 } else { 0x27 }, 1, 0, 0, 0][..], &[7; 1000]].concat());
                let preamble = Arc::new(Preamble::default());
                let time = self.frames * 40;
                self.log.append(Frame {
                    kind: Kind::Video,
                    time,
                    delta: 40,
                    payload,
                    wire: Bytes::new(),
                    start: n == 0,
                    preamble,
                });
                self.frames += 1;
            }
            self.log.announce();
        }

        fn status(&self) -> Status {
            self.board.statuses().remove(0)
        }

        /// What the journal has been told since it was last asked, as `code extension text`.
        fn told(&mut self) -> Vec<String> {
            let read = std::iter::from_fn(|| self.told.read());
            let told = read.map(|news| {
                let journal::News::Entry(entry) = news else { panic!("none is missed") };
                let event = &entry.event;
                assert_eq!((event.recording.as_deref(), event.stream.is_some()), (Some("recordings"), true));
                let file =
                    event.file.iter().flat_map(|file| file.extension()).map(|e| e.to_string_lossy().into_owned());
                [event.code.to_string()].into_iter().chain(file).chain(event.text.clone()).collect::<Vec<_>>().join(" ")
            });
            told.collect()
        }

        /// The files, in order, and how many frames each has.
        fn files(&self) -> Vec<(String, usize)> {
            let entries = fs::read_dir(self.folder.path().join("below")).into_iter().flatten();
            let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            files.sort();
            let frames = |path: &PathBuf| {
                let mut reader = Reader::new();
                reader.push(&fs::read(path).unwrap());
                let tags =
                    std::iter::from_fn(|| reader.read_tag().unwrap()).filter(|tag| tag.kind == Kind::Video).count();
                reader.finish().unwrap();
                tags
            };
            files.iter().map(|file| (file.extension().unwrap().to_string_lossy().into_owned(), frames(file))).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_stops_the_recording_and_is_told_and_tried_again() {
        static ROOM: AtomicUsize = AtomicUsize::new(100_000);
        fn full(file: &mut fs::File, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() == 8 {
                return file.write(bytes); // a number in its place needs no room
            }
            let room = ROOM.load(SeqCst).min(bytes.len());
            if room == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            ROOM.fetch_sub(room, SeqCst);
            file.write(&bytes[..room])
        }
        let mut case = Case::start(|path| willful(path, full));
        for _ in 0..3 {
            case.second();
            time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!((case.status().state, case.status().files), (State::Recording, 1));
        case.second();
        case.second();
        time::sleep(Duration::from_secs(2)).await;
        let status = case.status();
        assert_eq!((status.state, status.last_error.as_deref()), (State::Failed, Some("no storage space")));
        assert!(status.retry_at.is_some() && status.file.is_none());
        assert_eq!(case.files(), [("flv".to_owned(), 97)], "what is whole is kept, and complete");
        assert_eq!(case.told(), ["recording.started part", "recording.failed no storage space"]);
        // As long as there is no room, nothing is left behind by trying.
        time::sleep(Duration::from_secs(30)).await;
        case.second();
        assert_eq!(case.files().len(), 1);
        assert!(case.told().is_empty(), "it is the same disk, and says the same");
        ROOM.store(1_000_000, SeqCst);
        time::sleep(RECORDING_RETRY).await;
        assert_eq!((case.status().state, case.status().last_error.is_some()), (State::Recording, true));
        case.log.end();
        (&mut case.running).await.unwrap();
        assert_eq!(case.files(), [("flv".to_owned(), 97), ("flv".to_owned(), 25)], "from the newest key frame on");
        assert_eq!(case.told(), ["recording.started part", "recording.ended flv"]);
        assert!(case.board.statuses().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_that_is_told_late_stops_the_recording_too() {
        fn broken(path: &Path) -> io::Result<Box<dyn Disk>> {
            let file = fs::File::options().write(true).create_new(true).open(path)?;
            let sync = || Err(io::Error::from_raw_os_error(5));
            Ok(Box::new(Willful { file, write: |file, bytes| file.write(bytes), sync }))
        }
        let mut case = Case::start(broken);
        case.second();
        time::sleep(Duration::from_secs(1)).await;
        case.second();
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(case.status().state, State::Failed);
        assert!(case.status().last_error.unwrap().starts_with("Input/output error"), "{:?}", case.board);
        assert_eq!(case.files(), [("flv".to_owned(), 50)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_is_taken_away_or_cannot_be_is_told() {
        let mut case = Case::start(file::create);
        case.second();
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(case.status().state, State::Recording);
        fs::remove_dir_all(case.folder.path().join("below")).unwrap();
        case.second();
        time::sleep(Duration::from_secs(1)).await;
        let status = case.status();
        assert_eq!(
            (status.state, status.last_error.as_deref()),
            (State::Failed, Some("somebody has taken the file away"))
        );
        fs::write(case.folder.path().join("below"), "a file").unwrap();
        time::sleep(RECORDING_RETRY).await;
        assert!(case.status().last_error.unwrap().contains("exists"));
        fs::remove_file(case.folder.path().join("below")).unwrap();
        time::sleep(RECORDING_RETRY).await;
        assert_eq!(case.status().state, State::Recording);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_disk_is_told_and_holds_nobody_but_its_recording() {
        static WRITING: AtomicBool = AtomicBool::new(false);
        static HELD: AtomicBool = AtomicBool::new(true);
        fn slow(file: &mut fs::File, bytes: &[u8]) -> io::Result<usize> {
            WRITING.store(true, SeqCst);
            while HELD.load(SeqCst) {
                std::thread::yield_now();
            }
            file.write(bytes)
        }
        // Let go of even where the test fails: the runtime waits for the write.
        struct Release;
        impl Drop for Release {
            fn drop(&mut self) {
                HELD.store(false, SeqCst);
            }
        }
        let release = Release;
        let mut case = Case::start(|path| willful(path, slow));
        case.second();
        while !WRITING.load(SeqCst) {
            yield_now().await;
        }
        time::advance(RECORDING_STALL * 2).await;
        yield_now().await;
        assert_eq!(case.status().state, State::Slow);
        for _ in 0..20 {
            case.second();
        }
        drop(release);
        time::sleep(Duration::from_secs(1)).await;
        let status = case.status();
        assert_eq!((status.state, status.files), (State::Recording, 2));
        assert!(status.dropped > 200, "{}", status.dropped);
        case.log.end();
        (&mut case.running).await.unwrap();
        assert_eq!(case.files()[0], ("flv".to_owned(), 25));
    }
}
