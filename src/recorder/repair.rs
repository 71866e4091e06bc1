//! Makes a file whole that a crash has left: what is behind its last whole tag is cut off, its numbers are put right, and it gets
//! the name of a file that is complete.
//!
//! A recording is locked (`flock`) for as long as somebody writes it, and the system lets go of the lock with the process: a part
//! without a lock is nobody's. Each step leaves a file that can be repaired again.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::naming;
use crate::flv::file::{FILE_HEADER_LEN, PREVIOUS_SIZE_LEN, SIGNATURE, TagHeader};
use crate::flv::{self, Kind, Role};

/// A file that is whole now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// What it is called now.
    pub path: PathBuf,
    /// Its tags, metadata and headers included.
    pub tags: u64,
    /// How long it is.
    pub duration: Duration,
    /// Bytes behind the last whole tag that have been cut off.
    pub cut: u64,
    /// Whether anything has been done.
    pub changed: bool,
}

/// Why a file stays as it is.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is being recorded")]
    InUse,
    #[error("it is not an FLV file")]
    NotFlv,
    #[error("there is no picture and no sound in it")]
    Empty,
    #[error("it is damaged at byte {0}, and more than a torn tag follows: nothing is cut off")]
    Damaged(u64),
}

/// Repairs one file, in place. A file that is whole is not touched.
pub fn repair(path: &Path) -> Result<Repaired, Error> {
    mend(&mut hold(path)?, path)
}

/// Repairs all that a crash has left in a folder of recordings: the parts with a name of ours that nobody writes. Those without
/// anything in them are removed.
pub fn repair_folder(folder: &Path) -> Vec<(PathBuf, Result<Repaired, Error>)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let ours = entries.flatten().filter(|entry| {
        entry.file_name().to_str().is_some_and(naming::is_part) && entry.file_type().is_ok_and(|kind| kind.is_file())
    });
    let mut parts: Vec<PathBuf> = ours.map(|entry| entry.path()).collect();
    parts.sort();
    let mut repaired = Vec::new();
    for path in parts {
        let outcome = hold(&path).and_then(|mut file| {
            let mended = mend(&mut file, &path);
            if matches!(mended, Err(Error::Empty)) {
                fs::remove_file(&path)?;
            }
            mended
        });
        if !matches!(outcome, Err(Error::InUse)) {
            repaired.push((path, outcome));
        }
    }
    repaired
}

/// Whether `path` still leads to this very file.
pub(super) fn is_at(path: &Path, (device, inode): (u64, u64)) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (device, inode))
}

/// The file, ours alone.
fn hold(path: &Path) -> Result<File, Error> {
    let file = File::options().read(true).write(true).open(path)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Error::InUse,
        TryLockError::Error(error) => Error::Io(error),
    })?;
    let metadata = file.metadata()?;
    // Whoever has held it until now may have given it another name.
    let still = metadata.is_file() && fs::metadata(path).is_ok_and(|there| there.ino() == metadata.ino());
    if still { Ok(file) } else { Err(Error::InUse) }
}

fn mend(file: &mut File, path: &Path) -> Result<Repaired, Error> {
    let length = file.metadata()?.len();
    let found = scan(&mut BufReader::new(&mut *file), length)?;
    let size = found.end + PREVIOUS_SIZE_LEN as u64;
    let whole = naming::whole(path);
    let is_part = whole != path;
    let wrong_end = size != length;
    if wrong_end {
        file.set_len(size.min(length))?;
    }
    // What somebody else has written into a file that is whole is right.
    let wrong_numbers = is_part || wrong_end || found.number(file, Number::Duration)? == Some(0.0);
    if wrong_numbers {
        file.seek(SeekFrom::Start(found.end))?;
        file.write_all(&found.last_size.to_be_bytes())?;
        for (which, value) in [
            (Number::Duration, found.duration.as_secs_f64()),
            (Number::FileSize, size as f64),
            (Number::LastTimestamp, found.last.as_secs_f64()),
        ] {
            if let Some(at) = found.numbers[which as usize] {
                file.seek(SeekFrom::Start(at))?;
                file.write_all(&value.to_be_bytes())?;
            }
        }
    }
    let changed = wrong_end || wrong_numbers;
    if changed {
        file.sync_all()?;
    }
    let path = if is_part { rename(path, whole)? } else { whole };
    Ok(Repaired { path, tags: found.tags, duration: found.duration, cut: length.saturating_sub(size), changed })
}

/// Gives a file its new name, or that name with a number, where there is another file.
fn rename(from: &Path, to: PathBuf) -> io::Result<PathBuf> {
    let stem = to.with_extension("");
    let numbered = (2..).map(|n| {
        let mut name = stem.clone();
        name.as_mut_os_string().push(format!("-{n}.flv"));
        name
    });
    let free = std::iter::once(to).chain(numbered).find(|name| fs::symlink_metadata(name).is_err());
    let free = free.expect("numbers do not end");
    fs::rename(from, &free)?;
    Ok(free)
}

