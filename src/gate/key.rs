//! Keys: what is shown, and what is compared with it. Only hashes are kept, and compared in constant time.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::{Ask, Denied};
use crate::limits::{KEY_BYTES, KEYS_PRESENTED};
use crate::rtmp::Secret;

/// The hash of a key. Printed, it is a short fingerprint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key([u8; 32]);

/// Keys that open the same door.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

/// Why a text is no key. None of them repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("a key cannot be empty")]
    Empty,
    #[error("a key has {KEY_BYTES} bytes at most")]
    TooLong,
    #[error("sha256: should be followed by 64 hexadecimal digits")]
    Hash,
}

/// What stands before the hash of a key where that is given instead of the key.
const HASHED: &str = "sha256:";

impl Key {
    /// Reads a key as it is configured: itself, or `sha256:` and its hash.
    pub fn parse(text: &Secret) -> Result<Key, Error> {
        match text.expose() {
            "" => Err(Error::Empty),
            text if text.len() > KEY_BYTES => Err(Error::TooLong),
            text => text.strip_prefix(HASHED).map_or_else(|| Ok(Key::of(text)), Key::hashed),
        }
    }

    /// Whether somebody has shown this key. The time that takes tells nothing of how near it was.
    pub fn is(&self, shown: &str) -> bool {
        self.0.ct_eq(&Key::of(shown).0).into()
    }

    /// The key that somebody shows.
    fn of(text: &str) -> Key {
        Key(Sha256::digest(text.as_bytes()).into())
    }

    fn hashed(hex: &str) -> Result<Key, Error> {
        let digits: Option<Vec<u8>> = hex.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
        let digits: [u8; 64] = digits.and_then(|digits| digits.try_into().ok()).ok_or(Error::Hash)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = 16 * pair[0] + pair[1];
        }
        Ok(Key(hash))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "#{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

impl Keys {
    /// Reads each of them.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a Secret>) -> Result<Keys, Error> {
        texts.into_iter().map(Key::parse).collect::<Result<_, _>>().map(Keys)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

/// The keys that somebody shows: the values of `key` and `token` in the query, as typed and percent-decoded, since programs
/// differ in that.
#[derive(Debug)]
pub(super) struct Presented(Vec<Key>);

impl Presented {
    pub(super) fn by(ask: &Ask<'_>) -> Result<Self, Denied> {
        let mut keys = Vec::new();
        for pair in ask.query.expose().split('&') {
            let Some((name, typed)) = pair.split_once('=') else { continue };
            if !matches!(name, "key" | "token") || typed.is_empty() {
                continue;
            }
            if keys.len() >= 2 * KEYS_PRESENTED {
                return Err(Denied::WrongKey);
            }
            let decoded = form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| Key::of(&value));
            keys.extend([Key::of(typed)].into_iter().chain(decoded));
        }
        if keys.is_empty() { Err(Denied::NoKey) } else { Ok(Presented(keys)) }
    }

    /// Every pair is compared to the end, so that the time it takes tells nothing of how near somebody was. It says that a key
    /// was found, which is worth more than an address.
    pub(super) fn is_among<'a>(&self, keys: impl Iterator<Item = &'a Key>) -> Result<bool, Denied> {
        let mut found = Choice::from(0);
        for key in keys {
            for presented in &self.0 {
                found |= key.0.ct_eq(&presented.0);
            }
        }
        if bool::from(found) { Ok(true) } else { Err(Denied::WrongKey) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::server::Role;
    use crate::stream::Name;

    /// SHA-256 of "abc" (FIPS 180-2, appendix B.1).
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn key(text: &str) -> Result<Key, Error> {
        Key::parse(&text.to_owned().into())
    }

    fn shows(query: &str, key: &Key) -> Result<bool, Denied> {
        let stream = Name::new("live/show").expect("a name");
        let (query, tc_url) = (query.to_owned().into(), String::new().into());
        let peer = ([192, 0, 2, 1], 1).into();
        let ask = Ask { role: Role::Publish, stream: &stream, query: &query, peer, agent: "", tc_url: &tc_url };
        Presented::by(&ask)?.is_among([key].into_iter())
    }

    #[test]
    fn a_key_is_itself_or_its_hash() {
        assert_eq!(key("abc"), key(ABC));
        assert_eq!(key("abc"), key(&ABC.replace('b', "B")));
        assert_ne!(key("abc"), key("abd"));
        assert_eq!(key(""), Err(Error::Empty));
        let longest = "k".repeat(KEY_BYTES);
        assert!(key(&longest).is_ok());
        assert_eq!(key(&format!("{longest}k")), Err(Error::TooLong));
        for bad in ["sha256:", "sha256:abc", &ABC[..70], &format!("{ABC}0"), &ABC.replace('f', "+")] {
            assert_eq!(key(bad), Err(Error::Hash), "{bad}");
        }
    }

    #[test]
    fn a_key_is_the_one_that_is_shown_and_its_hash_is_not() {
        let abc = key(ABC).expect("a key");
        assert!(abc.is("abc"));
        for other in ["", "ab", "abcd", "ABC", ABC] {
            assert!(!abc.is(other), "{other}");
        }
    }

    #[test]
    fn a_key_prints_a_fingerprint() {
        assert_eq!(format!("{:?}", Keys::parse([&"abc".to_owned().into()])), "Ok(Keys([#ba7816bf]))");
    }

    #[test]
    fn a_key_is_shown_in_the_query() {
        for (query, key, shown) in [
            ("key=abc", "abc", Ok(true)),
            ("token=abc", "abc", Ok(true)),
            ("a=1&key=abc&b=2", "abc", Ok(true)),
            ("key=x&token=abc", "abc", Ok(true)),
            ("key=a%2Fb+c", "a/b c", Ok(true)),
            ("key=a%2Fb+c", "a%2Fb+c", Ok(true)),
            ("key=a=b", "a=b", Ok(true)),
            ("key=abcd", "abc", Err(Denied::WrongKey)),
            ("key=ab", "abc", Err(Denied::WrongKey)),
            ("", "abc", Err(Denied::NoKey)),
            ("abc", "abc", Err(Denied::NoKey)),
            ("key=", "abc", Err(Denied::NoKey)),
            ("keys=abc", "abc", Err(Denied::NoKey)),
        ] {
            assert_eq!(shows(query, &super::Key::parse(&key.to_owned().into()).expect("a key")), shown, "{query}");
        }
        assert_eq!(
            shows(&format!("key={ABC}"), &key("abc").expect("a key")),
            Err(Denied::WrongKey),
            "a hash opens nothing"
        );
    }

    #[test]
    fn who_shows_too_many_keys_has_none() {
        let abc = key("abc").expect("a key");
        let tries = "key=x&".repeat(KEYS_PRESENTED - 1);
        assert_eq!(shows(&format!("{tries}key=abc"), &abc), Ok(true));
        assert_eq!(shows(&format!("{tries}key=x&key=abc"), &abc), Err(Denied::WrongKey));
    }
}
