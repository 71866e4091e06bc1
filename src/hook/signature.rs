//! A signature: what shows a server that it is told something by us, and not long ago. As the "Standard Webhooks" specification
//! has it, for which there are libraries in many languages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::rtmp::Secret;

/// How the specification writes secrets that are no text.
const PREFIX: &str = "whsec_";

/// A key that both sides know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Secret);

/// A secret that begins as one in base64 and is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// There is nothing in it.
    #[error("the secret is empty")]
    Empty,
    /// It begins with `whsec_`.
    #[error("the secret begins with whsec_, and base64 has to follow")]
    Base64,
}

impl Key {
    /// Any text, or `whsec_` and base64.
    pub fn new(secret: Secret) -> Result<Self, Unusable> {
        let key = Key(secret);
        match key.bytes() {
            None => Err(Unusable::Base64),
            Some(bytes) if bytes.is_empty() => Err(Unusable::Empty),
            Some(_) => Ok(key),
        }
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        let text = self.0.expose();
        match text.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD.decode(encoded).ok(),
            None => Some(text.as_bytes().to_vec()),
        }
    }

    /// The signature of what is told as number `id` at `timestamp`, in seconds since 1970.
    pub fn sign(&self, id: u64, timestamp: u64, body: &str) -> String {
        let key = self.bytes().expect("it was tried when it was made");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("keys of any length will do");
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> Result<Key, Unusable> {
        Key::new(secret.to_owned().into())
    }

    /// Computed with Python's `hmac`.
    #[test]
    fn it_is_what_others_compute() {
        let body = r#"{"id":7,"code":"publish.started"}"#;
        let [text, encoded] = ["correct-horse", "whsec_Y29ycmVjdC1ob3JzZQ=="].map(|secret| key(secret).expect(secret));
        let signature = "v1,B8sYNRyh18BvqvVFKYy4a1PNo9EBKT8pqrHLrNa/ofQ=";
        assert_eq!(text.sign(7, 1_700_000_000, body), signature);
        assert_eq!(encoded.sign(7, 1_700_000_000, body), signature);
        assert_ne!(text.sign(8, 1_700_000_000, body), signature);
        assert_ne!(text.sign(7, 1_700_000_001, body), signature);
    }

    #[test]
    fn a_secret_that_signs_nothing_is_refused_and_none_is_printed() {
        assert_eq!((key(""), key("whsec_")), (Err(Unusable::Empty), Err(Unusable::Empty)));
        assert_eq!(key("whsec_CANARY!"), Err(Unusable::Base64));
        assert!(!format!("{:?}", key("CANARY")).contains("CANARY"));
    }
}
