//! A user name and password for a server that asks for them, by Adobe's method or Limelight's. No specification has either.
//!
//! ```text
//!  connect to app ─► refused: authmod=adobe ─► connect to app?authmod=adobe&user=…
//!                    refused: ?reason=needauth&salt=…&challenge=… ─► connect to app?authmod=adobe&user=…&response=…
//!                    accepted, or refused: ?reason=authfailed
//! ```
//! The server closes after each refusal, so every step is a connection of its own. There are three of them at most.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};
use md5::{Digest, Md5};

use super::Secret;
use super::command::Status;
use super::url::Url;

/// The longest value taken from a challenge. Those of known servers have a few dozen bytes.
const VALUE_BYTES: usize = 1024;

/// Who we are to a server. Never printed, not even as a fingerprint: passwords are short enough to be guessed from one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credentials {
    /// The user name.
    pub user: Secret,
    /// The password.
    pub password: Secret,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// Why a server that asks who we are does not let us in. None repeats what it said, or what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error(
        "the server wants a user name and password: put them into the URL, as in rtmp://user:password@host/app/key"
    )]
    NoCredentials,
    #[error("the server does not know the user name in the URL")]
    UnknownUser,
    #[error("the server does not accept the user name and password in the URL")]
    WrongPassword,
    #[error("the server asks for the user name and password again and again")]
    Endless,
    #[error("the server asks for the password in a way that makes no sense")]
    Malformed,
    #[error("the server wants a kind of login that is not supported, only adobe and llnw")]
    UnknownMethod,
}

/// One attempt to get in, as far as it has come.
#[derive(Debug)]
pub struct Login {
    url: Url,
    said: Said,
}

/// What the server has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Nothing,
    User,
    Password,
}

/// How a server asks: `authmod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Adobe,
    Limelight,
}

impl Login {
    /// An attempt that begins with a connection to `url`, which says nothing of user and password.
    pub fn new(url: &Url) -> Self {
        Login { url: url.clone(), said: Said::Nothing }
    }

    /// Where to connect to next, after `connect` was refused in these words; none if they are about something else. `random`
    /// goes into the response.
    pub fn answer(&mut self, refusal: &Status, random: u32) -> Result<Option<Url>, Error> {
        let words = &refusal.description;
        let Some(method) = Method::in_words(words)? else { return Ok(None) };
        let Some(Credentials { user, password }) = &self.url.credentials else { return Err(Error::NoCredentials) };
        let (user, password) = (user.expose(), password.expose());
        // Wording differs between servers, but not in this.
        let challenge = Challenge::in_words(words);
        let query = match (challenge.reason(), self.said) {
            ("authfailed", _) => return Err(Error::WrongPassword),
            ("nosuchuser", _) => return Err(Error::UnknownUser),
            ("needauth", Said::Nothing | Said::User) => {
                self.said = Said::Password;
                let own = format!("{random:08x}");
                let response = match method {
                    Method::Adobe => challenge.adobe(user, password, &own)?,
                    Method::Limelight => challenge.limelight(user, password, &own, self.url.app.expose())?,
                };
                format!("{method}&user={user}&{response}")
            }
            ("", Said::Nothing) => {
                self.said = Said::User;
                format!("{method}&user={user}")
            }
            ("" | "needauth", _) => return Err(Error::Endless),
            _ => return Ok(None),
        };
        Ok(Some(self.url.with_query(&query)))
    }
}

impl Method {
    fn in_words(words: &str) -> Result<Option<Self>, Error> {
        let Some((_, name)) = words.split_once("authmod=") else { return Ok(None) };
        match name.split(|c: char| !c.is_ascii_alphanumeric()).next() {
            Some("adobe") => Ok(Some(Method::Adobe)),
            Some("llnw") => Ok(Some(Method::Limelight)),
            _ => Err(Error::UnknownMethod),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Adobe => "authmod=adobe",
            Method::Limelight => "authmod=llnw",
        })
    }
}

/// `reason=needauth&user=…&salt=…`: what follows the `?` of a refusal. Nothing in it is percent-encoded.
struct Challenge<'a>(&'a str);

impl<'a> Challenge<'a> {
    fn in_words(words: &'a str) -> Self {
        let start = words.find("?reason=").map_or(words.len(), |at| at + 1);
        let ends = |c: char| c.is_whitespace() || c == ']';
        Challenge(words[start..].split(ends).next().unwrap_or_default())
    }

