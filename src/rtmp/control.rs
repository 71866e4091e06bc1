//! Protocol control and user control messages (RTMP 1.0 §5.4, §6.2): the connection talking about itself.

use bytes::Bytes;

use super::chunk::writer::{self, Header, Lane};
use super::chunk::{INITIAL_SIZE, id};
use super::message::type_id;

/// Window Acknowledgement Size that we announce and ask for, in bytes.
pub const WINDOW: u32 = 2_500_000;

/// A user control event (§7.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserControl {
    /// The stream is about to carry data.
    StreamBegin(u32),
    /// The stream has ended.
    StreamEof(u32),
    /// The client buffers this many milliseconds of this stream.
    SetBufferLength(u32, u32),
    /// Asks for the same four bytes back.
    PingRequest(u32),
    /// The answer.
    PingResponse(u32),
}

impl UserControl {
    /// Reads an event; unknown and short ones are `None`, which is to be ignored (FMS sends 31 and 32, for one).
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let number = |at: usize| payload.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        match u16::from_be_bytes([*payload.first()?, *payload.get(1)?]) {
            0 => Some(UserControl::StreamBegin(number(2)?)),
            1 => Some(UserControl::StreamEof(number(2)?)),
            3 => Some(UserControl::SetBufferLength(number(2)?, number(6)?)),
            6 => Some(UserControl::PingRequest(number(2)?)),
            7 => Some(UserControl::PingResponse(number(2)?)),
            _ => None,
        }
    }

    /// The message that carries it.
    pub fn message(self) -> Bytes {
        let (event, a, b) = match self {
            UserControl::StreamBegin(stream) => (0u16, stream, None),
            UserControl::StreamEof(stream) => (1, stream, None),
            UserControl::SetBufferLength(stream, ms) => (3, stream, Some(ms)),
            UserControl::PingRequest(time) => (6, time, None),
            UserControl::PingResponse(time) => (7, time, None),
        };
        let mut payload = event.to_be_bytes().to_vec();
        payload.extend_from_slice(&a.to_be_bytes());
        payload.extend(b.iter().flat_map(|b| b.to_be_bytes()));
        control(type_id::USER_CONTROL, &payload)
    }
}

/// Set Chunk Size (§5.4.1): chunks we send from here on are up to `size` bytes.
pub fn set_chunk_size(size: usize) -> Bytes {
    let size = u32::try_from(size).expect("chunk sizes have 24 bits");
    control(type_id::SET_CHUNK_SIZE, &size.to_be_bytes())
}

/// Acknowledgement (§5.4.3): bytes received so far, modulo 2^32.
pub fn acknowledgement(received: u64) -> Bytes {
    control(type_id::ACKNOWLEDGEMENT, &(received as u32).to_be_bytes())
}

/// Window Acknowledgement Size (§5.4.4): acknowledge at least this often, in bytes.
pub fn window_ack_size(bytes: u32) -> Bytes {
    control(type_id::WINDOW_ACK_SIZE, &bytes.to_be_bytes())
}

/// Set Peer Bandwidth (§5.4.5), limit type dynamic.
pub fn set_peer_bandwidth(bytes: u32) -> Bytes {
    let mut payload = bytes.to_be_bytes().to_vec();
    payload.push(2);
    control(type_id::SET_PEER_BANDWIDTH, &payload)
}

fn control(type_id: u8, payload: &[u8]) -> Bytes {
    let lane = Lane { chunk_stream: id::CONTROL, type_id };
    writer::message(lane, Header::Start { time: 0, stream: 0 }, payload, INITIAL_SIZE)
}
