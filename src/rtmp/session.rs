//! What the two ends of a connection have in common: how they are driven, and the keeping of the chunk stream's accounts.
//!
//! ```text
//! loop { session.input() ◄─ read;  while let Some(output) = session.poll()? { Transmit ─► write, Event ─► act } }
//! ```
//! A poll looks at one message at a time, so what the owner does about an event (accept, reject) is in force for the very
//! next byte. A session has no timer: its `phase` tells the owner which deadline applies.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Bytes, BytesMut};

use super::aggregate::Aggregate;
use super::chunk::Reader;
use super::control::{self, UserControl, WINDOW};
use super::handshake::{Handshake, Step};
use super::message::type_id;
use super::{Error, Message};

/// What a session wants done.
#[derive(Debug)]
pub enum Output<E> {
    /// These bytes are to be sent.
    Transmit(Bytes),
    /// This has happened.
    Event(E),
}

/// How far a connection has come. Printed in every error, and each has its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before C2 or S2.
    Handshake,
    /// Before the answer to `connect`.
    Connect,
    /// Before a stream is asked for (server), or created (client).
    CreateStream,
    /// `publish` or `play` is asked, not answered.
    Request,
    /// Media may flow.
    Media,
    /// Only goodbyes are left.
    Closing,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Handshake => "in the handshake",
            Phase::Connect => "in connect",
            Phase::CreateStream => "in createStream",
            Phase::Request => "when asked to publish or play",
            Phase::Media => "while streaming",
            Phase::Closing => "while closing",
        })
    }
}

/// Either end of a connection.
pub trait Session: Send + 'static {
    /// What it tells its owner.
    type Event;

    /// Received bytes go at the end of this; then `poll`.
    fn input(&mut self) -> &mut BytesMut;

    /// The next thing to do, or `None` until more bytes arrive.
    fn poll(&mut self) -> Result<Option<Output<Self::Event>>, Error>;

    /// How far it has come.
    fn phase(&self) -> Phase;
}

/// What a peer has acknowledged (RTMP 1.0 §5.4.3). Peers count differently, and some wrongly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// How often.
    pub times: u64,
    /// The last time: bytes since the beginning, modulo 2^32.
    pub number: u32,
}

/// What a peer has sent.
#[derive(Debug)]
pub(super) enum Input {
    /// The last of the handshake.
    Shaken,
    /// A message that is not control.
    Message(Message),
}

/// Handshake, chunk stream and control messages of one connection: all that needs no knowledge of commands.
#[derive(Debug)]
pub(super) struct Wire<E> {
    pub(super) input: BytesMut,
    pub(super) output: VecDeque<Output<E>>,
    pub(super) chunk_size: usize,
    handshake: Option<Handshake>,
    reader: Reader,
    /// What is left of the last one.
    aggregate: Option<Aggregate>,
    received: u64,
    /// Of that, what we have acknowledged.
    acknowledged: u64,
    /// What the peer has.
    pub(super) heard: Acknowledged,
    window: u32,
}

impl<E> Wire<E> {
    pub(super) fn new(handshake: Handshake) -> Self {
        Wire {
            input: BytesMut::new(),
            output: VecDeque::new(),
            chunk_size: super::chunk::INITIAL_SIZE,
            handshake: Some(handshake),
            reader: Reader::default(),
            aggregate: None,
            received: 0,
            acknowledged: 0,
            heard: Acknowledged::default(),
            window: WINDOW,
        }
    }

    pub(super) fn transmit(&mut self, bytes: Bytes) {
        self.output.push_back(Output::Transmit(bytes));
    }

    pub(super) fn event(&mut self, event: E) {
        self.output.push_back(Output::Event(event));
    }

    /// Announces the chunk size of everything sent from here on.
    pub(super) fn announce_chunk_size(&mut self, size: usize) {
        self.transmit(control::set_chunk_size(size));
        self.chunk_size = size;
    }

    /// What comes next of the peer's: the end of the handshake, then messages, unpacked.
    pub(super) fn read(&mut self) -> Result<Option<Input>, Error> {
        while let Some(handshake) = self.handshake.take() {
            match handshake.step(&mut self.input)? {
                Step::Incomplete(handshake) => {
                    self.handshake = Some(handshake);
                    return Ok(None);
                }
                Step::Reply(handshake, bytes) => {
                    self.transmit(bytes);
                    self.handshake = Some(handshake);
                }
                Step::Done(last) => {
                    self.output.extend(last.map(Output::Transmit));
                    return Ok(Some(Input::Shaken));
                }
            }
        }
        loop {
            let message = match self.aggregate.as_mut().and_then(Iterator::next) {
                Some(message) => message,
                None => {
                    self.aggregate = None;
                    let Some(message) = self.message()? else { return Ok(None) };
                    message
                }
            };
            if message.type_id == type_id::AGGREGATE {
                self.aggregate = Some(Aggregate::new(message));
            } else if let Some(message) = message.without_format() {
                return Ok(Some(Input::Message(message)));
            }
        }
    }

