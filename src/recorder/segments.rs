//! The files of one recording, one after the other: a new one where frames are missing, where another picture begins, and at the
//! first key frame after a file is long or large enough.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tracing::info;

use super::file::{Create, File};
use super::naming::Naming;
use crate::limits::RECORDING_TIME;
use crate::stream::Frame;

/// How long and how large a file may become before the next one begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Media time.
    pub time: Option<Duration>,
    /// Bytes.
    pub bytes: Option<u64>,
}

/// A recording in files.
#[derive(Debug)]
pub(super) struct Segments {
    pub(super) create: Create,
    folder: PathBuf,
    naming: Naming,
    limits: Limits,
    file: Option<File>,
    /// Files begun.
    pub(super) files: u64,
    /// Bytes written.
    pub(super) bytes: u64,
    /// What has become of files since somebody took it from here.
    pub(super) news: Vec<News>,
}

/// What has become of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// It is written now.
    Begun(PathBuf),
    /// It is complete, and has its name.
    Complete(PathBuf),
}

impl Segments {
    pub(super) fn new(create: Create, folder: PathBuf, naming: Naming, limits: Limits) -> Self {
        Segments { create, folder, naming, limits, file: None, files: 0, bytes: 0, news: Vec::new() }
    }

    /// The file that is written now.
    pub(super) fn part(&self) -> Option<&Path> {
        self.file.as_ref().map(File::part)
    }

    /// Writes frames, each with whether it does not follow the one before it. After an error there is no file, and the next
    /// frames have to begin one.
    pub(super) fn write(&mut self, frames: &[(Frame, bool)], now: Timestamp, sync: bool) -> io::Result<()> {
        let written = self.add(frames, now).and_then(|()| self.flush(sync));
        if written.is_err()
            && let Some(file) = self.file.take()
        {
            file.abandon();
        }
        written
    }

    /// Ends the file there is.
    pub(super) fn close(&mut self) -> io::Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let (seconds, bytes) = (file.duration().as_secs_f64(), file.size());
        let path = file.close()?;
        info!(file = %path.display(), seconds, bytes, "recording ended");
        self.news.push(News::Complete(path));
        Ok(())
    }

    fn add(&mut self, frames: &[(Frame, bool)], now: Timestamp) -> io::Result<()> {
        for (frame, jumped) in frames {
            if *jumped || self.file.as_ref().is_some_and(|file| self.limits.is_over(file, frame)) {
                self.flush(false)?;
                self.close()?;
            }
            let file = match &mut self.file {
                Some(file) => file,
                none => {
                    let file = File::open(self.create, &self.folder, |n| self.naming.name(now, n), frame)?;
                    info!(file = %file.part().display(), "recording started");
                    self.news.push(News::Begun(file.part().to_owned()));
                    self.files += 1;
                    none.insert(file)
                }
            };
            file.add(frame);
        }
        Ok(())
    }

    fn flush(&mut self, sync: bool) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        self.bytes += file.write()?;
        if sync { file.sync() } else { Ok(()) }
    }
}

impl Limits {
    /// Whether another file should begin at this frame.
    fn is_over(&self, file: &File, frame: &Frame) -> bool {
        let (old, new) = (file.preamble().video_header(), frame.preamble.video_header());
        let another_picture = old.is_some() && old != new;
        let long = file.duration() >= self.time.unwrap_or(RECORDING_TIME).min(RECORDING_TIME);
        let large = self.bytes.is_some_and(|bytes| file.size() >= bytes);
        frame.start && (another_picture || long || large)
    }
}
