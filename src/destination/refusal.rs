//! What servers mean when they say no: one table, from their codes and words to a class.
//!
//! Their words are data: they could be our key, or move the cursor. They are compared with what is known here and forgotten; only
//! a code that looks like one is kept.

use std::fmt;

use super::Class;
use crate::rtmp::Secret;
use crate::rtmp::command::Status;
use crate::rtmp::login::Credentials;
use crate::rtmp::session::Phase;
use crate::rtmp::url::Url;

/// The longest code that is repeated.
const CODE_BYTES: usize = 64;

/// Shorter pieces of a secret are in many words by chance.
const PIECE_BYTES: usize = 4;

/// A server's no, as far as it may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it means.
    pub class: Class,
    code: String,
}

impl Refusal {
    /// What the server at `url` has said in `phase`; it has been told our `name` there.
    pub fn at(url: &Url, name: &Secret, phase: Phase, status: &Status) -> Self {
        let mut secrets = vec![name, &url.app];
        if let Some(Credentials { user, password }) = &url.credentials {
            secrets.extend([user, password]);
        }
        Refusal::new(phase, status, &secrets)
    }

    /// What a server has said in `phase`. It knows our `secrets`, too.
    fn new(phase: Phase, status: &Status, secrets: &[&Secret]) -> Self {
        let repeats = |secret: &&Secret| {
            let mut pieces = secret.expose().split(|c: char| !c.is_ascii_alphanumeric());
            pieces.any(|piece| piece.len() >= PIECE_BYTES && status.code.contains(piece))
        };
        let told = is_code(&status.code) && !secrets.iter().any(repeats);
        let code = if told { status.code.clone() } else { "(no known code)".to_owned() };
        let words = secrets.iter().fold(status.description.clone(), |words, secret| match secret.expose() {
            "" => words,
            secret => words.replace(secret, ""),
        });
        Refusal { class: class(phase, &status.code, &words.to_ascii_lowercase()), code }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)
    }
}

fn is_code(code: &str) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'.';
    code.len() <= CODE_BYTES && code.starts_with("Net") && code.bytes().all(sound)
}

/// A refusal that is known. Letters' case never matters: servers write `publish` and `Publish`.
struct Known {
    /// The code; nothing is any code.
    code: &'static str,
    /// In the description; nothing is any description.
    words: &'static str,
    class: Class,
}

const fn said(code: &'static str, words: &'static str, class: Class) -> Known {
    Known { code, words, class }
}

/// The first that fits. Words go before codes: some servers have one code for everything.
const KNOWN: &[Known] = &[
    // Ours.
    said("NetStream.Publish.Loop", "", Class::Loop),
    // Adobe's and Limelight's logins, as FMS, Wowza and Akamai word them.
    said("", "authmod=", Class::LoginRejected),
    said("", "reason=authfailed", Class::LoginRejected),
    said("", "reason=nosuchuser", Class::LoginRejected),
    said("", "code=403 need auth", Class::LoginRejected),
    // "Already publishing" (nginx-rtmp), "Stream already publishing" (Node-Media-Server), "Stream already exists".
    said("", "already publishing", Class::AlreadyLive),
    said("", "already exists", Class::AlreadyLive),
    said("", "already has a stream", Class::AlreadyLive),
    said("", "in use", Class::AlreadyLive),
    said("", "stream busy", Class::AlreadyLive),
    said("", "unsupported codec", Class::CodecRefused),
    said("", "codec not supported", Class::CodecRefused),
    said("", "codec is not supported", Class::CodecRefused),
    said("", "invalid stream key", Class::KeyRejected),
    said("", "authorization required", Class::KeyRejected),
    said("", "authentication failed", Class::KeyRejected),
    // Adobe's list, and what others have added to it.
    said("NetStream.Publish.BadName", "", Class::AlreadyLive),
    said("NetStream.Publish.BadConnection", "", Class::AlreadyLive),
    said("NetStream.Publish.Unauthorized", "", Class::KeyRejected),
    said("NetStream.Publish.BadAuth", "", Class::KeyRejected),
    said("NetStream.Publish.Denied", "", Class::KeyRejected),
    said("NetStream.Publish.Rejected", "", Class::KeyRejected),
    said("NetStream.Play.NoSupportedTrackFound", "", Class::CodecRefused),
    said("NetStream.Play.FileStructureInvalid", "", Class::CodecRefused),
    said("NetConnection.Connect.InvalidApp", "", Class::Refused),
    said("NetConnection.Connect.AppShutdown", "", Class::Network),
    said("NetConnection.Connect.IdleTimeout", "", Class::Network),
    said("NetConnection.Proxy.NotResponding", "", Class::Network),
];

