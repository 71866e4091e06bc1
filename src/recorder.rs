//! A recording: a cursor that writes FLV. Bounded like any reader: lapped, it starts another file at the next key frame.
//!
//! A file is whole at every moment: header and metadata first, then whole tags, with duration and size put right each time
//! something is added. What a crash can take is what came in the last second.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt, AsyncWriteExt, SeekFrom};
use tokio::time::interval;
use tracing::{error, info};

use crate::flv::{Kind, file};
use crate::limits::{RECORDING_BYTES, RECORDING_FLUSH};
use crate::net::Network;
use crate::rtmp::Secret;
use crate::stream::cursor::Read;
use crate::stream::{Cursor, Frame, Join, Log, Name, Preamble};

/// A recording begins with the stream and is moved on only when the log has lost what it was at.
const JOIN: Join = Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX };

/// Records one stream to its end.
#[derive(Debug)]
pub struct Recorder<N> {
    net: N,
    folder: PathBuf,
    /// What the files are called, after the time: the application, and a fingerprint of the stream's name, which may be a key.
    suffix: String,
    log: Arc<Log>,
    cursor: Cursor,
}

impl<N: Network> Recorder<N> {
    /// A recorder of `log` that writes to `folder`.
    pub fn new(net: N, folder: PathBuf, name: &Name, log: Arc<Log>) -> Self {
        let app: String = name.app().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let suffix = format!("{app}_{}", Secret::from(name.stream().to_owned()).fingerprint());
        let cursor = Cursor::new(log.clone(), JOIN);
        Recorder { net, folder, suffix, log, cursor }
    }

    /// Writes until the stream ends, or the disk refuses: the stream goes on all the same.
    pub async fn run(mut self) {
        if let Err(error) = self.record().await {
            error!(folder = %self.folder.display(), "recording stopped: {error}");
        }
    }

    async fn record(&mut self) -> io::Result<()> {
        // Looked at now and then instead of being woken for each frame: nobody waits for a recording.
        let mut tick = interval(RECORDING_FLUSH / 2);
        let mut recording: Option<Recording> = None;
        let log = self.log.clone();
        loop {
            tokio::select! {
                biased;
                () = log.ended() => {}
                _ = tick.tick() => {}
            }
            loop {
                let (frames, read) = self.frames();
                for (frame, jumped) in &frames {
                    if *jumped || recording.as_ref().is_some_and(|r| r.is_over_at(frame)) {
                        close(recording.take()).await?;
                    }
                    if recording.is_none() {
                        recording = Some(self.open(frame).await?);
                    }
                    if let Some(recording) = &mut recording {
                        recording.add(frame);
                    }
                }
                if let Some(recording) = &mut recording {
                    recording.write().await?;
                }
                match read {
                    Read::More => {}
                    Read::Level => break,
                    Read::Ended => return close(recording).await,
                }
            }
        }
    }

    /// The next frames, taken from the log before anything is written: the log is locked for that long.
    fn frames(&mut self) -> (Vec<(Frame, bool)>, Read) {
        let (mut frames, mut bytes) = (Vec::new(), 0);
        let read = self.cursor.read(|frame, jumped| {
            bytes += frame.payload.len();
            frames.push((frame.clone(), jumped));
            bytes < RECORDING_BYTES
        });
        (frames, read)
    }

    async fn open(&self, first: &Frame) -> io::Result<Recording> {
        tokio::fs::create_dir_all(&self.folder).await?;
        let time = Timestamp::try_from(self.net.time_of_day()).map_err(io::Error::other)?;
        let stem = format!("{}_{}", time.strftime("%Y%m%dT%H%M%SZ"), self.suffix);
        let (path, file) = create(&self.folder, &stem).await?;
        info!(file = %path.display(), "recording started");
        Ok(Recording::new(path, file, first))
    }
}

/// A file that was not there before.
async fn create(folder: &Path, stem: &str) -> io::Result<(PathBuf, File)> {
    let mut n = 1;
    loop {
        let name = if n == 1 { format!("{stem}.flv") } else { format!("{stem}-{n}.flv") };
        let path = folder.join(name);
        match OpenOptions::new().write(true).create_new(true).open(&path).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => n += 1,
            opened => return opened.map(|file| (path, file)),
        }
    }
}

async fn close(recording: Option<Recording>) -> io::Result<()> {
    let Some(mut recording) = recording else { return Ok(()) };
    recording.write().await?;
    recording.file.sync_all().await?;
    info!(file = %recording.path.display(), seconds = recording.duration.as_secs_f64(), "recording ended");
    Ok(())
}

/// One file being written.
#[derive(Debug)]
struct Recording {
    path: PathBuf,
    file: File,
    size: u64,
    /// Whole tags that are not written yet.
    unwritten: Vec<u8>,
    base: u64,
    duration: Duration,
    preamble: Arc<Preamble>,
}

impl Recording {
    fn new(path: PathBuf, file: File, first: &Frame) -> Self {
        let (audio, video) = (first.preamble.has(Kind::Audio), first.preamble.has(Kind::Video));
        // Codecs without headers announce themselves by their frames only.
        let (audio, video) = if audio || video { (audio, video) } else { (true, true) };
        let mut unwritten = file::header(audio, video).to_vec();
        unwritten.extend(file::metadata_tag(first.preamble.metadata().map(|m| &m[..])));
        let preamble = first.preamble.clone();
        let mut recording =
            Recording { path, file, size: 0, unwritten, base: first.time, duration: Duration::ZERO, preamble };
        for item in first.preamble.since(None).filter(|item| item.kind != Kind::Data) {
            recording.tag(item.kind, first.time, &item.payload);
        }
        recording
    }

    /// Whether another picture begins here, which wants a file of its own.
    fn is_over_at(&self, frame: &Frame) -> bool {
        let (old, new) = (self.preamble.video_header(), frame.preamble.video_header());
        frame.start && old.is_some() && old != new
    }

    fn add(&mut self, frame: &Frame) {
        if !Arc::ptr_eq(&self.preamble, &frame.preamble) {
            let old = std::mem::replace(&mut self.preamble, frame.preamble.clone());
            // A file has one set of metadata, at its beginning: more of it looks like subtitles to players, and GStreamer
            // says everything again each second.
            for item in frame.preamble.since(Some(&old)).filter(|item| item.kind != Kind::Data) {
                self.tag(item.kind, frame.time, &item.payload);
            }
        }
        self.tag(frame.kind, frame.time, &frame.payload);
        // The last frame lasts about as long as the one before it.
        let end = frame.time.saturating_sub(self.base) + u64::from(frame.delta).min(1000);
        self.duration = self.duration.max(Duration::from_millis(end));
    }

    fn tag(&mut self, kind: Kind, time: u64, payload: &[u8]) {
        let time = time.saturating_sub(self.base) as u32;
        file::write_tag(kind, time, payload, &mut self.unwritten).expect("a message is no longer than a tag can be");
    }

    /// Writes what has gathered, then duration and size in their places.
    async fn write(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(self.size)).await?;
        self.file.write_all(&self.unwritten).await?;
        self.size += self.unwritten.len() as u64;
        self.unwritten.clear();
        for (at, value) in [(file::DURATION_AT, self.duration.as_secs_f64()), (file::FILE_SIZE_AT, self.size as f64)] {
            self.file.seek(SeekFrom::Start(at)).await?;
            self.file.write_all(&value.to_be_bytes()).await?;
        }
        self.file.flush().await
    }
}
