//! Single values as people write them: `15s`, `8M`, `:1935`. The same on the command line, in the environment and in the file.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gate::addresses;
use crate::hook;
use crate::limits::{CHUNK_SIZES, SEGMENT_BYTES, SEGMENT_TIME};
use crate::net::tls::fingerprint::{self, Fingerprint};
use crate::platforms::{self, Platform};
use crate::rtmp::Secret;
use crate::stream::{self, Pattern, pattern};

/// What is wrong with a value. It is never repeated, since it may hold a key that was put in the wrong place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("an address to listen on looks like 127.0.0.1:1935, [::1]:1935 or :1935")]
    Listen,
    #[error("a time looks like 500ms, 15s or 1m30s")]
    Time,
    #[error("a bit rate looks like 8M, 2.5M or 600k, in bits a second")]
    Bitrate,
    #[error("a size looks like 500M, 1.5G or 800k, in bytes")]
    Size,
    #[error("a segment is {} s long at least", SEGMENT_TIME.as_secs())]
    SegmentTime,
    #[error("a segment has {SEGMENT_BYTES} bytes at least")]
    SegmentSize,
    #[error("a chunk size is a number of bytes from {} to {}", CHUNK_SIZES.start(), CHUNK_SIZES.end())]
    ChunkSize,
    #[error("an address to listen on looks like 127.0.0.1:9997, [::1]:9997 or :9997; off is none")]
    ApiListen,
    #[error("a network looks like 192.0.2.0/24, 2001:db8::/32 or 192.0.2.1")]
    Network,
    #[error("a platform is one of {}", platforms::ids().collect::<Vec<_>>().join(", "))]
    Platform,
}

/// Text that may be, or hold, a key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "String")]
#[schemars(with = "String")]
pub struct Hidden(pub Secret);

/// A pattern of stream names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("examples" = ["live/test", "live/*"]))]
pub struct Source(pub Pattern);

/// A pattern of codes of events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("examples" = ["publish.started", "destination.*"]))]
pub struct EventPattern(pub hook::Pattern);

/// A length of time: `500ms`, `15s`, `1m 30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("examples" = ["250ms", "15s", "1m30s"]))]
pub struct Time(pub Duration);

/// Bits a second: `8M`, `2.5M`, `600k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("examples" = ["8M", "600k"]))]
pub struct Bitrate(pub u64);

/// How long a segment of a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("examples" = ["10m", "1h30m"]))]
pub struct SegmentTime(pub Duration);

/// How large a segment of a recording is, in bytes: `500M`, `1.5G`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("examples" = ["500M", "1.5G"]))]
pub struct SegmentSize(pub u64);

/// Bytes in a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "u32", extend("minimum" = CHUNK_SIZES.start(), "maximum" = CHUNK_SIZES.end()))]
pub struct ChunkSize(pub usize);

/// What waits, so that it leaves in one write with what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Merge {
    /// Nothing
    None,
    /// Sound, for the next picture, 40 ms at most
    Audio,
}

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("examples" = ["192.0.2.0/24", "2001:db8::1"]))]
pub struct Network(pub IpNet);

/// The name of a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("enum" = platforms::ids().collect::<Vec<_>>()))]
pub struct PlatformName(pub &'static Platform);

/// A certificate's fingerprint, as `openssl x509 -fingerprint -sha256` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Pin(pub Fingerprint);

/// An address to listen on; `:1935` is every address of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("examples" = [":1935", "127.0.0.1:1935"]))]
pub struct Listen(pub SocketAddr);

/// Where the HTTP API listens, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("examples" = ["127.0.0.1:9997", "off"]))]
pub enum ApiListen {
    /// Nowhere.
    Off,
    /// There.
    At(SocketAddr),
}

impl FromStr for Time {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let time: jiff::SignedDuration = text.parse().map_err(|_| Error::Time)?;
        time.try_into().map(Time).map_err(|_| Error::Time)
    }
}

impl FromStr for Bitrate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        scaled(text).map(Bitrate).ok_or(Error::Bitrate)
    }
}

impl FromStr for SegmentTime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let Time(time) = text.parse()?;
        if time >= SEGMENT_TIME { Ok(SegmentTime(time)) } else { Err(Error::SegmentTime) }
    }
}

impl FromStr for SegmentSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = scaled(text).ok_or(Error::Size)?;
        if bytes >= SEGMENT_BYTES { Ok(SegmentSize(bytes)) } else { Err(Error::SegmentSize) }
    }
}

/// A number that may end in `k`, `M` or `G`.
fn scaled(text: &str) -> Option<u64> {
    let (number, unit) = match text.trim().strip_suffix(['k', 'K', 'M', 'G']) {
        Some(number) => (number, &text.trim()[number.len()..]),
        None => (text.trim(), ""),
    };
    let factor = match unit {
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => 1.0,
    };
    let value = number.trim().parse::<f64>().ok()? * factor;
    (1.0..1e15).contains(&value).then_some(value as u64)
}

