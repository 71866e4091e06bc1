//! One AMF0 value: what commands, metadata and their arguments are made of (Action Message Format AMF 0).
//!
//! Reading is lenient where encoders are sloppy and strict where an attacker could make us work: bytes decide how
//! much is allocated, never the counts and lengths they promise.

use std::fmt;

use bytes::{Buf, BufMut, TryGetError};

/// How many values may be inside each other, the outermost included. Track maps of E-RTMP in onMetaData need
/// four.
pub const DEPTH_MAX: usize = 16;

/// How many values one payload may hold, those inside objects and arrays included. OBS's metadata is 23.
pub const NODES_MAX: usize = 4096;

/// A value. Properties keep the order of the wire, and repeats; [`get`](Amf0::get) finds the last.
///
/// Displays on one line, strings escaped: `{app: "live", capabilities: 15}`. It shows what it holds, stream keys
/// included, so it belongs into transcripts of tests and not into logs.
#[derive(Debug, Clone, PartialEq)]
pub enum Amf0 {
    /// A number (§2.2); AMF0 has no integers.
    Number(f64),
    /// A boolean (§2.3); every byte but 0 reads as true.
    Boolean(bool),
    /// A string (§2.4), or a long string (§2.14) above 65535 bytes.
    String(String),
    /// An anonymous object (§2.5).
    Object(Vec<(String, Amf0)>),
    /// Null (§2.7).
    Null,
    /// Undefined (§2.8).
    Undefined,
    /// A reference to an object sent earlier, by its index (§2.9). Not followed.
    Reference(u16),
    /// An associative array (§2.10): what encoders send as onMetaData.
    EcmaArray(Vec<(String, Amf0)>),
    /// An array (§2.12).
    StrictArray(Vec<Amf0>),
    /// A date (§2.13).
    Date {
        /// Milliseconds since 1970, UTC.
        unix_ms: f64,
        /// Reserved, "should be 0x0000": some encoders put their time zone here.
        zone: i16,
    },
    /// A value its sender could not express (§2.15), or one that cannot be read here: in AMF3 (§3.1), or of a type that §2.1
    /// reserves. Where the latter ends nobody can tell, so it is the last of its payload.
    Unsupported,
    /// An XML document as text (§2.17).
    Xml(String),
    /// An object of a named class (§2.18).
    TypedObject {
        /// The class's registered alias.
        class: String,
        /// As in an object.
        properties: Vec<(String, Amf0)>,
    },
}

/// Why bytes are no AMF0 value: the sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end inside a value.
    #[error("AMF0 value is cut short")]
    Truncated,
    /// A marker that AMF0 §2.1 does not define, or one that cannot begin a value.
    #[error("{0:#04x} is no AMF0 marker")]
    Marker(u8),
    /// A limit of ours: [`DEPTH_MAX`] or [`NODES_MAX`].
    #[error("AMF0 {what} above {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much would be allowed.
        limit: usize,
    },
}

/// Type markers (§2.1).
mod marker {
    pub(super) const NUMBER: u8 = 0x00;
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const OBJECT: u8 = 0x03;
    pub(super) const MOVIE_CLIP: u8 = 0x04;
    pub(super) const NULL: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const REFERENCE: u8 = 0x07;
    pub(super) const ECMA_ARRAY: u8 = 0x08;
    pub(super) const OBJECT_END: u8 = 0x09;
    pub(super) const STRICT_ARRAY: u8 = 0x0a;
    pub(super) const DATE: u8 = 0x0b;
    pub(super) const LONG_STRING: u8 = 0x0c;
    pub(super) const UNSUPPORTED: u8 = 0x0d;
    pub(super) const RECORD_SET: u8 = 0x0e;
    pub(super) const XML: u8 = 0x0f;
    pub(super) const TYPED_OBJECT: u8 = 0x10;
    pub(super) const AMF3: u8 = 0x11;
}

/// An empty key and the marker that only it may precede (§2.11).
const OBJECT_END: [u8; 3] = [0, 0, marker::OBJECT_END];

impl Amf0 {
    /// Reads one value from the front of `bytes`, which then begin after it. On an error they stay where they were.
    pub fn read(bytes: &mut &[u8]) -> Result<Amf0, Error> {
        let mut reader = Reader::new(bytes);
        let value = reader.value(1)?;
        *bytes = reader.rest;
        Ok(value)
    }