/// The class of a no that came in `phase`, with a description in small letters. What is not known is taken for the usual reason
/// there.
fn class(phase: Phase, code: &str, words: &str) -> Class {
    let fits = |known: &&Known| {
        (known.code.is_empty() || code.eq_ignore_ascii_case(known.code)) && words.contains(known.words)
    };
    match (KNOWN.iter().find(fits), phase) {
        (Some(known), _) => known.class,
        (None, Phase::Request) => Class::KeyRejected,
        (None, Phase::Media | Phase::Closing) => Class::Kicked,
        (None, Phase::Handshake | Phase::Connect | Phase::CreateStream) => Class::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_refusal_means_what_its_server_means() {
        use Class::*;
        let (connect, create, publish, media) = (Phase::Connect, Phase::CreateStream, Phase::Request, Phase::Media);
        // Who says so, when, the code, the description.
        for (who, phase, code, words, class) in [
            ("rtmp-relay", publish, "NetStream.Publish.Loop", "", Loop),
            ("rtmp-relay", publish, "NetStream.Publish.Denied", "", KeyRejected),
            ("nginx-rtmp", publish, "NetStream.Publish.BadName", "Already publishing", AlreadyLive),
            ("Node-Media-Server", publish, "NetStream.Publish.BadName", "Stream already publishing", AlreadyLive),
            (
                "Node-Media-Server",
                publish,
                "NetStream.Publish.BadConnection",
                "Connection already publishing",
                AlreadyLive,
            ),
            ("Node-Media-Server", publish, "NetStream.publish.Unauthorized", "Authorization required.", KeyRejected),
            ("Node-Media-Server", publish, "NetStream.Publish.BadAuth", "", KeyRejected),
            (
                "Node-Media-Server's applications",
                publish,
                "NetStream.Publish.Unauthorized",
                "Invalid stream key",
                KeyRejected,
            ),
            ("Adobe's list", publish, "NetStream.Publish.BadName", "", AlreadyLive),
            ("unknown, platforms.md §4", publish, "NetStream.Publish.BadName", "Stream already exists", AlreadyLive),
            ("Wowza", publish, "NetStream.Publish.Unauthorized", "", KeyRejected),
            ("MediaMTX", publish, "NetStream.Publish.Unauthorized", "", KeyRejected),
            ("known to OBS", publish, "NetStream.Publish.Rejected", "", KeyRejected),
            ("known to OBS", publish, "NetStream.Publish.Denied", "", KeyRejected),
            ("known to OBS", publish, "NetStream.Failed", "", KeyRejected),
            ("bRPC", publish, "NetStream.Play.StreamNotFound", "", KeyRejected),
            ("one that lets us in first and asks then", media, "NetStream.Publish.Unauthorized", "", KeyRejected),
            (
                "FMS, Wowza",
                connect,
                "NetConnection.Connect.Rejected",
                "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ",
                LoginRejected,
            ),
            (
                "FMS, Wowza",
                connect,
                "NetConnection.Connect.Rejected",
                "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed",
                LoginRejected,
            ),
            ("librtmp's servers", connect, "NetConnection.Connect.Rejected", "?reason=nosuchuser", LoginRejected),
            ("Adobe's list", connect, "NetConnection.Connect.Rejected", "", Refused),
            ("Adobe's list", connect, "NetConnection.Connect.InvalidApp", "", Refused),
            ("Adobe's list", connect, "NetConnection.Connect.Failed", "", Refused),
            ("Adobe's list", connect, "NetConnection.Connect.Closed", "", Refused),
            ("Adobe's list", connect, "NetConnection.Call.BadVersion", "", Refused),
            ("Adobe's list", connect, "NetConnection.Call.Prohibited", "", Refused),
            ("Adobe's list", connect, "NetConnection.Connect.AppShutdown", "", Network),
            ("Adobe's list", media, "NetConnection.Connect.AppShutdown", "", Network),
            ("Adobe's list", media, "NetConnection.Connect.IdleTimeout", "", Network),
            ("Adobe's list", connect, "NetConnection.Proxy.NotResponding", "", Network),
            ("an overloaded server", create, "NetConnection.Call.Failed", "", Refused),
            ("Adobe's list", media, "NetStream.Unpublish.Success", "", Kicked),
            ("Adobe's list", media, "NetStream.Publish.Idle", "", Kicked),
            ("Adobe's list", media, "NetStream.Failed", "", Kicked),
            ("Adobe's list", media, "NetStream.Record.NoAccess", "", Kicked),
            ("Adobe's list", media, "NetStream.Record.DiskQuotaExceeded", "", Kicked),
            ("Adobe's list", media, "NetStream.Play.NoSupportedTrackFound", "", CodecRefused),
            ("Adobe's list", media, "NetStream.Play.FileStructureInvalid", "", CodecRefused),
            ("anybody", media, "NetStream.Failed", "Unsupported codec hvc1", CodecRefused),
            ("anybody", publish, "NetStream.Publish.Rejected", "codec not supported", CodecRefused),
            ("anybody", publish, "NetStream.Publish.Rejected", "This codec is not supported", CodecRefused),
            ("anybody", publish, "NetStream.Publish.Failed", "the name is in use", AlreadyLive),
            ("anybody", publish, "", "stream busy", AlreadyLive),
            ("Node-Media-Server", publish, "", "Already has a stream", AlreadyLive),
            ("anybody", publish, "", "Authentication failed", KeyRejected),
            ("nobody", connect, "", "", Refused),
            ("nobody", publish, "", "", KeyRejected),
            ("nobody", media, "", "", Kicked),
        ] {
            let refusal = Refusal::new(phase, &Status::error(code, words), &[]);
            assert_eq!(refusal.class, class, "{who}: {code} {words}");
        }
    }

    #[test]
    fn a_key_that_reads_like_a_reason_is_none() {
        let key = Secret::from("in use".to_owned());
        let repeated = Status::error("NetStream.Publish.Failed", "in use is no stream");
        assert_eq!(Refusal::new(Phase::Request, &repeated, &[&key]).class, Class::KeyRejected);
    }
}
