//! An FLV file: a header, then tags, each followed by its size (FLV E.2 to E.4). Bytes in, bytes out, no IO.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::Kind;
use crate::rtmp::amf0::Amf0;

/// Where a file that begins with [`header`] and [`metadata_tag`] has its duration: eight bytes, a big-endian `f64` in
/// seconds, to be written over when it is known.
pub const DURATION_AT: u64 = 53;

/// Where such a file has its own size, in the same form, in bytes.
pub const FILE_SIZE_AT: u64 = 72;

/// Where such a file has the time of its last tag, in the same form, in seconds.
pub const LAST_TIMESTAMP_AT: u64 = 96;

/// Metadata above this is not copied into a recording.
pub const METADATA_MAX: usize = 64 * 1024;

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its type.
    pub kind: Kind,
    /// Milliseconds; 31 bits are usable.
    pub timestamp: u32,
    /// Its body: an RTMP message payload.
    pub payload: Bytes,
}

/// What stands in front of a tag's body (E.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagHeader {
    /// The type of the tag, whatever it is.
    pub tag_type: u8,
    /// Bytes of its body.
    pub size: u32,
    /// Milliseconds.
    pub timestamp: u32,
    /// Always 0 in files that somebody meant to write.
    pub stream: u32,
}

impl TagHeader {
    /// Its length in bytes.
    pub const LEN: usize = 11;

    /// Reads one.
    pub fn read(bytes: &[u8; Self::LEN]) -> Self {
        let [tag_type, s2, s1, s0, t2, t1, t0, t3, i2, i1, i0] = *bytes;
        TagHeader {
            // The upper bits mark encryption or are reserved.
            tag_type: tag_type & 0x1f,
            size: u32::from_be_bytes([0, s2, s1, s0]),
            timestamp: u32::from_be_bytes([t3, t2, t1, t0]),
            stream: u32::from_be_bytes([0, i2, i1, i0]),
        }
    }
}

/// Why there is no file, or no more of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes do not begin like an FLV file of version 1, the only one there is (E.2).
    #[error("not an FLV file")]
    Signature,
    /// The file ends inside its header or inside a tag: whoever wrote it was interrupted. All tags read are good.
    #[error("FLV file ends inside a tag")]
    Cut,
    /// A payload is longer than the 24 bits of a tag's size (E.4.1) can say. Nothing was written.
    #[error("payload of {0} bytes does not fit an FLV tag")]
    TooLarge(usize),
}

/// What every file begins with: the header (E.2), which promises audio and video, and the size of the tag before the
/// first, which is 0 (E.3).
pub fn header(audio: bool, video: bool) -> [u8; 13] {
    let flags = u8::from(audio) << 2 | u8::from(video);
    [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]
}

/// Appends one tag and its size to `out`, which must be able to grow. The timestamp loses its highest bit: in a file it
/// is signed (E.4.1).
pub fn write_tag(kind: Kind, timestamp: u32, payload: &[u8], out: &mut impl BufMut) -> Result<(), Error> {
    if payload.len() > SIZE_MAX {
        return Err(Error::TooLarge(payload.len()));
    }
    let size = payload.len() as u32;
    let [_, size24 @ ..] = size.to_be_bytes();
    let [time_high, time24 @ ..] = (timestamp & 0x7fff_ffff).to_be_bytes();
    out.put_u8(kind.tag_type());
    out.put_slice(&size24);
    out.put_slice(&time24);
    out.put_u8(time_high);
    out.put_slice(&[0; 3]); // stream id, always 0
    out.put_slice(payload);
    out.put_u32(TagHeader::LEN as u32 + size);
    Ok(())
}

/// The first tag of a recording: onMetaData (E.5) with everything the publisher said in its own, if it can be read.
/// `duration`, `filesize` and `lasttimestamp` come first and are 0, to be filled in at [`DURATION_AT`], [`FILE_SIZE_AT`] and
/// [`LAST_TIMESTAMP_AT`].
pub fn metadata_tag(publisher: Option<&[u8]>) -> Vec<u8> {
    let placeholders = ["duration", "filesize", "lasttimestamp"];
    let mut fields: Vec<_> = placeholders.map(|key| (key.to_owned(), Amf0::Number(0.0))).into();
    let published = publisher.filter(|payload| payload.len() <= METADATA_MAX).and_then(published_fields);
    fields.extend(published.unwrap_or_default().into_iter().filter(|(key, _)| !placeholders.contains(&key.as_str())));

    let mut payload = Vec::new();
    Amf0::from("onMetaData").write(&mut payload);
    Amf0::EcmaArray(fields).write(&mut payload);
    let mut tag = Vec::new();
    write_tag(Kind::Data, 0, &payload, &mut tag)
        .expect("METADATA_MAX bytes fit a tag, even if each is invalid UTF-8 and so replaced by three");
    tag
}