/// Numbers of the metadata that follow from the tags.
#[derive(Debug, Clone, Copy)]
enum Number {
    Duration,
    FileSize,
    LastTimestamp,
}

/// What a file holds.
#[derive(Debug, Default)]
struct Found {
    /// Where the body of the last whole tag ends, and what size belongs behind it.
    end: u64,
    last_size: u32,
    tags: u64,
    /// Whether there is anything to see or hear.
    media: bool,
    duration: Duration,
    last: Duration,
    /// Where the metadata has the numbers.
    numbers: [Option<u64>; 3],
}

impl Found {
    fn number(&self, file: &mut File, which: Number) -> io::Result<Option<f64>> {
        let Some(at) = self.numbers[which as usize] else { return Ok(None) };
        let mut value = [0; 8];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut value)?;
        Ok(Some(f64::from_be_bytes(value)))
    }
}

/// Bytes of a tag's body that are read to see what it is.
const LOOK: usize = 64;

/// Bytes of metadata that are searched for its numbers; in our own files they come first.
const METADATA: usize = 64 << 10;

/// Reads the headers of all tags, up to the last whole one.
fn scan<R: Read + Seek>(file: &mut BufReader<R>, length: u64) -> Result<Found, Error> {
    let mut start = [0; FILE_HEADER_LEN];
    let read = length.min(FILE_HEADER_LEN as u64) as usize;
    file.rewind()?;
    file.read_exact(&mut start[..read])?;
    let begun = start.iter().zip(SIGNATURE).take_while(|(byte, expected)| byte == expected).count();
    if begun < SIGNATURE.len() {
        return match torn_only(file, begun as u64, length, 0) {
            Ok(()) => Err(Error::Empty),
            Err(Error::Damaged(_)) => Err(Error::NotFlv),
            Err(error) => Err(error),
        };
    }
    let mut found = Found { end: FILE_HEADER_LEN as u64, ..Found::default() };
    let mut clock = Clock::default();
    loop {
        let at = found.end + PREVIOUS_SIZE_LEN as u64;
        if at + TagHeader::LEN as u64 > length {
            break;
        }
        let header = header_at(file, at)?;
        let end = at + TagHeader::LEN as u64 + u64::from(header.size);
        if !is_one(header) {
            torn_only(file, at, length, at)?;
            break;
        }
        if end > length {
            break;
        }
        let body = body(file, header.size, if found.tags == 0 { METADATA } else { LOOK })?;
        if !fits(file, header, end, length)? {
            torn_only(file, end + PREVIOUS_SIZE_LEN as u64, length, at)?;
            break;
        }
        if found.tags == 0 && header.tag_type == Kind::Data.tag_type() {
            found.numbers = numbers(&body).map(|number| number.map(|n| at + (TagHeader::LEN + n) as u64));
        }
        if let Some(kind) = Kind::from_tag_type(header.tag_type).filter(|kind| *kind != Kind::Data)
            && !matches!(flv::classify(kind, &body).role, Role::Header | Role::Config | Role::End | Role::Empty)
        {
            clock.tick(kind, header.timestamp);
            found.media = true;
        }
        found.tags += 1;
        found.end = end;
        found.last_size = TagHeader::LEN as u32 + header.size;
    }
    if !found.media {
        return Err(Error::Empty);
    }
    (found.duration, found.last) = clock.read();
    Ok(found)
}

fn header_at<R: Read + Seek>(file: &mut BufReader<R>, at: u64) -> io::Result<TagHeader> {
    let mut header = [0; TagHeader::LEN];
    go(file, at)?;
    file.read_exact(&mut header)?;
    Ok(TagHeader::read(&header))
}

/// The beginning of a body.
fn body(file: &mut impl Read, size: u32, look: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; (size as usize).min(look)];
    file.read_exact(&mut body)?;
    Ok(body)
}

/// Forward without giving up what has been read already.
fn go<R: Read + Seek>(file: &mut BufReader<R>, to: u64) -> io::Result<()> {
    let here = file.stream_position()?;
    file.seek_relative(to as i64 - here as i64)
}

/// Whether a tag may begin like this: audio, video, data, or data in AMF3 (15).
fn is_one(header: TagHeader) -> bool {
    header.stream == 0 && (header.tag_type == 15 || Kind::from_tag_type(header.tag_type).is_some())
}

