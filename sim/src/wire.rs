//! Bytes as they stand on the wire, straight from RTMP 1.0 and AMF 0, for peers who need not keep to either. Nothing of the
//! product is asked, so that the two cannot be wrong together.

/// Bytes of C1, S1, C2 and S2 (§5.2.3).
pub const SIZE: usize = 1536;

/// Message type ids (§5.4, §7.1).
pub mod kind {
    #![allow(missing_docs)]
    pub const SET_CHUNK_SIZE: u8 = 1;
    pub const ABORT: u8 = 2;
    pub const ACKNOWLEDGEMENT: u8 = 3;
    pub const USER_CONTROL: u8 = 4;
    pub const WINDOW: u8 = 5;
    pub const BANDWIDTH: u8 = 6;
    pub const AUDIO: u8 = 8;
    pub const VIDEO: u8 = 9;
    pub const DATA3: u8 = 15;
    pub const OBJECT3: u8 = 16;
    pub const COMMAND3: u8 = 17;
    pub const DATA: u8 = 18;
    pub const OBJECT: u8 = 19;
    pub const COMMAND: u8 = 20;
    pub const AGGREGATE: u8 = 22;
}

/// C0 and C1, or S0 and S1.
pub fn hello() -> Vec<u8> {
    let random = (0..SIZE - 8).map(|n| (n * 7 + n / 256) as u8);
    [3, 0, 0, 0, 0, 0, 0, 0, 0].into_iter().chain(random).collect()
}

/// C2 or S2, whose contents nobody looks at.
pub fn echo() -> Vec<u8> {
    vec![0x5a; SIZE]
}

/// A basic header (§5.3.1.1).
pub fn basic(format: u8, stream: u32) -> Vec<u8> {
    let format = format << 6;
    match stream {
        2..64 => vec![format | stream as u8],
        64..320 => vec![format, (stream - 64) as u8],
        _ => vec![format | 1, (stream - 64) as u8, ((stream - 64) >> 8) as u8],
    }
}

/// A type-0 header (§5.3.1.2.1) that promises so many bytes.
pub fn header(chunk_stream: u32, time: u32, length: usize, kind: u8, stream: u32) -> Vec<u8> {
    let mut out = basic(0, chunk_stream);
    out.extend(&time.min(0xff_ffff).to_be_bytes()[1..]);
    out.extend(&(length as u32).to_be_bytes()[1..]);
    out.push(kind);
    out.extend(stream.to_le_bytes());
    if time >= 0xff_ffff {
        out.extend(time.to_be_bytes());
    }
    out
}

/// A message in chunks of 128 bytes.
pub fn message(chunk_stream: u32, time: u32, kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    in_chunks(128, chunk_stream, time, kind, stream, payload)
}

/// A message in chunks of so many bytes.
pub fn in_chunks(size: usize, chunk_stream: u32, time: u32, kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = header(chunk_stream, time, payload.len(), kind, stream);
    for (n, chunk) in payload.chunks(size).enumerate() {
        if n > 0 {
            out.extend(basic(3, chunk_stream));
            if time >= 0xff_ffff {
                out.extend(time.to_be_bytes());
            }
        }
        out.extend(chunk);
    }
    out
}

/// A protocol control message with a number (§5.4).
pub fn control(kind: u8, number: u32) -> Vec<u8> {
    message(2, 0, kind, 0, &number.to_be_bytes())
}

/// A user control message (§6.2).
pub fn user_control(event: u16, number: u32) -> Vec<u8> {
    message(2, 0, kind::USER_CONTROL, 0, &[&event.to_be_bytes()[..], &number.to_be_bytes()].concat())
}

/// PingRequest (§7.1.7).
pub fn ping(number: u32) -> Vec<u8> {
    user_control(6, number)
}

/// The payload of the PingResponse to it.
pub fn pong(number: u32) -> Vec<u8> {
    [&[0, 7][..], &number.to_be_bytes()].concat()
}

/// A command on the connection (§7.2): name, transaction id, and AMF0 values as they are.
pub fn command(name: &str, transaction: f64, values: &[Vec<u8>]) -> Vec<u8> {
    command_on(0, name, transaction, values)
}

/// The same on a message stream.
pub fn command_on(stream: u32, name: &str, transaction: f64, values: &[Vec<u8>]) -> Vec<u8> {
    let payload = [text(name), number(transaction), values.concat()].concat();
    message(3, 0, kind::COMMAND, stream, &payload)
}

/// A status object (§7.2.2) for `_error` and `onStatus`.
pub fn status(level: &str, code: &str, description: &str) -> Vec<u8> {
    object(&[("level", text(level)), ("code", text(code)), ("description", text(description))])
}

/// An AMF0 number (AMF 0 §2.2).
pub fn number(value: f64) -> Vec<u8> {
    [&[0][..], &value.to_be_bytes()].concat()
}

/// A string (§2.4), or a long one (§2.14).
pub fn text(value: &str) -> Vec<u8> {
    match u16::try_from(value.len()) {
        Ok(length) => [&[2][..], &length.to_be_bytes(), value.as_bytes()].concat(),
        Err(_) => [&[12][..], &(value.len() as u32).to_be_bytes(), value.as_bytes()].concat(),
    }
}

/// Null (§2.7).
pub fn null() -> Vec<u8> {
    vec![5]
}

/// An object (§2.5).
pub fn object(properties: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![3];
    for (key, value) in properties {
        out.extend((key.len() as u16).to_be_bytes());
        out.extend(key.as_bytes());
        out.extend(value);
    }
    out.extend([0, 0, 9]);
    out
}

/// `connect` as an encoder says it.
pub fn connect(app: &str) -> Vec<u8> {
    let object = object(&[("app", text(app)), ("flashVer", text("FMLE/3.0")), ("tcUrl", text("rtmp://relay/live"))]);
    command("connect", 1.0, &[object])
}

/// `createStream`.
pub fn create_stream() -> Vec<u8> {
    command("createStream", 2.0, &[null()])
}

/// `publish` on message stream 1.
pub fn publish(name: &str) -> Vec<u8> {
    command_on(1, "publish", 3.0, &[null(), text(name), text("live")])
}

/// `play` on message stream 1.
pub fn play(name: &str) -> Vec<u8> {
    command_on(1, "play", 3.0, &[null(), text(name)])
}