    /// The next message that is not control. None also where a control message has been answered: that goes first, so that
    /// nothing is lost should the next one be an error.
    fn message(&mut self) -> Result<Option<Message>, Error> {
        while self.output.is_empty() {
            let before = self.input.len();
            let message = self.reader.read(&mut self.input)?;
            self.received += (before - self.input.len()) as u64;
            // At half the window, which keeps peers moving that stop at the whole. Encoders stall without
            // acknowledgements even where they asked for none.
            if self.received - self.acknowledged >= u64::from(self.window / 2) {
                self.acknowledged = self.received;
                self.transmit(control::acknowledgement(self.received));
            }
            match message {
                Some(message) if message.type_id <= type_id::SET_PEER_BANDWIDTH => self.obey(&message),
                other => return Ok(other),
            }
        }
        Ok(None)
    }

    fn obey(&mut self, message: &Message) {
        let number = message.payload.first_chunk().map(|b| u32::from_be_bytes(*b));
        match message.type_id {
            // An absurd window would have us acknowledge every byte.
            type_id::WINDOW_ACK_SIZE => self.window = number.unwrap_or(WINDOW).clamp(2048, i32::MAX as u32),
            type_id::SET_PEER_BANDWIDTH => self.transmit(control::window_ack_size(WINDOW)),
            type_id::USER_CONTROL => {
                if let Some(UserControl::PingRequest(time)) = UserControl::parse(&message.payload) {
                    self.transmit(UserControl::PingResponse(time).message());
                }
            }
            // Acknowledgements are counted differently by every server, so nothing is made to wait for them.
            type_id::ACKNOWLEDGEMENT => {
                if let Some(number) = number {
                    self.heard = Acknowledged { times: self.heard.times + 1, number };
                }
            }
            // The chunk reader has obeyed Set Chunk Size and Abort.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::chunk::writer::{self, Header, Lane};

    /// A connection past its handshake that has heard `received` bytes, and its peer's acknowledgements of `messages` more of
    /// 100 kB each.
    fn acknowledgements(received: u64, messages: usize) -> Vec<u32> {
        let mut wire: Wire<()> = Wire::new(Handshake::AwaitEcho);
        (wire.handshake, wire.received, wire.acknowledged) = (None, received, received);
        wire.input.extend_from_slice(&control::set_chunk_size(super::super::chunk::MAX_SIZE));
        let lane = Lane { chunk_stream: 6, type_id: type_id::VIDEO };
        let message = writer::message(lane, Header::Start { time: 0, stream: 1 }, &[7; 100_000], 100_000);
        let mut heard = Vec::new();
        for _ in 0..messages {
            wire.input.extend_from_slice(&message);
            while wire.read().expect("sound chunks").is_some() {}
            for output in wire.output.drain(..) {
                let Output::Transmit(bytes) = output else { continue };
                assert_eq!(bytes[..12], [2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0], "an acknowledgement");
                heard.extend(bytes[12..].first_chunk().map(|number| u32::from_be_bytes(*number)));
            }
        }
        heard
    }

    /// ossrs/srs#730 and illuspas/Node-Media-Server#629: encoders that stopped where the number overflowed. moq-dev/moq#2060: bytes
    /// since the last instead of all. nareix/joy4#5: none for a peer that announces no window, as this one.
    #[test]
    fn interop_24_interop_25_interop_26_interop_27_acknowledgements_count_all_bytes_modulo_2_to_the_32() {
        const HALF: u64 = WINDOW as u64 / 2;
        for received in [0, u64::from(u32::MAX) - 3 * HALF, (5 << 32) - 7 * HALF - 1] {
            let numbers = acknowledgements(received, 125);
            assert_eq!(numbers.len(), 9, "about every half window: {numbers:?}");
            let mut before = received;
            for number in numbers {
                let step = u64::from(number.wrapping_sub(before as u32));
                assert!((HALF..HALF + 100_012).contains(&step), "{number} after {before}");
                before += step;
            }
        }
    }
}