    /// Reads the whole payload of a command or data message (in types 15 and 17, of what follows the format byte).
    pub fn read_all(payload: &[u8]) -> Result<Vec<Amf0>, Error> {
        let mut reader = Reader::new(payload);
        let mut values = Vec::new();
        while reader.rest.has_remaining() {
            values.push(reader.value(1)?);
        }
        Ok(values)
    }

    /// Appends the value to `out`, which must be able to grow. A key or class name is cut after 65535 bytes: the
    /// format cannot hold more (§1.3.1).
    pub fn write(&self, out: &mut impl BufMut) {
        match self {
            Amf0::Number(number) => {
                out.put_u8(marker::NUMBER);
                out.put_f64(*number);
            }
            Amf0::Boolean(boolean) => out.put_slice(&[marker::BOOLEAN, u8::from(*boolean)]),
            Amf0::String(text) if text.len() <= usize::from(u16::MAX) => {
                out.put_u8(marker::STRING);
                write_utf8(text, out);
            }
            Amf0::String(text) => {
                out.put_u8(marker::LONG_STRING);
                write_utf8_long(text, out);
            }
            Amf0::Object(properties) => {
                out.put_u8(marker::OBJECT);
                write_properties(properties, out);
            }
            Amf0::Null => out.put_u8(marker::NULL),
            Amf0::Undefined => out.put_u8(marker::UNDEFINED),
            Amf0::Reference(index) => {
                out.put_u8(marker::REFERENCE);
                out.put_u16(*index);
            }
            Amf0::EcmaArray(properties) => {
                out.put_u8(marker::ECMA_ARRAY);
                out.put_u32(properties.len() as u32);
                write_properties(properties, out);
            }
            Amf0::StrictArray(values) => {
                out.put_u8(marker::STRICT_ARRAY);
                out.put_u32(values.len() as u32);
                for value in values {
                    value.write(out);
                }
            }
            Amf0::Date { unix_ms, zone } => {
                out.put_u8(marker::DATE);
                out.put_f64(*unix_ms);
                out.put_i16(*zone);
            }
            Amf0::Unsupported => out.put_u8(marker::UNSUPPORTED),
            Amf0::Xml(text) => {
                out.put_u8(marker::XML);
                write_utf8_long(text, out);
            }
            Amf0::TypedObject { class, properties } => {
                out.put_u8(marker::TYPED_OBJECT);
                write_utf8(class, out);
                write_properties(properties, out);
            }
        }
    }