impl FromStr for ChunkSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().ok().filter(|size| CHUNK_SIZES.contains(size)).map(ChunkSize).ok_or(Error::ChunkSize)
    }
}

impl FromStr for PlatformName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        platforms::named(text).map(PlatformName).ok_or(Error::Platform)
    }
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        addresses::network(text).map(Network).map_err(|_| Error::Network)
    }
}

impl FromStr for Listen {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let address = match text.strip_prefix(':') {
            Some(port) => port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
            None => text.replacen("localhost:", "127.0.0.1:", 1).parse().ok(),
        };
        address.map(Listen).ok_or(Error::Listen)
    }
}

impl FromStr for ApiListen {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "off" => Ok(ApiListen::Off),
            address => address.parse().map(|Listen(address)| ApiListen::At(address)).map_err(|_| Error::ApiListen),
        }
    }
}

impl From<Merge> for stream::Merge {
    fn from(merge: Merge) -> Self {
        match merge {
            Merge::None => stream::Merge::None,
            Merge::Audio => stream::Merge::Audio,
        }
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Hidden(text.into())
    }
}

impl FromStr for Hidden {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.to_owned().into())
    }
}

impl TryFrom<String> for Source {
    type Error = pattern::Error;

    fn try_from(text: String) -> Result<Self, pattern::Error> {
        text.parse().map(Source)
    }
}

impl TryFrom<String> for EventPattern {
    type Error = hook::pattern::Unknown;

    fn try_from(text: String) -> Result<Self, hook::pattern::Unknown> {
        text.parse().map(EventPattern)
    }
}

impl TryFrom<String> for Pin {
    type Error = fingerprint::Malformed;

    fn try_from(text: String) -> Result<Self, fingerprint::Malformed> {
        text.parse().map(Pin)
    }
}

macro_rules! from_text {
    ($($value:ty),+) => {$(
        impl TryFrom<String> for $value {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }
    )+};
}

from_text!(Time, Bitrate, SegmentTime, SegmentSize, ChunkSize, PlatformName, Network, Listen, ApiListen);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_are_read_as_people_write_them() {
        for (text, milliseconds) in [("500ms", 500), ("15s", 15_000), ("1m 30s", 90_000), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(Time(Duration::from_millis(milliseconds))), "{text}");
        }
        for (text, bits) in
            [("8M", 8_000_000), ("2.5M", 2_500_000), ("600k", 600_000), ("1000", 1000), ("1 G", 1_000_000_000)]
        {
            assert_eq!(text.parse(), Ok(Bitrate(bits)), "{text}");
        }
        for bad in ["", "15", "-3s", "soon"] {
            assert_eq!(bad.parse::<Time>(), Err(Error::Time), "{bad}");
        }
        for bad in ["", "M", "-8M", "8 apples", "NaN", "inf", "0", "1e99"] {
            assert_eq!(bad.parse::<Bitrate>(), Err(Error::Bitrate), "{bad}");
        }
    }

    #[test]
    fn segments_are_neither_too_short_nor_too_small() {
        assert_eq!("10m".parse(), Ok(SegmentTime(Duration::from_secs(600))));
        assert_eq!(("1.5G".parse(), "100k".parse()), (Ok(SegmentSize(1_500_000_000)), Ok(SegmentSize(SEGMENT_BYTES))));
        for (bad, error) in [("999ms", Error::SegmentTime), ("10", Error::Time), ("0s", Error::SegmentTime)] {
            assert_eq!(bad.parse::<SegmentTime>(), Err(error), "{bad}");
        }
        for (bad, error) in [("99k", Error::SegmentSize), ("1T", Error::Size), ("-1M", Error::Size), ("", Error::Size)]
        {
            assert_eq!(bad.parse::<SegmentSize>(), Err(error), "{bad}");
        }
    }

    #[test]
    fn chunk_sizes_have_bounds() {
        assert_eq!(
            (CHUNK_SIZES.start().to_string().parse(), "65536".parse()),
            (Ok(ChunkSize(128)), Ok(ChunkSize(65_536)))
        );
        for bad in ["127", "65537", "-1", "4k", ""] {
            assert_eq!(bad.parse::<ChunkSize>(), Err(Error::ChunkSize), "{bad}");
        }
    }

    #[test]
    fn a_port_alone_is_every_address() {
        let listen = |text: &str| text.parse::<Listen>().map(|listen| listen.0.to_string());
        assert_eq!(listen(":1935").as_deref(), Ok("0.0.0.0:1935"));
        assert_eq!(listen("localhost:1").as_deref(), Ok("127.0.0.1:1"));
        for bad in ["1935", ":x", "host:1", ""] {
            assert_eq!(listen(bad), Err(Error::Listen), "{bad}");
            assert_eq!(bad.parse::<ApiListen>(), Err(Error::ApiListen), "{bad}");
        }
        assert_eq!("off".parse(), Ok(ApiListen::Off));
    }
}
