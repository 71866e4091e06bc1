//! One file of a recording. It is whole at every moment: header and metadata first, then whole tags, with duration and size put
//! right each time something is added. Until it is closed its name ends in `.part`, and it is locked.

use std::fmt::Debug;
use std::fs::{self, TryLockError};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::naming::PART;
use super::repair;
use crate::film::Film;
use crate::flv::file;
use crate::limits::RECORDING_NAMES;
use crate::stream::{Frame, Preamble};

/// What a recording needs of a file. Its calls block.
pub(super) trait Disk: Write + Seek + Send + Debug {
    /// Waits until everything is on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

impl Disk for fs::File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Makes a file that was not there before, and locks it.
pub(super) type Create = fn(&Path) -> io::Result<Box<dyn Disk>>;

/// Makes a file on a real disk.
pub(super) fn create(path: &Path) -> io::Result<Box<dyn Disk>> {
    let file = fs::File::options().write(true).create_new(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Box::new(file)),
        Err(TryLockError::WouldBlock) => Err(ErrorKind::AlreadyExists.into()),
        // A file system without locks has recordings all the same; nobody repairs them by himself.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(Box::new(file)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A file being written.
#[derive(Debug)]
pub(super) struct File {
    /// What it will be called.
    path: PathBuf,
    part: PathBuf,
    /// Device and inode: a file whose folder has been deleted takes everything, and nobody ever sees it.
    identity: (u64, u64),
    disk: Box<dyn Disk>,
    size: u64,
    /// Whole tags that are not written yet.
    unwritten: Vec<u8>,
    film: Film,
}

impl File {
    /// A file that begins with `first`, which has to be added; called `name(1)`, or `name(2)` if that is taken, and so on.
    pub(super) fn open(create: Create, folder: &Path, name: impl Fn(u32) -> String, first: &Frame) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        for n in 1..=RECORDING_NAMES {
            let path = folder.join(name(n));
            let mut part = path.clone();
            part.add_extension(PART);
            let disk = match create(&part) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                disk => disk?,
            };
            // Whoever has the part has the name; only the one who had it before us may have used it up.
            if fs::symlink_metadata(&path).is_ok() {
                fs::remove_file(&part)?;
                continue;
            }
            let there = fs::symlink_metadata(&part)?;
            return Ok(File::new(path, part, (there.dev(), there.ino()), disk, first));
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    fn new(path: PathBuf, part: PathBuf, identity: (u64, u64), disk: Box<dyn Disk>, first: &Frame) -> Self {
        let mut unwritten = Vec::new();
        let film = Film::begin(first, &mut unwritten);
        File { path, part, identity, disk, size: 0, unwritten, film }
    }

    /// What it is called as long as it is written.
    pub(super) fn part(&self) -> &Path {
        &self.part
    }

    /// Its bytes, written or not.
    pub(super) fn size(&self) -> u64 {
        self.size + self.unwritten.len() as u64
    }

    /// How long it is.
    pub(super) fn duration(&self) -> Duration {
        self.film.duration()
    }

    /// The headers of its last frame.
    pub(super) fn preamble(&self) -> &Preamble {
        self.film.preamble()
    }

    /// Adds a frame, to be written later.
    pub(super) fn add(&mut self, frame: &Frame) {
        self.film.add(frame, &mut self.unwritten);
    }

    /// Writes what has gathered, then the numbers in their places. How many bytes have been added.
    pub(super) fn write(&mut self) -> io::Result<u64> {
        let added = self.unwritten.len() as u64;
        if added == 0 {
            return Ok(0);
        }
        if !repair::is_at(&self.part, self.identity) {
            return Err(io::Error::new(ErrorKind::NotFound, "somebody has taken the file away"));
        }
        self.disk.seek(SeekFrom::Start(self.size))?;
        self.disk.write_all(&self.unwritten)?;
        self.size += added;
        self.unwritten.clear();
        for (at, value) in [
            (file::DURATION_AT, self.film.duration().as_secs_f64()),
            (file::FILE_SIZE_AT, self.size as f64),
            (file::LAST_TIMESTAMP_AT, self.film.last().as_secs_f64()),
        ] {
            self.disk.seek(SeekFrom::Start(at))?;
            self.disk.write_all(&value.to_be_bytes())?;
        }
        self.disk.flush()?;
        Ok(added)
    }

    /// Waits until what is written is on the disk: some errors are told only then.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.disk.sync()
    }

    /// Ends it, and gives it its name.
    pub(super) fn close(mut self) -> io::Result<PathBuf> {
        let closed = self.write().and_then(|_| self.sync()).and_then(|()| fs::rename(&self.part, &self.path));
        match closed {
            Ok(()) => Ok(self.path),
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }

    /// Ends it as well as can be on a disk that has refused: what is whole is kept, and what is not is cut off. Where that is
    /// not possible either, the part is left to the next start.
    pub(super) fn abandon(self) {
        let File { part, disk, identity, .. } = self;
        if repair::is_at(&part, identity) {
            drop(disk);
            if matches!(repair::repair(&part), Err(repair::Error::Empty)) {
                let _ = fs::remove_file(&part);
            }
        }
    }
}
