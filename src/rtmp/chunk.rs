//! The chunk stream (RTMP 1.0 §5.3): messages cut into chunks, several messages under way at once.

pub mod reader;
pub mod writer;

pub use reader::Reader;

/// Both sides start with this chunk size (§5.4.1).
pub const INITIAL_SIZE: usize = 128;
/// Ours by default: nearly every message is one chunk, and every server known takes it.
pub const DEFAULT_SIZE: usize = 60_000;
/// A message length has 24 bits, so no chunk is longer (§5.4.1).
pub const MAX_SIZE: usize = 0xff_ffff;

/// Marks a timestamp that does not fit 24 bits; 32 follow the header (§5.3.1.3).
const EXTENDED: u32 = 0xff_ffff;

/// The chunk stream ids we send on: one per series, all below 32, since some servers close on larger ones.
pub mod id {
    /// Protocol control (§5.4).
    pub const CONTROL: u8 = 2;
    /// Commands of the connection.
    pub const CONNECTION: u8 = 3;
    /// Audio messages.
    pub const AUDIO: u8 = 4;
    /// Data messages.
    pub const DATA: u8 = 5;
    /// Video messages.
    pub const VIDEO: u8 = 6;
    /// Commands of a stream.
    pub const STREAM: u8 = 8;
}