    /// A value, which may hold `=` itself: much of this is base64.
    fn get(&self, key: &str) -> Result<Option<&'a str>, Error> {
        let value = self.0.split('&').filter_map(|pair| pair.split_once('=')).find(|(k, _)| *k == key).map(|(_, v)| v);
        if value.is_some_and(|value| value.len() > VALUE_BYTES) { Err(Error::Malformed) } else { Ok(value) }
    }

    fn reason(&self) -> &'a str {
        self.get("reason").ok().flatten().unwrap_or_default()
    }

    /// The salted password, hashed once more with what each side has made up.
    fn adobe(&self, user: &str, password: &str, own: &str) -> Result<String, Error> {
        let salt = self.get("salt")?.ok_or(Error::Malformed)?;
        let opaque = self.get("opaque")?;
        let theirs = opaque.or(self.get("challenge")?).ok_or(Error::Malformed)?;
        let salted = BASE64_STANDARD.encode(md5(&[user, salt, password]));
        let response = BASE64_STANDARD.encode(md5(&[&salted, theirs, own]));
        let opaque = opaque.map_or(String::new(), |opaque| format!("&opaque={opaque}"));
        Ok(format!("challenge={own}&response={response}{opaque}"))
    }

    /// HTTP's digest (RFC 2617 §3.2.2), for a method `publish`, which players say as well.
    fn limelight(&self, user: &str, password: &str, own: &str, app: &str) -> Result<String, Error> {
        const COUNT: &str = "00000001";
        let nonce = self.get("nonce")?.ok_or(Error::Malformed)?;
        let path = app.split('?').next().unwrap_or_default();
        let instance = if path.contains('/') { "" } else { "/_definst_" };
        let who = hex(&md5(&[user, ":live:", password]));
        let what = hex(&md5(&["publish:/", path, instance]));
        let response = hex(&md5(&[&who, ":", nonce, ":", COUNT, ":", own, ":auth:", &what]));
        Ok(format!("nonce={nonce}&cnonce={own}&nc={COUNT}&response={response}"))
    }
}