/// Whether a tag that ends at `end` is followed by its size; or, since some writers get that wrong, by another tag; or by zeros
/// after a loss of power, unless it ends in zeros itself and may have lost its end.
fn fits<R: Read + Seek>(file: &mut BufReader<R>, header: TagHeader, end: u64, length: u64) -> io::Result<bool> {
    let next = end + PREVIOUS_SIZE_LEN as u64;
    if next > length {
        return Ok(true);
    }
    let mut last_and_size = [0; 1 + PREVIOUS_SIZE_LEN];
    go(file, end - 1)?;
    file.read_exact(&mut last_and_size)?;
    let [last, size @ ..] = last_and_size;
    let right = (TagHeader::LEN as u32 + header.size).to_be_bytes();
    let cut = (0..right.len()).any(|n| size[..n] == right[..n] && size[n..].iter().all(|byte| *byte == 0));
    if size == right || (cut && last != 0) {
        return Ok(true);
    }
    if next + TagHeader::LEN as u64 <= length { Ok(is_one(header_at(file, next)?)) } else { Ok(!cut) }
}

/// After a loss of power a file may end in zeros. Anything else there is not for us to throw away.
fn torn_only<R: Read + Seek>(file: &mut BufReader<R>, from: u64, length: u64, at: u64) -> Result<(), Error> {
    go(file, from)?;
    let mut piece = vec![0; 64 << 10];
    let mut left = length - from;
    while left > 0 {
        let some = left.min(piece.len() as u64) as usize;
        file.read_exact(&mut piece[..some])?;
        if piece[..some].iter().any(|byte| *byte != 0) {
            return Err(Error::Damaged(at));
        }
        left -= some as u64;
    }
    Ok(())
}

/// Where the numbers stand in metadata: a key with its length, then the marker of a number, then eight bytes.
fn numbers(metadata: &[u8]) -> [Option<usize>; 3] {
    ["duration", "filesize", "lasttimestamp"].map(|key| {
        let wanted = [&(key.len() as u16).to_be_bytes()[..], key.as_bytes(), &[0]].concat();
        let at = metadata.windows(wanted.len()).position(|window| window == wanted)? + wanted.len();
        (at + 8 <= metadata.len()).then_some(at)
    })
}

/// The times of a file, as its recorder counts them.
#[derive(Debug, Default)]
struct Clock {
    first: Option<u32>,
    last: u32,
    end: u32,
    /// Of audio and of video: the time of the last frame, and the step to it.
    kinds: [Option<(u32, u32)>; 2],
}

impl Clock {
    fn tick(&mut self, kind: Kind, time: u32) {
        let kind = &mut self.kinds[usize::from(kind == Kind::Video)];
        let step = match *kind {
            Some((last, step)) if time == last => step,
            Some((last, _)) => time.saturating_sub(last).min(1000),
            None => 0,
        };
        *kind = Some((time, step));
        self.first.get_or_insert(time);
        self.last = self.last.max(time);
        self.end = self.end.max(time.saturating_add(step));
    }