    /// An object of these properties: `Amf0::object([("level", "status".into()), ("clientid", 1.0.into())])`.
    pub fn object<'a>(properties: impl IntoIterator<Item = (&'a str, Amf0)>) -> Amf0 {
        Amf0::Object(properties.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Amf0::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Amf0::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The properties of an object or ECMA array.
    pub fn properties(&self) -> Option<&[(String, Amf0)]> {
        match self {
            Amf0::Object(properties) | Amf0::EcmaArray(properties) | Amf0::TypedObject { properties, .. } => {
                Some(properties)
            }
            _ => None,
        }
    }

    /// The property of exactly this name, the last one if it is repeated.
    pub fn get(&self, key: &str) -> Option<&Amf0> {
        self.properties()?.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

impl From<&str> for Amf0 {
    fn from(text: &str) -> Amf0 {
        Amf0::String(text.to_owned())
    }
}

impl From<String> for Amf0 {
    fn from(text: String) -> Amf0 {
        Amf0::String(text)
    }
}

impl From<f64> for Amf0 {
    fn from(number: f64) -> Amf0 {
        Amf0::Number(number)
    }
}

impl From<bool> for Amf0 {
    fn from(boolean: bool) -> Amf0 {
        Amf0::Boolean(boolean)
    }
}

impl From<TryGetError> for Error {
    fn from(_: TryGetError) -> Error {
        Error::Truncated
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    nodes: usize,
    /// A value has come that cannot be read. Everything it is inside of ends with it.
    ended: bool,
}

impl<'a> Reader<'a> {
    fn new(rest: &'a [u8]) -> Reader<'a> {
        Reader { rest, nodes: 0, ended: false }
    }

    /// The recursion here is the only one, and `depth` bounds it.
    fn value(&mut self, depth: usize) -> Result<Amf0, Error> {
        if depth > DEPTH_MAX {
            return Err(Error::TooLarge { what: "depth", limit: DEPTH_MAX });
        }
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Error::TooLarge { what: "number of values", limit: NODES_MAX });
        }
        Ok(match self.rest.try_get_u8()? {
            marker::NUMBER => Amf0::Number(self.rest.try_get_f64()?),
            marker::BOOLEAN => Amf0::Boolean(self.rest.try_get_u8()? != 0),
            marker::STRING => Amf0::String(self.utf8()?),
            marker::OBJECT => Amf0::Object(self.properties(depth)?),
            marker::NULL => Amf0::Null,
            marker::UNDEFINED => Amf0::Undefined,
            marker::REFERENCE => Amf0::Reference(self.rest.try_get_u16()?),
            marker::ECMA_ARRAY => {
                // Encoders count wrongly; the array ends where an object would.
                let _count = self.rest.try_get_u32()?;
                Amf0::EcmaArray(self.properties(depth)?)
            }
            marker::STRICT_ARRAY => {
                let count = self.rest.try_get_u32()?;
                Amf0::StrictArray(self.values(count, depth)?)
            }
            marker::DATE => Amf0::Date { unix_ms: self.rest.try_get_f64()?, zone: self.rest.try_get_i16()? },
            marker::LONG_STRING => Amf0::String(self.utf8_long()?),
            marker::UNSUPPORTED => Amf0::Unsupported,
            marker::XML => Amf0::Xml(self.utf8_long()?),
            marker::TYPED_OBJECT => Amf0::TypedObject { class: self.utf8()?, properties: self.properties(depth)? },
            marker::MOVIE_CLIP | marker::RECORD_SET | marker::AMF3 => {
                (self.rest, self.ended) = (&[], true);
                Amf0::Unsupported
            }
            unknown => return Err(Error::Marker(unknown)),
        })
    }

    fn properties(&mut self, depth: usize) -> Result<Vec<(String, Amf0)>, Error> {
        let mut properties = Vec::new();
        loop {
            // No property fits in less than three bytes: the end itself is missing or cut, which some encoders do.
            if self.rest.len() < OBJECT_END.len() {
                self.rest = &[];
                return Ok(properties);
            }
            if let Some(rest) = self.rest.strip_prefix(&OBJECT_END) {
                self.rest = rest;
                return Ok(properties);
            }
            properties.push((self.utf8()?, self.value(depth + 1)?));
        }
    }

    fn values(&mut self, count: u32, depth: usize) -> Result<Vec<Amf0>, Error> {
        let mut values = Vec::new();
        for _ in 0..count {
            if self.ended {
                break;
            }
            values.push(self.value(depth + 1)?);
        }
        Ok(values)
    }

    fn utf8(&mut self) -> Result<String, Error> {
        let len = self.rest.try_get_u16()?;
        self.text(usize::from(len))
    }

    fn utf8_long(&mut self) -> Result<String, Error> {
        let len = self.rest.try_get_u32()?;
        self.text(len as usize)
    }

    fn text(&mut self, len: usize) -> Result<String, Error> {
        let (text, rest) = self.rest.split_at_checked(len).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

fn write_properties(properties: &[(String, Amf0)], out: &mut impl BufMut) {
    for (key, value) in properties {
        write_utf8(key, out);
        value.write(out);
    }
    out.put_slice(&OBJECT_END);
}

fn write_utf8(text: &str, out: &mut impl BufMut) {
    let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}

fn write_utf8_long(text: &str, out: &mut impl BufMut) {
    let text = &text[..text.floor_char_boundary(u32::MAX as usize)];
    out.put_u32(text.len() as u32);
    out.put_slice(text.as_bytes());
}

impl fmt::Display for Amf0 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Integers without ".0", but not 1e300 with all its zeros.
            Amf0::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => write!(f, "{number}"),
            Amf0::Number(number) => write!(f, "{number:?}"),
            Amf0::Boolean(boolean) => write!(f, "{boolean}"),
            Amf0::String(text) => write!(f, "{text:?}"),
            Amf0::Object(properties) => write!(f, "{{{}}}", Properties(properties)),
            Amf0::Null => f.write_str("null"),
            Amf0::Undefined => f.write_str("undefined"),
            Amf0::Reference(index) => write!(f, "reference({index})"),
            Amf0::EcmaArray(properties) => write!(f, "ecma{{{}}}", Properties(properties)),
            Amf0::StrictArray(values) => {
                f.write_str("[")?;
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", separator(i))?;
                }
                f.write_str("]")
            }
            Amf0::Date { unix_ms, zone: 0 } => write!(f, "date({unix_ms})"),
            Amf0::Date { unix_ms, zone } => write!(f, "date({unix_ms}, {zone})"),
            Amf0::Unsupported => f.write_str("unsupported"),
            Amf0::Xml(text) => write!(f, "xml({text:?})"),
            Amf0::TypedObject { class, properties } => write!(f, "{}{{{}}}", Key(class), Properties(properties)),
        }
    }
}

struct Properties<'a>(&'a [(String, Amf0)]);

