//! A second reader and writer of chunks, straight from RTMP 1.0 §5.3, so that a misunderstanding of the product's cannot
//! confirm itself. It knows nothing of sockets, limits or bad peers.

use std::collections::BTreeMap;
use std::fmt;

/// One chunk as it stands on the wire. What its header leaves out is `None`.
pub(crate) struct Chunk {
    /// Where its first byte is.
    pub(crate) at: usize,
    pub(crate) fmt: u8,
    pub(crate) csid: u32,
    /// The three bytes, before any extension.
    pub(crate) time: Option<u32>,
    pub(crate) extended: Option<u32>,
    pub(crate) length: Option<usize>,
    pub(crate) type_id: Option<u8>,
    pub(crate) msid: Option<u32>,
    /// Bytes of the message in this chunk.
    pub(crate) payload: usize,
    /// A message begins here.
    pub(crate) begins: bool,
    /// The message that is complete with it.
    pub(crate) completes: Option<Said>,
}

/// A message, put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// Where the byte after its last one is.
    pub(crate) end: usize,
    pub(crate) time: u32,
    pub(crate) type_id: u8,
    pub(crate) msid: u32,
    pub(crate) payload: Vec<u8>,
}

/// The chunks of one direction, from its first chunk on. Ends where the bytes do, or in the middle of a chunk.
pub(crate) struct Chunks<'a> {
    wire: &'a [u8],
    at: usize,
    size: usize,
    known: BTreeMap<u32, Known>,
}

#[derive(Default, Clone)]
struct Known {
    time: u32,
    step: u32,
    extended: bool,
    length: usize,
    type_id: u8,
    msid: u32,
    payload: Vec<u8>,
}

impl<'a> Chunks<'a> {
    /// The chunks in `wire` from `at` on, which is where the handshake ends.
    pub(crate) fn new(wire: &'a [u8], at: usize) -> Self {
        Chunks { wire, at, size: 128, known: BTreeMap::new() }
    }

    /// The messages of the chunks that are left.
    pub(crate) fn messages(self) -> Vec<Said> {
        self.filter_map(|chunk| chunk.completes).collect()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.wire.get(self.at..self.at + count)?;
        self.at += count;
        Some(bytes)
    }

    fn number(&mut self, count: usize) -> Option<u32> {
        Some(self.take(count)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn chunk(&mut self) -> Option<Chunk> {
        let at = self.at;
        let first = self.number(1)?;
        let fmt = (first >> 6) as u8;
        let csid = match first & 63 {
            0 => 64 + self.number(1)?,
            // The third byte counts 256 times: the only number but the message stream id that is little-endian.
            1 => 64 + self.number(1)? + 256 * self.number(1)?,
            id => id,
        };
        let mut known = self.known.get(&csid).cloned().unwrap_or_default();
        let time = if fmt <= 2 { Some(self.number(3)?) } else { None };
        let length = if fmt <= 1 { Some(self.number(3)? as usize) } else { None };
        let type_id = if fmt <= 1 { Some(self.number(1)? as u8) } else { None };
        let msid = if fmt == 0 { Some(self.number(4)?.swap_bytes()) } else { None };
        // Without a field of its own a chunk has the extension if the last one with a field had it (§5.3.1.3).
        known.extended = time.map_or(known.extended, |time| time == 0xff_ffff);
        let extended = if known.extended { Some(self.number(4)?) } else { None };

        known.length = length.unwrap_or(known.length);
        known.type_id = type_id.unwrap_or(known.type_id);
        known.msid = msid.unwrap_or(known.msid);
        let begins = known.payload.is_empty();
        if begins {
            known.step = if fmt <= 2 { extended.or(time)? } else { known.step };
            known.time = if fmt == 0 { known.step } else { known.time.wrapping_add(known.step) };
        }
        let payload = self.take(self.size.min(known.length - known.payload.len()))?;
        known.payload.extend_from_slice(payload);
        let completes = (known.payload.len() == known.length).then(|| Said {
            end: self.at,
            time: known.time,
            type_id: known.type_id,
            msid: known.msid,
            payload: std::mem::take(&mut known.payload),
        });
        if let Some(Said { type_id: 1, payload, .. }) = &completes {
            self.size = payload.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
        }
        self.known.insert(csid, known);
        let payload = payload.len();
        Some(Chunk { at, fmt, csid, time, extended, length, type_id, msid, payload, begins, completes })
    }
}

impl Iterator for Chunks<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        self.chunk()
    }
}

/// The chunks as a table of `rows` rows. Continuations that follow each other and are alike share one.
pub(crate) fn table(chunks: Chunks, rows: usize) -> String {
    let chunks: Vec<_> = chunks.collect();
    let alike = |a: &Chunk, b: &Chunk| (a.csid, a.payload, a.begins, b.begins) == (b.csid, b.payload, false, false);
    let rows = chunks.chunk_by(alike).take(rows).map(|run| match run.len() {
        1 => format!("{}\n", run[0]),
        times => format!("{} × {times}\n", run[0]),
    });
    "    at fmt csid timestamp  length type        stream payload\n".to_owned() + &rows.collect::<String>()
}