fn published_fields(publisher: &[u8]) -> Option<Vec<(String, Amf0)>> {
    let mut rest = super::metadata(publisher)?;
    let _name = Amf0::read(&mut rest).ok()?;
    match Amf0::read(&mut rest).ok()? {
        Amf0::EcmaArray(fields) | Amf0::Object(fields) => Some(fields),
        _ => None,
    }
}

/// Reads a file from pieces of any size: push bytes, then pull tags until there is none.
///
/// It looks neither at the sizes between the tags, which some writers get wrong, nor into tags of other types.
#[derive(Debug, Default)]
pub struct Reader {
    unread: BytesMut,
    started: bool,
}

impl Reader {
    /// A reader at the beginning of a file.
    pub fn new() -> Reader {
        Reader::default()
    }

    /// Hands over the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next whole tag. `None` until more bytes are pushed.
    pub fn read_tag(&mut self) -> Result<Option<Tag>, Error> {
        if !self.started {
            if self.unread.len() < FILE_HEADER_LEN {
                return Ok(None);
            }
            if !self.unread.starts_with(SIGNATURE) {
                return Err(Error::Signature);
            }
            self.unread.advance(FILE_HEADER_LEN);
            self.started = true;
        }
        // The size of the tag before is read as part of the tag after it, so that a tag needs no byte behind it.
        while let Some(header) = self.unread.get(PREVIOUS_SIZE_LEN..).and_then(<[u8]>::first_chunk) {
            let TagHeader { tag_type, size, timestamp, .. } = TagHeader::read(header);
            let size = size as usize;
            if self.unread.len() < PREVIOUS_SIZE_LEN + TagHeader::LEN + size {
                return Ok(None);
            }
            self.unread.advance(PREVIOUS_SIZE_LEN + TagHeader::LEN);
            let payload = self.unread.split_to(size).freeze();
            if let Some(kind) = Kind::from_tag_type(tag_type) {
                return Ok(Some(Tag { kind, timestamp, payload }));
            }
        }
        Ok(None)
    }

    /// Says, after the last tag was pulled and the file is at its end, whether it ends between tags.
    pub fn finish(self) -> Result<(), Error> {
        if self.started && self.unread.len() <= PREVIOUS_SIZE_LEN { Ok(()) } else { Err(Error::Cut) }
    }
}

/// Three letters and the version.
pub const SIGNATURE: &[u8] = b"FLV\x01";

/// Bytes before the size of the tag before the first.
pub const FILE_HEADER_LEN: usize = 9;
/// Bytes of the size behind each tag.
pub const PREVIOUS_SIZE_LEN: usize = 4;

