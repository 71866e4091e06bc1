//! The SHA-256 of a certificate, as `openssl x509 -fingerprint -sha256` prints it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

/// A certificate's fingerprint: of all of it (DER), not of its public key alone. No secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// It is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is the SHA-256 of a certificate: 32 bytes in hexadecimal, with or without colons, or in base64")]
pub struct Malformed;

impl Fingerprint {
    /// Of this certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Fingerprint(Sha256::digest(certificate).into())
    }
}

impl FromStr for Fingerprint {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let bytes = match digits.len() {
            64 if digits.is_ascii() => {
                let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).ok();
                (0..64).step_by(2).map(byte).collect::<Option<Vec<u8>>>()
            }
            _ => STANDARD.decode(text).ok(),
        };
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Fingerprint).ok_or(Malformed)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if at > 0 { ":" } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_in_every_way_that_tools_print_it() {
        let fingerprint = Fingerprint::of(&CertificateDer::from(b"abc".to_vec()));
        let hexadecimal = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for text in [hexadecimal, &hexadecimal.to_uppercase(), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="] {
            assert_eq!(text.parse(), Ok(fingerprint), "{text}");
        }
        assert!(fingerprint.to_string().starts_with("BA:78:16:BF:"));
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        for bad in ["", "ba78", &hexadecimal[1..], &hexadecimal.replace('a', "g"), &"é".repeat(32), "YWJj", "+f"] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(Malformed), "{bad}");
        }
        assert_eq!("+".repeat(64).parse::<Fingerprint>(), Err(Malformed));
    }
}
