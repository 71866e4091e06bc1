//! A film: a log's frames as the bytes of one FLV file. Metadata and the headers in force come first; times begin at zero.
//!
//! A recording is one, and so is what a viewer is sent: they differ in where the bytes go.

use std::sync::Arc;
use std::time::Duration;

use crate::flv::{Kind, file};
use crate::stream::{Frame, Preamble};

/// What has been put into a file, as far as that matters for what comes next.
#[derive(Debug)]
pub struct Film {
    base: u64,
    duration: Duration,
    last: Duration,
    preamble: Arc<Preamble>,
}

impl Film {
    /// A film that begins with `first`, which has to be added. What stands before it is put at the end of `out`.
    pub fn begin(first: &Frame, out: &mut Vec<u8>) -> Self {
        let (audio, video) = (first.preamble.has(Kind::Audio), first.preamble.has(Kind::Video));
        // Codecs without headers announce themselves by their frames only.
        let (audio, video) = if audio || video { (audio, video) } else { (true, true) };
        out.extend(file::header(audio, video));
        out.extend(file::metadata_tag(first.preamble.metadata().map(|m| &m[..])));
        let preamble = first.preamble.clone();
        let film = Film { base: first.time, duration: Duration::ZERO, last: Duration::ZERO, preamble };
        for item in first.preamble.since(None).filter(|item| item.kind != Kind::Data) {
            film.tag(item.kind, first.time, &item.payload, out);
        }
        film
    }

    /// Puts a frame at the end of `out`, and before it the headers that have changed.
    pub fn add(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        if !Arc::ptr_eq(&self.preamble, &frame.preamble) {
            let old = std::mem::replace(&mut self.preamble, frame.preamble.clone());
            // A file has one set of metadata, at its beginning: more of it looks like subtitles to players, and GStreamer
            // says everything again each second.
            for item in frame.preamble.since(Some(&old)).filter(|item| item.kind != Kind::Data) {
                self.tag(item.kind, frame.time, &item.payload, out);
            }
        }
        self.tag(frame.kind, frame.time, &frame.payload, out);
        // The last frame lasts about as long as the one before it.
        let time = frame.time.saturating_sub(self.base);
        self.last = self.last.max(Duration::from_millis(time));
        self.duration = self.duration.max(Duration::from_millis(time + u64::from(frame.delta).min(1000)));
    }

    fn tag(&self, kind: Kind, time: u64, payload: &[u8], out: &mut Vec<u8>) {
        let time = time.saturating_sub(self.base) as u32;
        file::write_tag(kind, time, payload, out).expect("a message is no longer than a tag can be");
    }

    /// How long it is.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The latest time in it.
    pub fn last(&self) -> Duration {
        self.last
    }

    /// The headers of its last frame.
    pub fn preamble(&self) -> &Preamble {
        &self.preamble
    }
}