/// What fits 24 bits.
const SIZE_MAX: usize = 0x00ff_ffff;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::hex;
    use super::*;

    /// media.md §7.
    const EXAMPLE: &str = "464c5601 05 00000009 00000000
        08 000004 000000 00 000000 af001190 0000000f
        09 000005 234567 01 000000 1702000000 00000010";

    fn tag(kind: Kind, timestamp: u32, payload: &str) -> Tag {
        Tag { kind, timestamp, payload: hex(payload).into() }
    }

    fn example() -> Vec<Tag> {
        vec![tag(Kind::Audio, 0, "af001190"), tag(Kind::Video, 0x0123_4567, "1702000000")]
    }

    fn written(tags: &[Tag]) -> Vec<u8> {
        let mut out = header(true, true).to_vec();
        for tag in tags {
            write_tag(tag.kind, tag.timestamp, &tag.payload, &mut out).unwrap();
        }
        out
    }

    /// The tags of a file that arrives in pieces of `piece` bytes, and how it ends.
    fn read(file: &[u8], piece: usize) -> (Vec<Tag>, Result<(), Error>) {
        let mut reader = Reader::new();
        let mut tags = Vec::new();
        for bytes in file.chunks(piece) {
            reader.push(bytes);
            loop {
                match reader.read_tag() {
                    Ok(Some(tag)) => tags.push(tag),
                    Ok(None) => break,
                    Err(error) => return (tags, Err(error)),
                }
            }
        }
        (tags, reader.finish())
    }

    /// The fields of a metadata tag, as one line, and the three numbers at their offsets in the file.
    fn fields(metadata: &[u8]) -> (String, [f64; 3]) {
        let file = [header(true, true).as_slice(), metadata].concat();
        let (tags, end) = read(&file, usize::MAX);
        assert_eq!((tags.len(), tags[0].kind, tags[0].timestamp, end), (1, Kind::Data, 0, Ok(())));
        let values = Amf0::read_all(&tags[0].payload).unwrap();
        assert_eq!((values.len(), values[0].as_str()), (2, Some("onMetaData")));
        let number = |at: u64| (&file[at as usize..]).get_f64();
        (values[1].to_string(), [DURATION_AT, FILE_SIZE_AT, LAST_TIMESTAMP_AT].map(number))
    }

    fn published(value: Amf0) -> Vec<u8> {
        let mut payload = Vec::new();
        for value in ["@setDataFrame".into(), "onMetaData".into(), value] {
            value.write(&mut payload);
        }
        payload
    }

    #[test]
    fn the_example_is_written_byte_for_byte() {
        assert_eq!(written(&example()), hex(EXAMPLE));
    }

    #[test]
    fn the_example_is_read_in_pieces_of_any_size() {
        for piece in 1..=hex(EXAMPLE).len() {
            assert_eq!(read(&hex(EXAMPLE), piece), (example(), Ok(())), "pieces of {piece}");
        }
    }

    #[test]
    fn the_header_says_what_the_file_holds() {
        let flags = [(true, true), (true, false), (false, true)].map(|(audio, video)| header(audio, video)[4]);
        assert_eq!(flags, [5, 4, 1]);
    }

    #[test]
    fn times_above_24_bits_use_the_high_byte_and_the_sign_bit_is_left_out() {
        for (time, read_back) in [(0x00ff_ffff, 0x00ff_ffff), (0x0100_0000, 0x0100_0000), (u32::MAX, 0x7fff_ffff)] {
            let (tags, _) = read(&written(&[tag(Kind::Video, time, "2701")]), usize::MAX);
            assert_eq!(tags[0].timestamp, read_back);
        }
    }

    #[test]
    fn a_payload_of_24_bits_is_the_largest() {
        let mut out = Vec::new();
        assert_eq!(write_tag(Kind::Video, 0, &vec![0; SIZE_MAX + 1], &mut out), Err(Error::TooLarge(0x0100_0000)));
        assert!(out.is_empty());
        let largest = Tag { kind: Kind::Video, timestamp: 0, payload: vec![7; SIZE_MAX].into() };
        let file = written(std::slice::from_ref(&largest));
        assert_eq!(read(&file, 1 << 20), (vec![largest], Ok(())));
    }

    #[test]
    fn a_file_cut_anywhere_gives_its_whole_tags_and_says_that_it_is_cut() {
        let file = hex(EXAMPLE);
        for len in 0..file.len() {
            let (tags, end) = read(&file[..len], usize::MAX);
            let whole = [28, 48].iter().filter(|&&tag_end| len >= tag_end).count();
            assert_eq!(tags, example()[..whole], "cut after {len}");
            let between_tags = [9..=13, 28..=32, 48..=52].iter().any(|gap| gap.contains(&len));
            assert_eq!(end, if between_tags { Ok(()) } else { Err(Error::Cut) }, "cut after {len}");
        }
    }

    #[test]
    fn something_else_is_no_flv_file() {
        for file in ["464c5602 05 00000009", "000000206674797069736f6d", "474554202f20485454502f"] {
            let mut reader = Reader::new();
            reader.push(&hex(file));
            assert_eq!(reader.read_tag(), Err(Error::Signature));
            assert_eq!(reader.read_tag(), Err(Error::Signature));
        }
    }

    #[test]
    fn wrong_sizes_between_tags_do_not_matter() {
        let file = EXAMPLE.replace("0000000f", "deadbeef").replace("00000010", "00000000");
        assert_eq!(read(&hex(&file), usize::MAX), (example(), Ok(())));
    }

    #[test]
    fn tags_of_other_types_are_skipped_and_filter_bits_ignored() {
        let file = "464c5601 05 00000009 00000000
            0f 000002 000000 00 000000 0000 0000000d
            28 000002 000000 00 000000 af01 0000000d
            00 000000 000000 00 000000 0000000b";
        assert_eq!(read(&hex(file), usize::MAX), (vec![tag(Kind::Audio, 0, "af01")], Ok(())));
    }

    #[test]
    fn a_promised_size_allocates_nothing() {
        let mut reader = Reader::new();
        reader.push(&hex("464c5601 05 00000009 00000000 09 ffffff 000000 00 000000 17"));
        assert_eq!(reader.read_tag(), Ok(None));
        assert!(reader.unread.capacity() < 1024);
        assert_eq!(reader.finish(), Err(Error::Cut));
    }

    #[test]
    fn a_recording_begins_with_the_publishers_metadata_and_three_numbers_to_fill_in() {
        let publisher = Amf0::EcmaArray(vec![
            ("duration".into(), 7.0.into()),
            ("width".into(), 320.0.into()),
            ("filesize".into(), "large".into()),
            ("encoder".into(), "obs-output".into()),
            ("duration".into(), 8.0.into()),
        ]);
        let mut tag = metadata_tag(Some(&published(publisher)));
        let line = r#"ecma{duration: 0, filesize: 0, lasttimestamp: 0, width: 320, encoder: "obs-output"}"#;
        assert_eq!(fields(&tag), (line.to_owned(), [0.0; 3]));

        let duration_at = DURATION_AT as usize - header(true, true).len();
        tag[duration_at..][..8].copy_from_slice(&12.5f64.to_be_bytes());
        let last_at = LAST_TIMESTAMP_AT as usize - header(true, true).len();
        tag[last_at..][..8].copy_from_slice(&0.75f64.to_be_bytes());
        let line = r#"ecma{duration: 12.5, filesize: 0, lasttimestamp: 0.75, width: 320, encoder: "obs-output"}"#;
        assert_eq!(fields(&tag), (line.to_owned(), [12.5, 0.0, 0.75]));
    }

    #[test]
    fn a_plain_object_is_metadata_too() {
        // nginx-rtmp 1.2.2 pushes one: fixtures §3.6.
        let publisher = published(Amf0::object([("width", 320.0.into())]));
        assert_eq!(
            fields(&metadata_tag(Some(&publisher))).0,
            "ecma{duration: 0, filesize: 0, lasttimestamp: 0, width: 320}"
        );
    }

    #[test]
    fn metadata_that_cannot_be_used_leaves_the_three_numbers() {
        let too_long = published(Amf0::object([("x", "x".repeat(METADATA_MAX).into())]));
        let amf3 = [published(Amf0::Null), vec![0x11]].concat();
        let cut = hex("02000a6f6e4d65746144617461 08 00000001 0005 77");
        for publisher in [None, Some(&too_long[..]), Some(&amf3[..]), Some(&cut[..]), Some(b"\x02"), Some(b"")] {
            assert_eq!(
                fields(&metadata_tag(publisher)),
                ("ecma{duration: 0, filesize: 0, lasttimestamp: 0}".to_owned(), [0.0; 3])
            );
        }
    }

    #[test]
    fn metadata_full_of_invalid_text_still_fits_a_tag() {
        let name = b"\x02\x00\x0aonMetaData\x03\x00\x01x\x0c";
        let text_len = METADATA_MAX - name.len() - 4;
        let publisher = [&name[..], &(text_len as u32).to_be_bytes(), &vec![0xff; text_len]].concat();
        assert_eq!(publisher.len(), METADATA_MAX);
        assert!(metadata_tag(Some(&publisher)).len() > 3 * text_len);
    }

    fn any_tag() -> impl Strategy<Value = Tag> {
        let kind = prop::sample::select(&Kind::ALL);
        let payload = prop::collection::vec(any::<u8>(), 0..100);
        (kind, 0..=0x7fff_ffffu32, payload).prop_map(|(kind, timestamp, payload)| Tag {
            kind,
            timestamp,
            payload: payload.into(),
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tags in prop::collection::vec(any_tag(), 0..10), piece in 1usize..200) {
            prop_assert_eq!(read(&written(&tags), piece), (tags, Ok(())));
        }

        #[test]
        fn any_bytes_behind_a_header_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let file = [header(true, true).as_slice(), &bytes].concat();
            prop_assert_eq!(read(&file, 7), read(&file, usize::MAX));
        }
    }
}
