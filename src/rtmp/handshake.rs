//! The simple handshake (RTMP 1.0 §5.2): version and 1536 bytes each way, then an echo of them each way.
//!
//! Contents are never checked: ffmpeg copies C1's time, GStreamer fills C2's second time, and encoders that offer the
//! digest variant (ffmpeg, bytes 4 to 7 of C1 not zero) accept a plain echo.

use bytes::{Buf, Bytes, BytesMut};

use super::Error;

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

/// The server's half.
#[derive(Debug)]
pub enum Server {
    /// Before C0 and C1.
    AwaitHello(Box<Random>),
    /// S0, S1 and S2 are out; C2 is to come.
    AwaitEcho,
}

/// What a step of the handshake led to.
#[derive(Debug)]
pub enum Step<T> {
    /// More bytes are needed to go on.
    Incomplete(T),
    /// These bytes are to be sent, and the handshake goes on.
    Reply(T, Bytes),
    /// The next byte belongs to the chunk stream. The client still has C2 to send, the server nothing.
    Done(Option<Bytes>),
}

impl Server {
    /// Takes what it can from `input`; bytes after C2 stay there.
    pub fn step(self, input: &mut BytesMut) -> Result<Step<Self>, Error> {
        match self {
            Server::AwaitHello(random) => {
                check_version(input, "C0")?;
                if input.len() < 1 + SIZE {
                    return Ok(Step::Incomplete(Server::AwaitHello(random)));
                }
                // One write: Wirecast breaks when the answer arrives in pieces.
                let mut reply = BytesMut::with_capacity(1 + 2 * SIZE);
                hello(&random, &mut reply);
                reply.extend_from_slice(&input[1..1 + SIZE]);
                input.advance(1 + SIZE);
                Ok(Step::Reply(Server::AwaitEcho, reply.freeze()))
            }
            Server::AwaitEcho if input.len() < SIZE => Ok(Step::Incomplete(Server::AwaitEcho)),
            Server::AwaitEcho => {
                input.advance(SIZE);
                Ok(Step::Done(None))
            }
        }
    }
}

/// The client's half: `hello` first, then this until it is done.
#[derive(Debug)]
pub struct Client;

impl Client {
    /// C0 and C1.
    pub fn hello(random: &Random) -> Bytes {
        let mut out = BytesMut::with_capacity(1 + SIZE);
        hello(random, &mut out);
        out.freeze()
    }

    /// Waits for S0, S1 and S2 together: every server sends them in one write, and the echo in S2 is not looked at.
    pub fn step(self, input: &mut BytesMut) -> Result<Step<Self>, Error> {
        check_version(input, "S0")?;
        if input.len() < 1 + 2 * SIZE {
            return Ok(Step::Incomplete(self));
        }
        let echo = Bytes::copy_from_slice(&input[1..1 + SIZE]);
        input.advance(1 + 2 * SIZE);
        Ok(Step::Done(Some(echo)))
    }
}

/// Version 3, time 0, version word 0 (no digest), random bytes.
fn hello(random: &Random, out: &mut BytesMut) {
    out.extend_from_slice(&[VERSION]);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(random);
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
    fn both_halves_meet_byte_by_byte_and_leave_the_rest() {
        let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
        let mut server = Some(Server::AwaitHello(Box::new([7; SIZE - 8])));
        let mut client = Some(Client);
        let mut wire: Vec<u8> = Client::hello(&[9; SIZE - 8]).to_vec();
        wire.reverse();
        while server.is_some() || client.is_some() {
            if let Some(byte) = wire.pop() {
                to_server.extend_from_slice(&[byte]);
            }
            if let Some(state) = server.take() {
                match state.step(&mut to_server).expect("a good client") {
                    Step::Incomplete(s) => server = Some(s),
                    Step::Reply(s, bytes) => {
                        to_client.extend_from_slice(&bytes);
                        server = Some(s);
                    }
                    Step::Done(_) => assert_eq!(&to_server[..], b""),
                }
            }
            if let Some(state) = client.take() {
                match state.step(&mut to_client).expect("a good server") {
                    Step::Incomplete(c) => client = Some(c),
                    Step::Reply(..) => unreachable!("a client has one reply, at its end"),
                    Step::Done(echo) => {
                        let echo = echo.expect("C2");
                        assert_eq!(echo[8..], [7; SIZE - 8]);
                        wire = echo.to_vec();
                        wire.reverse();
                    }
                }
            }
        }
    }

    #[test]
    fn other_protocols_are_told_by_their_first_byte() {
        for (byte, text) in [(0x16, "TLS"), (b'G', "HTTP"), (6, "RTMPE"), (0, "C0"), (32, "C0")] {
            let error = Server::AwaitHello(Box::new([0; SIZE - 8]))
                .step(&mut BytesMut::from(&[byte][..]))
                .expect_err("not RTMP");
            assert!(error.to_string().contains(text), "{byte}: {error}");
        }
    }
}