fn md5(parts: &[&str]) -> [u8; 16] {
    let mut md5 = Md5::new();
    parts.iter().for_each(|part| md5.update(part));
    md5.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtmp::command::code;

    const NEED: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    const ADOBE: &str =
        "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=alice&salt=salt1&challenge=ch4ll";

    /// What a login says to these refusals, one after the other: applications, then an error.
    fn says(url: &str, refusals: &[&str], random: u32) -> Vec<String> {
        let mut login = Login::new(&Url::parse(url).expect(url));
        let mut said = Vec::new();
        for words in refusals {
            match login.answer(&Status::error(code::CONNECT_REJECTED, words), random) {
                Ok(Some(url)) => said.push(url.app.expose().to_owned()),
                Ok(None) => said.push("none of its business".to_owned()),
                Err(error) => said.push(error.to_string()),
            }
        }
        said
    }

    const ALICE: &str = "rtmp://alice:s3cret@h/myapp/key";

    #[test]
    fn adobes_worked_examples() {
        let opaque = format!("{ADOBE}&opaque=op4que");
        assert_eq!(
            says(ALICE, &[NEED, &opaque], 0x0123_4567),
            [
                "myapp?authmod=adobe&user=alice",
                "myapp?authmod=adobe&user=alice&challenge=01234567&response=mwJHqQOMu0r/8BdZoDAPwQ==&opaque=op4que"
            ]
        );
        assert_eq!(
            says(ALICE, &[NEED, ADOBE], 0x0123_4567)[1],
            "myapp?authmod=adobe&user=alice&challenge=01234567&response=IDXkVqquOLIFXectEe97Gg=="
        );
    }

    #[test]
    fn limelights_worked_examples() {
        let refusals =
            ["[ code=403 need auth; authmod=llnw ]", "[ authmod=llnw ] : ?reason=needauth&user=alice&nonce=abc123"];
        let said = says(ALICE, &refusals, 0x89ab_cdef);
        let own = "nonce=abc123&cnonce=89abcdef&nc=00000001";
        assert_eq!(said[0], "myapp?authmod=llnw&user=alice");
        assert_eq!(said[1], format!("myapp?authmod=llnw&user=alice&{own}&response=db2ada364fe5567a04654c39d77a795a"));
        let said = says("rtmp://alice:s3cret@h/myapp/inst/key", &refusals, 0x89ab_cdef);
        assert_eq!(
            said[1],
            format!("myapp/inst?authmod=llnw&user=alice&{own}&response=0c131e4a5ebedeecfe342074cc419539")
        );
    }

    #[test]
    fn an_application_with_a_query_keeps_it_and_limelights_hash_does_not_see_it() {
        let refusals = ["authmod=llnw", "authmod=llnw ?reason=needauth&nonce=abc123"];
        let said = says("rtmp://alice:s3cret@h/myapp?backup=1/key", &refusals, 0x89ab_cdef);
        assert_eq!(said[0], "myapp?backup=1&authmod=llnw&user=alice");
        assert!(said[1].ends_with("&response=db2ada364fe5567a04654c39d77a795a"), "{}", said[1]);
    }

    #[test]
    fn every_refusal_has_its_sentence_and_no_login_goes_on_for_ever() {
        let failed = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&user=alice";
        let nobody = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=nosuchuser&user=alice";
        for (refusals, error) in [
            (&[NEED, ADOBE, failed][..], Error::WrongPassword),
            (&[NEED, nobody], Error::UnknownUser),
            (&[NEED, NEED], Error::Endless),
            (&[NEED, ADOBE, ADOBE], Error::Endless),
            (&[NEED, ADOBE, NEED], Error::Endless),
            (&[ADOBE, ADOBE], Error::Endless),
            (&["authmod=kerberos"], Error::UnknownMethod),
            (&["authmod="], Error::UnknownMethod),
            (&["authmod=adobe ?reason=needauth&challenge=c"], Error::Malformed),
            (&["authmod=adobe ?reason=needauth&salt=s"], Error::Malformed),
            (&["authmod=llnw ?reason=needauth&user=alice"], Error::Malformed),
        ] {
            assert_eq!(says(ALICE, refusals, 7).last(), Some(&error.to_string()), "{refusals:?}");
        }
        assert_eq!(says("rtmp://h/myapp/key", &[NEED], 7), [Error::NoCredentials.to_string()]);
        for other in ["no such application", "authmod=adobe ?reason=because"] {
            assert_eq!(says(ALICE, &[other], 7), ["none of its business"]);
        }
    }

    #[test]
    fn a_value_over_the_limit_is_refused_and_one_of_the_limit_is_not() {
        let challenge = |length: usize| format!("authmod=llnw ?reason=needauth&nonce={}", "n".repeat(length));
        assert!(says(ALICE, &[&challenge(VALUE_BYTES)], 7)[0].starts_with("myapp?"));
        assert_eq!(says(ALICE, &[&challenge(VALUE_BYTES + 1)], 7), [Error::Malformed.to_string()]);
    }

    #[test]
    fn values_end_where_they_end_and_keep_their_equals_signs() {
        let challenge = Challenge::in_words("x : ?reason=needauth&salt=a+/==&opaque=b ] and more&salt=no");
        assert_eq!((challenge.get("salt"), challenge.get("opaque")), (Ok(Some("a+/==")), Ok(Some("b"))));
    }

    #[test]
    fn nobody_reads_the_password_in_a_login() {
        let login = Login::new(&Url::parse("rtmp://CANARY:CANARY@h/app/key").expect("a URL"));
        let printed = format!("{login:?} {:?} {}", login.url.credentials, login.url);
        let fingerprint = Secret::from("CANARY".to_owned()).fingerprint();
        assert!(!printed.contains("CANARY") && !printed.contains(&fingerprint), "{printed}");
    }

    proptest! {
        #[test]
        fn any_words_are_answered_or_refused(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "authmod=", "adobe", "llnw", " ", "]", "?reason=", "needauth", "authfailed", "&", "=", "salt=", "é",
                    "challenge=", "opaque=", "nonce=",
                ]),
                0..20,
            ),
        ) {
            let said = says(ALICE, &[words.concat().as_str(); 4], 7);
            prop_assert!(!said[3].starts_with("myapp?"), "after three connections there is an end: {:?}", said);
        }
    }
}
