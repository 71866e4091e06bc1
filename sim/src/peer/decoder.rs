//! A decoder of what a client sends, straight from RTMP 1.0 §5.3 and AMF0 §2, written apart from the product's, so that the two
//! cannot be wrong together. Strict: what the product should never send is an error, even where any server would take it.

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};

use super::Result;

/// One direction of one connection, after the handshake.
pub(super) struct Decoder {
    chunk_size: usize,
    lanes: BTreeMap<u8, Lane>,
}

/// What a chunk stream's later headers leave out, and its message so far.
#[derive(Default)]
struct Lane {
    time: u32,
    extended: Option<u32>,
    length: usize,
    type_id: u8,
    payload: Vec<u8>,
    inside: bool,
}

/// A whole message.
pub(super) struct Said {
    pub(super) time: u32,
    pub(super) type_id: u8,
    pub(super) payload: Vec<u8>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Decoder { chunk_size: 128, lanes: BTreeMap::new() }
    }

    /// The next whole message in `input`; none until more has come.
    pub(super) fn message(&mut self, input: &mut BytesMut) -> Result<Option<Said>> {
        while let Some((lane, complete)) = self.chunk(input)? {
            if !complete {
                continue;
            }
            let lane = self.lanes.get_mut(&lane).ok_or("it is there")?;
            lane.inside = false;
            let payload = std::mem::take(&mut lane.payload);
            if lane.type_id == 1 {
                self.chunk_size = u32::from_be_bytes(payload[..].try_into()?) as usize;
                continue;
            }
            return Ok(Some(Said { time: lane.time, type_id: lane.type_id, payload }));
        }
        Ok(None)
    }

    /// Whether some message has begun and is not complete.
    pub(super) fn is_inside(&self) -> bool {
        self.lanes.values().any(|lane| lane.inside)
    }

    /// Takes one chunk, once all of it is there: which chunk stream it was of, and whether it completed a message.
    fn chunk(&mut self, input: &mut BytesMut) -> Result<Option<(u8, bool)>> {
        let Some(&first) = input.first() else { return Ok(None) };
        let (format, id) = (first >> 6, first & 0x3f);
        if !(2..32).contains(&id) {
            Err(format!("chunk stream {id}: nginx-rtmp closes on 32 and more"))?;
        }
        let header = [11, 7, 3, 0][usize::from(format)];
        let Some(fields) = input.get(1..1 + header) else { return Ok(None) };
        let fields = fields.to_vec();
        let number = |at: usize| u32::from_be_bytes([0, fields[at], fields[at + 1], fields[at + 2]]);
        let known = self.lanes.get(&id);
        match (format, known) {
            (1 | 2, None) => Err("a delta with nothing before it")?,
            (3, None) => Err("a continuation of nothing")?,
            (3, Some(lane)) if !lane.inside => Err("type 3 for a new message, which servers time differently")?,
            (0..=2, Some(lane)) if lane.inside => Err("a header inside a message")?,
            _ => {}
        }
        let field = if format < 3 { number(0) } else { 0 };
        let extended = if format == 3 { known.is_some_and(|lane| lane.extended.is_some()) } else { field == 0xff_ffff };
        let start = 1 + header + if extended { 4 } else { 0 };
        let Some(wide) = input.get(1 + header..start) else { return Ok(None) };
        let wide = extended.then(|| u32::from_be_bytes([wide[0], wide[1], wide[2], wide[3]]));
        let length = if format < 2 { number(3) as usize } else { known.map_or(0, |lane| lane.length) };
        let had = known.map_or(0, |lane| lane.payload.len());
        let end = start + (length - had).min(self.chunk_size);
        let Some(bytes) = input.get(start..end) else { return Ok(None) };
        let bytes = bytes.to_vec();
        let lane = self.lanes.entry(id).or_default();
        match format {
            0 => lane.time = wide.unwrap_or(field),
            1 | 2 => lane.time = lane.time.wrapping_add(wide.unwrap_or(field)),
            _ if wide != lane.extended => Err("another extended timestamp on a continuation")?,
            _ => {}
        }
        if format < 3 {
            lane.extended = wide;
        }
        if format < 2 {
            (lane.length, lane.type_id) = (length, fields[6]);
        }
        lane.inside = true;
        lane.payload.extend_from_slice(&bytes);
        let complete = lane.payload.len() == lane.length;
        input.advance(end);
        Ok(Some((id, complete)))
    }
}

/// A command's name and transaction id: a string and a number (AMF0 §2.4, §2.2).
pub(super) fn command(payload: &[u8]) -> Result<(String, f64)> {
    let (&[marker, high, low], rest) = payload.split_first_chunk().ok_or("a command without a name")?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let (name, rest) = rest.split_at_checked(length).ok_or("a name cut short")?;
    match rest.split_first_chunk::<9>() {
        Some((&[0, a, b, c, d, e, f, g, h], _)) if marker == 2 => {
            Ok((String::from_utf8(name.to_vec())?, f64::from_be_bytes([a, b, c, d, e, f, g, h])))
        }
        _ => Err("no command")?,
    }
}
