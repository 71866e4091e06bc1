//! The handshake (RTMP 1.0 §5.2): version and 1536 bytes each way, then an echo of them each way. A client that signs its bytes
//! is answered with signed ones.
//!
//! Contents are never a reason to refuse: ffmpeg copies C1's time, GStreamer fills C2's second time, nginx echoes nothing. As
//! clients we sign nothing, and every server takes that.

mod digest;

use bytes::{BufMut, Bytes, BytesMut};

use super::Error;
use digest::Offer;

/// Bytes of C1, S1, C2 and S2.
pub const SIZE: usize = 1536;
const VERSION: u8 = 3;

/// The 1528 random bytes of C1 or S1. They need not be secret, only different from connection to connection.
pub type Random = [u8; SIZE - 8];

/// Such bytes, from a seed.
pub fn random(seed: u64) -> Random {
    let mut state = seed | 1;
    std::array::from_fn(|_| {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
}

/// One end of a handshake, as far as it has come.
#[derive(Debug)]
pub enum Handshake {
    /// A server before C0 and C1.
    AwaitHello(Box<Random>),
    /// A server that has sent S0, S1 and S2; C2 is to come.
    AwaitEcho,
    /// A client that has sent C0 and C1. It waits for S0, S1 and S2 together: every server sends them in one write.
    AwaitAnswer,
}

/// What a step led to.
#[derive(Debug)]
pub enum Step {
    /// More bytes are needed to go on.
    Incomplete(Handshake),
    /// These bytes are to be sent, and it goes on.
    Reply(Handshake, Bytes),
    /// The next byte belongs to the chunk stream. A client still has these bytes to send: C2.
    Done(Option<Bytes>),
}

impl Handshake {
    /// A server's end. The random bytes go into S1.
    pub fn server(random: Random) -> Self {
        Handshake::AwaitHello(Box::new(random))
    }

    /// A client's end, and C0 and C1 to be sent.
    pub fn client(random: &Random) -> (Self, Bytes) {
        let mut out = BytesMut::with_capacity(1 + SIZE);
        out.put_u8(VERSION);
        out.extend_from_slice(&hello(random));
        (Handshake::AwaitAnswer, out.freeze())
    }

    /// Takes what it can from `input`; bytes after the handshake stay there.
    pub fn step(self, input: &mut BytesMut) -> Result<Step, Error> {
        let (needed, what) = match self {
            Handshake::AwaitHello(_) => (1 + SIZE, Some("C0")),
            Handshake::AwaitEcho => (SIZE, None),
            Handshake::AwaitAnswer => (1 + 2 * SIZE, Some("S0")),
        };
        if let Some(what) = what {
            check_version(input, what)?;
        }
        if input.len() < needed {
            return Ok(Step::Incomplete(self));
        }
        let taken = input.split_to(needed);
        Ok(match self {
            Handshake::AwaitHello(random) => {
                let (_, client) = taken.split_last_chunk().expect("C0, then C1");
                Step::Reply(Handshake::AwaitEcho, answer(&random, client))
            }
            Handshake::AwaitEcho => Step::Done(None),
            Handshake::AwaitAnswer => Step::Done(Some(Bytes::copy_from_slice(&taken[1..1 + SIZE]))),
        })
    }
}

/// C1 or S1: time 0, version word 0 (no digest), random bytes.
fn hello(random: &Random) -> [u8; SIZE] {
    let mut hello = [0; SIZE];
    hello[8..].copy_from_slice(random);
    hello
}

/// S0, S1 and S2 for this C1. One write: Wirecast breaks when the answer arrives in pieces.
fn answer(random: &Random, client: &[u8; SIZE]) -> Bytes {
    let mut server = hello(random);
    let mut echo = *client;
    if let Some(offer) = Offer::of(client) {
        echo = server;
        offer.sign_hello(&mut server);
        offer.sign_echo(&mut echo);
    }
    let mut answer = BytesMut::with_capacity(1 + 2 * SIZE);
    answer.put_u8(VERSION);
    answer.extend_from_slice(&server);
    answer.extend_from_slice(&echo);
    answer.freeze()
}

/// Values from 32 on are reserved so that text protocols can be told apart (§5.2.2).
fn check_version(input: &BytesMut, what: &'static str) -> Result<(), Error> {
    match input.first() {
        None | Some(&VERSION) => Ok(()),
        Some(0x16) => Err(Error::Unsupported("TLS on a plain RTMP port")),
        Some(b'G' | b'P' | b'H') => Err(Error::Unsupported("HTTP on an RTMP port")),
        Some(6 | 8 | 9) => Err(Error::Unsupported("encrypted RTMP (RTMPE)")),
        Some(_) => Err(Error::Malformed { what, section: "§5.2.2" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_meet_byte_by_byte_and_leave_the_rest() {
        let (client, hello) = Handshake::client(&[9; SIZE - 8]);
        let (mut ends, mut inputs) =
            ([Some(Handshake::server([7; SIZE - 8])), Some(client)], [BytesMut::new(), BytesMut::new()]);
        let mut wires = [hello.to_vec(), Vec::new()];
        while ends.iter().any(Option::is_some) {
            for me in [0, 1] {
                let byte: Vec<u8> = wires[me].drain(..wires[me].len().min(1)).collect();
                inputs[me].extend_from_slice(&byte);
                let Some(end) = ends[me].take() else { continue };
                match end.step(&mut inputs[me]).expect("a good peer") {
                    Step::Incomplete(end) => ends[me] = Some(end),
                    Step::Reply(end, bytes) => {
                        wires[1 - me].extend_from_slice(&bytes);
                        ends[me] = Some(end);
                    }
                    Step::Done(last) => wires[1 - me].extend(last.into_iter().flatten()),
                }
            }
        }
        assert!(inputs.iter().all(BytesMut::is_empty));
        let mut rest = BytesMut::from(&[[3].as_slice(), &[0; 2 * SIZE], b"rest"].concat()[..]);
        assert!(matches!(Handshake::AwaitAnswer.step(&mut rest), Ok(Step::Done(Some(echo))) if echo.len() == SIZE));
        assert_eq!(&rest[..], b"rest");
    }

    #[test]
    fn other_protocols_are_told_by_their_first_byte() {
        for (byte, text) in [(0x16, "TLS"), (b'G', "HTTP"), (6, "RTMPE"), (0, "C0"), (32, "C0")] {
            let error = Handshake::server([0; SIZE - 8]).step(&mut BytesMut::from(&[byte][..])).expect_err("not RTMP");
            assert!(error.to_string().contains(text), "{byte}: {error}");
        }
    }
}
