//! The digest handshake, which no specification describes: 32 bytes of C1 and S1, and the end of S2, are signed with keys that
//! everybody knows. Players of the Flash era show H.264 only from a server that signs, and ffmpeg checks what is signed.
//!
//! ```text
//!  time 4 │ version 4 │ 764 bytes │ 764 bytes     one block holds the digest, at a place its four offset bytes give;
//!                                                 the other a key that only encrypted RTMP uses
//! ```

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::SIZE;

/// What C1 is signed with.
const PLAYER: &[u8] = b"Genuine Adobe Flash Player 001";
/// What S1 is signed with, and, with the tail behind it, S2.
const SERVER: &[u8] = b"Genuine Adobe Flash Media Server 001";
const TAIL: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57, 0x6e, 0xec, 0x5d,
    0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];

/// The version word of a server that signs. Clients look for one that is not 0; ffmpeg checks signatures from 3 on.
const VERSION: [u8; 4] = [4, 5, 0, 1];

/// Bytes of a digest.
const LENGTH: usize = 32;
/// Places a digest can have in its block: 764 bytes without the offset bytes and its own.
const PLACES: usize = 728;

/// Where in C1 and S1 the digest's block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// Scheme 0: the second block.
    KeyFirst,
    /// Scheme 1: the first.
    DigestFirst,
}

/// A C1 that is signed.
#[derive(Debug)]
pub(super) struct Offer {
    scheme: Scheme,
    digest: [u8; LENGTH],
}

impl Offer {
    /// The digest of a C1, if it has a sound one. A version word of 0 says that there is none.
    pub(super) fn of(hello: &[u8; SIZE]) -> Option<Self> {
        if hello[4..8] == [0; 4] {
            return None;
        }
        [Scheme::KeyFirst, Scheme::DigestFirst].into_iter().find_map(|scheme| {
            let digest = digest(PLAYER, hello, scheme.place(hello));
            hello[scheme.place(hello)..].starts_with(&digest).then_some(Offer { scheme, digest })
        })
    }

    /// Makes an S1 of random bytes one that is signed, by the client's scheme.
    pub(super) fn sign_hello(&self, hello: &mut [u8; SIZE]) {
        hello[4..8].copy_from_slice(&VERSION);
        let place = self.scheme.place(hello);
        let digest = digest(SERVER, hello, place);
        hello[place..place + LENGTH].copy_from_slice(&digest);
    }

    /// Makes an S2 of random bytes one that is signed.
    pub(super) fn sign_echo(&self, echo: &mut [u8; SIZE]) {
        let key = hmac(&[SERVER, &TAIL].concat(), &[&self.digest]);
        let (random, signature) = echo.split_at_mut(SIZE - LENGTH);
        signature.copy_from_slice(&hmac(&key, &[random]));
    }
}

impl Scheme {
    /// Where the digest begins.
    fn place(self, hello: &[u8; SIZE]) -> usize {
        let offset = match self {
            Scheme::KeyFirst => 8 + 764,
            Scheme::DigestFirst => 8,
        };
        let sum: usize = hello[offset..offset + 4].iter().map(|byte| usize::from(*byte)).sum();
        offset + 4 + sum % PLACES
    }
}

/// The digest of everything but the digest.
fn digest(key: &[u8], hello: &[u8; SIZE], place: usize) -> [u8; LENGTH] {
    hmac(key, &[&hello[..place], &hello[place + LENGTH..]])
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; LENGTH] {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    parts.iter().for_each(|part| hmac.update(part));
    hmac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random bytes that are none: `7 i + seed`.
    fn bytes<const N: usize>(seed: usize) -> [u8; N] {
        std::array::from_fn(|i| (7 * i + seed) as u8)
    }

    /// C1 or S1 of time 0 and this version, unsigned.
    fn hello(version: [u8; 4], seed: usize) -> [u8; SIZE] {
        let mut hello = [0; SIZE];
        hello[4..8].copy_from_slice(&version);
        hello[8..].copy_from_slice(&bytes::<{ SIZE - 8 }>(seed));
        hello
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// nginx-rtmp 1.2.2 took this C1 of both schemes, and its own answers were right by the same formulas.
    #[test]
    fn the_worked_vectors_of_both_schemes() {
        for (scheme, places, c1, s1, s2) in [
            (
                Scheme::DigestFirst,
                (66, 98),
                "57558039f689da2cd14bff731a86b6af64501620e140ff7d2265d3260626b728",
                "d7b6e64cd1b2926fcefa707ca4f5152518b81679b4e8d971e91cfb6b99c5e4fa",
                "d55c17f9278ecc3884975780d5a7f25b85175b8eb65d00a3188d5df93f8c78ac",
            ),
            (
                Scheme::KeyFirst,
                (1014, 790),
                "ee57cd4468042a4a1d0356c6fa2a54e53deff6e11afca7fc1e8b559bf25ec48e",
                "c4a0f1e99e5b3d4fd3fca94784305f2077e8da24c24f356cbb1bef57bb788596",
                "75bb8705f4819e86a97de20707f6a22d5973b7d2a336c2d164cadf7cb5800d56",
            ),
        ] {
            let mut client = hello([0x80, 0, 7, 2], 3);
            let at = scheme.place(&client);
            let signed = digest(PLAYER, &client, at);
            client[at..at + LENGTH].copy_from_slice(&signed);
            let offer = Offer::of(&client).expect("a sound digest");
            assert_eq!((offer.scheme, hex(&offer.digest).as_str()), (scheme, c1));

            let mut server = hello([0; 4], 11);
            offer.sign_hello(&mut server);
            assert_eq!((at, scheme.place(&server)), places);
            assert_eq!(hex(&server[places.1..places.1 + LENGTH]), s1);
            let mut echo = bytes(29);
            offer.sign_echo(&mut echo);
            assert_eq!(hex(&echo[SIZE - LENGTH..]), s2);
        }
    }

    #[test]
    fn a_digest_may_have_any_place_in_its_block() {
        for sum in [0, 1, PLACES - 1, PLACES, PLACES + 1, 4 * 255] {
            for (scheme, offset) in [(Scheme::DigestFirst, 8), (Scheme::KeyFirst, 772)] {
                let mut client = hello([9, 0, 0x7c, 2], 5);
                for (n, byte) in client[offset..offset + 4].iter_mut().enumerate() {
                    *byte = sum.saturating_sub(255 * n).min(255) as u8;
                }
                let at = scheme.place(&client);
                assert_eq!(at, offset + 4 + sum % PLACES);
                let signed = digest(PLAYER, &client, at);
                client[at..at + LENGTH].copy_from_slice(&signed);
                assert_eq!(Offer::of(&client).map(|offer| offer.scheme), Some(scheme), "{sum}");
            }
        }
    }
}