impl fmt::Display for Properties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (key, value)) in self.0.iter().enumerate() {
            write!(f, "{}{}: {value}", separator(i), Key(key))?;
        }
        Ok(())
    }
}

/// Quoted only if it would be misread without.
struct Key<'a>(&'a str);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-@".contains(&byte);
        if !self.0.is_empty() && self.0.bytes().all(plain) { f.write_str(self.0) } else { write!(f, "{:?}", self.0) }
    }
}

fn separator(i: usize) -> &'static str {
    if i == 0 { "" } else { ", " }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// fixtures §3.1, OBS 29.0.2.
    const OBS_METADATA: &str = "
        02000d40736574446174614672616d6502000a6f6e4d657461446174610800000014
        00086475726174696f6e000000000000000000 000866696c6553697a65000000000000000000
        00057769647468004074000000000000 0006686569676874004066800000000000
        000c766964656f636f646563696400401c000000000000 000d766964656f6461746172617465004072c00000000000
        00096672616d657261746500403e000000000000 000c617564696f636f6465636964004024000000000000
        000d617564696f6461746172617465004058000000000000 000f617564696f73616d706c65726174650040e7700000000000
        000f617564696f73616d706c6573697a65004030000000000000 000d617564696f6368616e6e656c73004000000000000000
        000673746572656f0101 0003322e310100 0003332e310100 0003342e300100 0003342e310100 0003352e310100
        0003372e310100 0007656e636f6465720200306f62732d6f7574707574206d6f64756c6520286c69626f62732076657273
        696f6e2032392e302e322e312d312b623129 000009";

    /// fixtures §3.5, GStreamer 1.22.
    const GSTREAMER_CONNECT: &str = "
        020007636f6e6e656374003ff0000000000000030003617070020004
        6c69766500047479706502000a6e6f6e707269766174650008666c61736856657202000e4c4e5820
        31302c302c33322c31380005746355726c02001b72746d703a2f2f3132372e302e302e313a313933
        35342f6c697665000009";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
    }

    fn read(text: &str) -> Result<Amf0, Error> {
        Amf0::read(&mut hex(text).as_slice())
    }

    fn written(value: &Amf0) -> Vec<u8> {
        let mut out = Vec::new();
        value.write(&mut out);
        out
    }

    fn transcript(text: &str) -> String {
        Amf0::read_all(&hex(text)).unwrap().iter().map(Amf0::to_string).collect::<Vec<_>>().join(" ")
    }

    /// A null inside so many strict arrays that the whole is `depth` deep.
    fn nested(depth: usize) -> Vec<u8> {
        [hex("0a 00000001").repeat(depth - 1), hex("05")].concat()
    }

    #[test]
    fn a_command_reads_as_one_line() {
        assert_eq!(
            transcript(GSTREAMER_CONNECT),
            r#""connect" 1 {app: "live", type: "nonprivate", flashVer: "LNX 10,0,32,18", tcUrl: "rtmp://127.0.0.1:19354/live"}"#
        );
    }

    #[test]
    fn obs_metadata_is_an_ecma_array_of_twenty_fields() {
        let values = Amf0::read_all(&hex(OBS_METADATA)).unwrap();
        assert_eq!(values[0].as_str(), Some("@setDataFrame"));
        assert_eq!(values[1].as_str(), Some("onMetaData"));
        assert_eq!(values[2].properties().unwrap().len(), 20);
        assert_eq!(values[2].get("videodatarate").and_then(Amf0::as_f64), Some(300.0));
        assert_eq!(values[2].get("stereo"), Some(&Amf0::Boolean(true)));
        assert_eq!(
            values[2].get("encoder").and_then(Amf0::as_str),
            Some("obs-output module (libobs version 29.0.2.1-1+b1)")
        );
        assert_eq!(values[2].get("Encoder"), None);
    }

    #[test]
    fn what_obs_wrote_is_written_back_byte_for_byte() {
        let values = Amf0::read_all(&hex(OBS_METADATA)).unwrap();
        assert_eq!(values.iter().flat_map(written).collect::<Vec<_>>(), hex(OBS_METADATA));
    }

    #[test]
    fn nginx_sends_strings_of_nothing_but_nul() {
        // fixtures §3.6, nginx-rtmp 1.2.2.
        let nul = "00".repeat(32);
        let value = read(&format!("03 000770726f66696c65 020020 {nul} 00056c6576656c 020020 {nul} 000009"));
        assert_eq!(value.unwrap().get("level"), Some(&Amf0::from("\0".repeat(32))));
    }

    #[test]
    fn every_type_has_a_line_of_its_own() {
        let lines = [
            ("00 3fe0000000000000", "0.5"),
            ("00 c03e000000000000", "-30"),
            ("00 7e37e43c8800759c", "1e300"),
            ("00 7ff8000000000000", "NaN"),
            ("01 00", "false"),
            ("01 02", "true"),
            ("02 0003 612262", r#""a\"b""#),
            ("02 0004 0a1b e2 80", r#""\n\u{1b}�""#),
            ("03 000009", "{}"),
            ("03 0000 05 0003 612062 06 000009", r#"{"": null, "a b": undefined}"#),
            ("07 0102", "reference(258)"),
            ("08 00000001 0001 61 05 000009", "ecma{a: null}"),
            ("0a 00000002 05 020000", r#"[null, ""]"#),
            ("0b 4278bcfe56800000 0000", "date(1700000000000)"),
            ("0b 0000000000000000 ffc4", "date(0, -60)"),
            ("0c 00000002 6869", r#""hi""#),
            ("0d", "unsupported"),
            ("0f 00000004 3c612f3e", r#"xml("<a/>")"#),
            ("10 0003 612e62 0001 78 05 000009", "a.b{x: null}"),
        ];
        for (bytes, line) in lines {
            assert_eq!(read(bytes).unwrap().to_string(), line, "{bytes}");
        }
    }

    #[test]
    fn an_ecma_array_ends_where_it_ends_whatever_its_count_says() {
        for count in ["00000000", "00000001", "00000007", "ffffffff"] {
            let payload = hex(&format!("08 {count} 0001 61 05 0001 62 05 000009 06"));
            let values = Amf0::read_all(&payload).unwrap();
            assert_eq!(values[0].properties().unwrap().len(), 2, "count {count}");
            assert_eq!(values[1], Amf0::Undefined);
        }
    }

    #[test]
    fn a_missing_or_cut_object_end_is_the_end() {
        for end in ["", "00", "00 00", "00 00 09"] {
            let value = read(&format!("03 0001 61 03 0001 62 05 {end}")).unwrap();
            assert_eq!(value.to_string(), "{a: {b: null}}", "end {end:?}");
        }
    }

    #[test]
    fn of_repeated_keys_the_last_wins() {
        let value = Amf0::object([("a", 1.0.into()), ("b", true.into()), ("a", 2.0.into())]);
        assert_eq!(value.get("a"), Some(&Amf0::Number(2.0)));
        assert_eq!(Amf0::Null.get("a"), None);
    }

    #[test]
    fn strings_above_65535_bytes_are_long_strings() {
        for (len, marker) in [(0, marker::STRING), (65_535, marker::STRING), (65_536, marker::LONG_STRING)] {
            let value = Amf0::from("x".repeat(len));
            assert_eq!(written(&value)[0], marker);
            assert_eq!(Amf0::read(&mut written(&value).as_slice()), Ok(value));
        }
    }

    #[test]
    fn a_key_too_long_to_write_is_cut_between_characters() {
        let value = Amf0::object([("é".repeat(40_000).as_str(), Amf0::Null)]);
        let read = Amf0::read(&mut written(&value).as_slice()).unwrap();
        assert_eq!(read.properties().unwrap()[0].0, "é".repeat(32_767));
    }

    #[test]
    fn reading_one_value_leaves_the_rest() {
        let payload = hex("05 06");
        let mut bytes = payload.as_slice();
        assert_eq!(Amf0::read(&mut bytes), Ok(Amf0::Null));
        assert_eq!(Amf0::read(&mut bytes), Ok(Amf0::Undefined));
        assert_eq!(Amf0::read(&mut bytes), Err(Error::Truncated));
        let mut bytes = [marker::BOOLEAN].as_slice();
        assert_eq!(Amf0::read(&mut bytes), Err(Error::Truncated));
        assert_eq!(bytes, [marker::BOOLEAN]);
    }

    #[test]
    fn other_markers_are_named() {
        assert_eq!(read("03 0001 61 09"), Err(Error::Marker(0x09)));
        assert_eq!(read("ff"), Err(Error::Marker(0xff)));
    }

    #[test]
    fn a_value_in_amf3_is_the_last_one_and_those_before_it_are_read() {
        for (bytes, values) in [
            ("05 11 0603 61 05", "null unsupported"),
            ("03 0001 61 05 0001 62 11 0a0b01 09 0000", "{a: null, b: unsupported}"),
            ("0a 00000007 05 0a 00000002 04 ff", "[null, [unsupported]]"),
            ("08 00000001 0001 61 0e ff", "ecma{a: unsupported}"),
        ] {
            assert_eq!(transcript(bytes), values, "{bytes}");
        }
    }

    #[test]
    fn promised_lengths_allocate_nothing() {
        for bytes in ["02 ffff 41", "0c ffffffff 41", "0f ffffffff", "0a ffffffff 05", "10 ffff"] {
            assert_eq!(read(bytes), Err(Error::Truncated), "{bytes}");
        }
    }

    #[test]
    fn depth_has_a_limit() {
        assert!(Amf0::read_all(&nested(DEPTH_MAX)).is_ok());
        let too_deep = Err(Error::TooLarge { what: "depth", limit: DEPTH_MAX });
        assert_eq!(Amf0::read_all(&nested(DEPTH_MAX + 1)), too_deep);
        assert_eq!(Amf0::read_all(&hex("03 0001 61").repeat(100_000)), too_deep);
    }

    #[test]
    fn the_number_of_values_has_a_limit() {
        let too_many = Err(Error::TooLarge { what: "number of values", limit: NODES_MAX });
        assert_eq!(Amf0::read_all(&[marker::NULL; NODES_MAX]).map(|values| values.len()), Ok(NODES_MAX));
        assert_eq!(Amf0::read_all(&[marker::NULL; NODES_MAX + 1]), too_many);
        let inside = [hex("0a ffffffff"), vec![marker::NULL; NODES_MAX]].concat();
        assert_eq!(Amf0::read_all(&inside), too_many);
    }

    #[test]
    fn a_payload_cut_anywhere_keeps_what_was_whole_or_says_it_is_cut() {
        let payload = hex(OBS_METADATA);
        for len in 0..payload.len() {
            match Amf0::read_all(&payload[..len]) {
                Ok(values) => assert!(values.len() <= 3),
                Err(error) => assert_eq!(error, Error::Truncated, "cut after {len} bytes"),
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Amf0> {
        let leaf = prop_oneof![
            any::<f64>().prop_map(Amf0::Number),
            any::<bool>().prop_map(Amf0::Boolean),
            any::<String>().prop_map(Amf0::String),
            Just(Amf0::Null),
            Just(Amf0::Undefined),
            any::<u16>().prop_map(Amf0::Reference),
            (any::<f64>(), any::<i16>()).prop_map(|(unix_ms, zone)| Amf0::Date { unix_ms, zone }),
            Just(Amf0::Unsupported),
            any::<String>().prop_map(Amf0::Xml),
        ];
        leaf.prop_recursive(4, 32, 4, |value| {
            let properties = prop::collection::vec((any::<String>(), value.clone()), 0..4);
            prop_oneof![
                properties.clone().prop_map(Amf0::Object),
                properties.clone().prop_map(Amf0::EcmaArray),
                prop::collection::vec(value, 0..4).prop_map(Amf0::StrictArray),
                (any::<String>(), properties).prop_map(|(class, properties)| Amf0::TypedObject { class, properties }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in prop::collection::vec(any_value(), 0..4)) {
            let payload: Vec<u8> = values.iter().flat_map(written).collect();
            prop_assert_eq!(Amf0::read_all(&payload), Ok(values));
        }

        #[test]
        fn a_line_is_one_line(value in any_value()) {
            prop_assert!(!value.to_string().contains(char::is_control));
        }

        #[test]
        fn any_bytes_are_values_or_an_error(
            payload in prop::collection::vec(prop_oneof![0u8..0x12, any::<u8>()], 0..200),
        ) {
            if let Ok(values) = Amf0::read_all(&payload) {
                prop_assert!(values.len() <= payload.len());
            }
        }
    }
}
