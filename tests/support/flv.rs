//! What a recording of a publisher would be: its messages through `Ingest` onto a log, a cursor on that log, tags.

use std::sync::Arc;
use std::time::Duration;

use rtmp_relay::flv::{self, Codec, Kind, file};
use rtmp_relay::ingest::Ingest;
use rtmp_relay::rtmp::Message;
use rtmp_relay::stream::log::Limits;
use rtmp_relay::stream::{Cursor, Directory, Frame, Hops, Join, Name, Preamble};

use super::hex::digest;

/// From the first frame on, whatever it costs: as the recorder reads.
const JOIN: Join = Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX };

/// The file. Duration and size are left at 0.
pub(crate) fn record(messages: Vec<Message>) -> Vec<u8> {
    let name = Name::new("live/show").expect("a sound name");
    let publication = Directory::new(Limits::default()).publish(name, Hops::default()).expect("nobody else is there");
    let mut cursor = Cursor::new(publication.log().clone(), JOIN);
    let mut ingest = Ingest::new(publication);
    let mut file = File::default();
    for message in messages {
        ingest.message(message);
        cursor.read(|frame, _| {
            file.add(frame);
            true
        });
    }
    file.bytes
}

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    begun: Option<(u64, Arc<Preamble>)>,
}

impl File {
    /// Puts the frame behind everything that has to be there before it.
    fn add(&mut self, frame: &Frame) {
        let (base, before) = match self.begun.take() {
            Some((base, before)) => (base, Some(before)),
            None => {
                let metadata = frame.preamble.metadata().map(|metadata| &metadata[..]);
                self.bytes.extend_from_slice(&file::header(true, true));
                self.bytes.extend(file::metadata_tag(metadata));
                (frame.time, None)
            }
        };
        let time = frame.time.saturating_sub(base) as u32;
        for item in frame.preamble.since(before.as_deref()) {
            // The first metadata is in the metadata tag.
            if before.is_some() || item.kind != Kind::Data {
                self.tag(item.kind, time, &item.payload);
            }
        }
        self.tag(frame.kind, time, &frame.payload);
        self.begun = Some((base, frame.preamble.clone()));
    }

    fn tag(&mut self, kind: Kind, time: u32, payload: &[u8]) {
        file::write_tag(kind, time, payload, &mut self.bytes).expect("a message fits a tag");
    }
}

/// The file as a table: its first and last tags, and a digest of every byte. Reads tags by itself (FLV E.4.1).
pub(crate) fn table(file: &[u8], first: usize, last: usize) -> String {
    let mut rows = Vec::new();
    let mut rest = &file[13..];
    while let Some((&[tag_type, s2, s1, s0, t2, t1, t0, t3, 0, 0, 0], after)) = rest.split_first_chunk() {
        let size = u32::from_be_bytes([0, s2, s1, s0]);
        let (payload, after) = after.split_at(size as usize);
        let (&previous, after) = after.split_first_chunk().expect("the tag's size");
        assert_eq!(u32::from_be_bytes(previous), 11 + size, "the size behind tag {}", rows.len());
        let kind = Kind::from_tag_type(tag_type).expect("audio, video or data");
        let tag = flv::classify(kind, payload);
        let codec = if tag.codec == Codec::None { String::new() } else { tag.codec.to_string() };
        rows.push(format!(
            "{:>4} {:<5} {:>6} {size:>6} {} {:<6} {codec:<5} {}",
            rows.len(),
            format!("{kind:?}").to_lowercase(),
            u32::from_be_bytes([t3, t2, t1, t0]),
            digest(payload),
            format!("{:?}", tag.role).to_lowercase(),
            if tag.key { "key" } else { "" }
        ));
        rest = after;
    }
    assert!(rest.is_empty(), "{} bytes behind the last tag", rest.len());
    let total = rows.len();
    if let Some(left_out) = total.checked_sub(first + last).filter(|left_out| *left_out > 0) {
        rows.splice(first..first + left_out, [format!("   … {left_out} more")]);
    }
    let table: Vec<_> = rows.iter().map(|row| row.trim_end()).collect();
    format!(
        " tag kind    time   size sha256   role   codec\n{}\n{total} tags, {} bytes, sha256 {}\n",
        table.join("\n"),
        file.len(),
        digest(file)
    )
}