impl fmt::Display for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn column<T: fmt::Display>(value: Option<T>) -> String {
            value.map_or("·".to_owned(), |value| value.to_string())
        }
        let time = match self.extended {
            Some(extended) => format!("+{extended:08x}"),
            None => column(self.time),
        };
        let kind = self.type_id.map(|id| format!("{id:>2} {}", type_name(id)));
        write!(
            f,
            "{:>6} {:>3} {:>4} {time:>9} {:>7} {:<11} {:>6} {:>7}",
            self.at,
            self.fmt,
            self.csid,
            column(self.length),
            column(kind),
            column(self.msid),
            self.payload
        )?;
        // The other types say so by their own.
        f.write_str(if self.fmt == 3 && self.begins { " begins a message" } else { "" })
    }
}

/// What a message type is called (§5.4, §7.1).
pub(crate) fn type_name(type_id: u8) -> &'static str {
    match type_id {
        1 => "chunk size",
        2 => "abort",
        3 => "ack",
        4 => "user",
        5 => "window",
        6 => "bandwidth",
        8 => "audio",
        9 => "video",
        15 => "amf3 data",
        17 => "amf3 call",
        18 => "data",
        20 => "command",
        22 => "aggregate",
        _ => "?",
    }
}

/// How a chunk stream id is written: in the bytes it needs or in more (§5.3.1.1 allows 64 to 319 in two and in three).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Shortest,
    ThreeBytes,
}

/// A basic header.
pub(crate) fn basic_header(fmt: u8, csid: u32, form: Form) -> Vec<u8> {
    let above = csid.wrapping_sub(64);
    match (csid, form) {
        (2..=63, _) => vec![fmt << 6 | csid as u8],
        (64..=319, Form::Shortest) => vec![fmt << 6, above as u8],
        (64..=65_599, _) => vec![fmt << 6 | 1, (above % 256) as u8, (above / 256) as u8],
        _ => panic!("no chunk stream has the id {csid}"),
    }
}

/// A new message as its sender means to put it on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) fmt: u8,
    pub(crate) csid: u32,
    pub(crate) form: Form,
    /// The time of type 0, the delta of types 1 and 2. Type 3 has none, but repeats the extension if the last one had it.
    pub(crate) time: u32,
    pub(crate) type_id: u8,
    pub(crate) msid: u32,
    pub(crate) payload: Vec<u8>,
    /// Whether its type-3 chunks repeat the extended timestamp. librtmp in OBS before 30.1 leaves it out.
    pub(crate) repeats: bool,
}

impl Planned {
    /// The chunk that carries `part` of the payload, the first or a later one.
    pub(crate) fn chunk(&self, first: bool, part: &[u8]) -> Vec<u8> {
        let fmt = if first { self.fmt } else { 3 };
        let mut bytes = basic_header(fmt, self.csid, self.form);
        let extended = self.time >= 0xff_ffff;
        if fmt <= 2 {
            bytes.extend_from_slice(&self.time.min(0xff_ffff).to_be_bytes()[1..]);
        }
        if fmt <= 1 {
            bytes.extend_from_slice(&(self.payload.len() as u32).to_be_bytes()[1..]);
            bytes.push(self.type_id);
        }
        if fmt == 0 {
            bytes.extend_from_slice(&self.msid.to_le_bytes());
        }
        if extended && (first || self.repeats) {
            bytes.extend_from_slice(&self.time.to_be_bytes());
        }
        bytes.extend_from_slice(part);
        bytes
    }

    /// All chunks of it, one after the other.
    pub(crate) fn bytes(&self, chunk_size: usize) -> Vec<u8> {
        if self.payload.is_empty() {
            return self.chunk(true, &[]);
        }
        let parts = self.payload.chunks(chunk_size).enumerate();
        parts.flat_map(|(n, part)| self.chunk(n == 0, part)).collect()
    }
}

/// Set Chunk Size, in chunks of the size before it.
pub(crate) fn set_chunk_size(size: u32, before: usize) -> Vec<u8> {
    control(1, size, before)
}

/// Abort, in chunks of `size` bytes.
pub(crate) fn abort(csid: u32, size: usize) -> Vec<u8> {
    control(2, csid, size)
}

fn control(type_id: u8, number: u32, size: usize) -> Vec<u8> {
    let payload = number.to_be_bytes().to_vec();
    Planned { fmt: 0, csid: 2, form: Form::Shortest, time: 0, type_id, msid: 0, payload, repeats: true }.bytes(size)
}