    /// How long it is, and when its last tag is.
    fn read(&self) -> (Duration, Duration) {
        let duration = self.end.saturating_sub(self.first.unwrap_or(0));
        (Duration::from_millis(duration.into()), Duration::from_millis(self.last.into()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::flv::file::{
        DURATION_AT, FILE_SIZE_AT, LAST_TIMESTAMP_AT, Reader, Tag, header, metadata_tag, write_tag,
    };

    /// A part as the recorder leaves it, with these frames, each 40 ms after the one before.
    fn part(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut file = header(true, true).to_vec();
        file.extend(metadata_tag(None));
        write_tag(Kind::Video, 0, b"\x17\0\0\0\0\x01header", &mut file).unwrap();
        for (n, payload) in payloads.iter().enumerate() {
            let payload = [b"\x17\x01\0\0\0", &payload[..], b"\x80"].concat();
            write_tag(Kind::Video, n as u32 * 40, &payload, &mut file).unwrap();
        }
        file
    }

    /// Its whole tags; none, where not even the signature is whole.
    fn tags(bytes: &[u8]) -> Vec<Tag> {
        let mut reader = Reader::new();
        reader.push(bytes);
        std::iter::from_fn(|| reader.read_tag().ok().flatten()).collect()
    }

    /// The file with these bytes in a folder of its own.
    fn lying(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    const PART: &str = "20261124T125851.123Z_live_1a2b3c4d.flv.part";

    fn number(bytes: &[u8], at: u64) -> f64 {
        f64::from_be_bytes(*bytes[at as usize..].first_chunk().unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_file_cut_anywhere_is_repaired_to_exactly_its_whole_tags(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..12),
            cut in any::<prop::sample::Index>(),
            zeros in prop::sample::select(&[0usize, 0, 1, 4096][..]),
        ) {
            let whole = part(&payloads);
            let left = &whole[..cut.index(whole.len() + 1)];
            let before = [left, &vec![0; zeros]].concat();
            let (_folder, path) = lying(PART, &before);
            // Metadata and header are no picture.
            let expected = if zeros == 0 { tags(left) } else { tags(&before) };
            match repair(&path) {
                Ok(repaired) => {
                    let after = fs::read(&repaired.path).unwrap();
                    let got = tags(&after);
                    // Zeros may have completed the torn tag, to the eye.
                    let frames = got.len() - 2;
                    prop_assert_eq!(&got[1..], &expected[1..got.len()]);
                    prop_assert!(got.len() == expected.len() || zeros > 0, "{} of {}", got.len(), expected.len());
                    prop_assert!(got.len() >= tags(left).len(), "nothing whole is lost");
                    let seconds = |frames: usize| Duration::from_millis(frames as u64 * 40).as_secs_f64();
                    // Of a single frame nobody knows how long it is.
                    prop_assert_eq!(number(&after, DURATION_AT), seconds(if frames == 1 { 0 } else { frames }));
                    prop_assert_eq!(number(&after, LAST_TIMESTAMP_AT), seconds(frames - 1));
                    prop_assert_eq!(number(&after, FILE_SIZE_AT), after.len() as f64);
                    prop_assert!(repaired.path.extension().unwrap() == "flv" && !path.exists());
                    let again = repair(&repaired.path).unwrap();
                    prop_assert_eq!((again.cut, again.path), (0, repaired.path.clone()));
                    prop_assert!(fs::read(&repaired.path).unwrap() == after, "twice is once");
                }
                Err(Error::Empty) => {
                    prop_assert!(tags(left).len() <= 2, "{} tags", expected.len());
                    prop_assert!(fs::read(&path).unwrap() == before, "left as it was");
                }
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
    }

    #[test]
    fn a_truncated_file_keeps_its_name_and_another_file_is_not_written_over() {
        let whole = part(&[vec![1], vec![2], vec![3]]);
        let (folder, path) = lying("film.flv", &whole[..whole.len() - 7]);
        let repaired = repair(&path).unwrap();
        assert_eq!((repaired.path.clone(), repaired.tags, repaired.cut), (path.clone(), 4, 15));
        assert_eq!(repaired.duration, Duration::from_millis(80));
        let second = folder.path().join("film.flv.part");
        fs::write(&second, &whole).unwrap();
        let film = fs::read(&path).unwrap();
        assert_eq!(repair(&second).unwrap().path, folder.path().join("film-2.flv"));
        assert!(fs::read(&path).unwrap() == film);
    }

    #[test]
    fn what_is_not_torn_is_not_cut() {
        let whole = part(&[vec![1], vec![2]]);
        let (_folder, path) = lying("film.flv", &whole);
        assert_eq!(repair(&path).unwrap().cut, 0);
        let sound = fs::read(&path).unwrap();
        assert!(!repair(&path).unwrap().changed);
        // Something in the middle that is no tag: what is behind it may be whole.
        let mut damaged = sound.clone();
        let third = whole.len() - 2 * 22;
        damaged[third] = 0x77;
        fs::write(&path, &damaged).unwrap();
        assert!(matches!(repair(&path), Err(Error::Damaged(at)) if at == third as u64));
        assert!(fs::read(&path).unwrap() == damaged);
        for (bytes, is_empty) in [(&b"GIF89a"[..], false), (b"", true), (b"FL", true), (&sound[..13], true)] {
            fs::write(&path, bytes).unwrap();
            let error = repair(&path).unwrap_err();
            assert!(if is_empty { matches!(error, Error::Empty) } else { matches!(error, Error::NotFlv) }, "{error}");
            assert!(fs::read(&path).unwrap() == bytes);
        }
    }

    #[test]
    fn a_part_that_somebody_writes_is_left_alone_and_so_is_what_is_not_ours() {
        let (folder, path) = lying(PART, &part(&[vec![1]]));
        let empty = folder.path().join(PART.replace("123Z", "124Z"));
        fs::write(&empty, b"FLV").unwrap();
        let film = folder.path().join("film.flv.part");
        fs::write(&film, part(&[vec![1]])).unwrap();
        let link = folder.path().join(PART.replace("123Z", "125Z"));
        std::os::unix::fs::symlink(&film, &link).unwrap();

        let writing = File::options().write(true).open(&path).unwrap();
        writing.try_lock().unwrap();
        assert!(matches!(repair(&path), Err(Error::InUse)));
        let outcomes = repair_folder(folder.path());
        assert!(matches!(&outcomes[..], [(part, Err(Error::Empty))] if *part == empty), "{outcomes:?}");
        assert!(path.exists() && !empty.exists());
        drop(writing);
        let outcomes = repair_folder(folder.path());
        assert!(matches!(&outcomes[..], [(part, Ok(_))] if *part == path), "{outcomes:?}");
        assert!(film.exists() && link.exists() && !path.exists());
        assert!(repair_folder(folder.path()).is_empty() && repair_folder(Path::new("/nowhere")).is_empty());
    }
}
