//! What can go wrong with a destination, and whose fault it is.

use std::io;
use std::time::Duration;

use super::{Class, Refusal};
use crate::causes;
use crate::guard::Advice;
use crate::limits::DROPS;
use crate::net::{connection, tls};
use crate::rtmp::Secret;
use crate::rtmp::login;
use crate::rtmp::session::Phase;
use crate::rtmp::url::Url;

/// Why a destination is not being sent to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its name has no address.
    #[error("the host name cannot be resolved")]
    Lookup(#[source] io::Error),
    /// Nobody answers there.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// No TLS with it.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The connection ended.
    #[error(transparent)]
    Connection(#[from] connection::Error),
    /// The server said no.
    #[error("refused {0}: {1}")]
    Refused(Phase, Refusal),
    /// The server wants to know who we are, and we could not tell it.
    #[error("refused in connect")]
    Login(#[from] login::Error),
    /// The server ended a stream it had accepted.
    #[error("ended by the server: {0}")]
    Kicked(Refusal),
    /// It accepts the stream and closes, again and again: most platforms say no in this way.
    #[error("accepted and then closed, {DROPS} times in a row")]
    Dropped(#[source] connection::Error),
    /// It wants us to connect again, there.
    #[error("the server asks for a new connection again and again")]
    Reconnect(Box<Url>),
    /// It has sent us to where only a server of our own network may.
    #[error("the server asks for a connection into our own network")]
    Internal,
    /// Its name leads to where it may not be.
    #[error("its name leads into our own network, where this destination may not be (public_only)")]
    NotPublic,
    /// We have a bug.
    #[error("rtmp-relay has panicked; this is a bug, please report it")]
    Panicked,
    /// The server takes no more bytes.
    #[error("the server has taken nothing for {} s", .0.as_secs())]
    Stalled(Duration),
    /// The stream has more bits a second than the destination is meant for.
    #[error("the stream has {} and this destination's limit is {}", rate(*.bitrate), rate(*.limit))]
    TooMuch {
        /// Bits a second.
        bitrate: u64,
        /// Bits a second.
        limit: u64,
    },
    /// The stream is not one that the destination's platform takes.
    #[error("{}", refused(.0))]
    NotTaken(Vec<Advice>),
    /// The session at the backup server has ended: the primary one is there again.
    #[error("the primary server is there again")]
    PrimaryIsBack,
    /// It has answered in TLS.
    #[error("the server speaks TLS at this port")]
    SpeaksTls,
    /// It has left soon after it was sent something that it had not announced.
    #[error("the server has left when it was sent {what}, which it did not announce")]
    Codec {
        /// Codecs and features.
        what: String,
        /// How it has left.
        #[source]
        source: connection::Error,
    },
}

impl Error {
    /// What kind of error it is.
    pub fn class(&self) -> Class {
        match self {
            Error::Lookup(_) | Error::Connect(_) | Error::Stalled(_) | Error::Panicked => Class::Network,
            Error::Reconnect(_) | Error::Internal | Error::NotPublic | Error::PrimaryIsBack => Class::Network,
            Error::Tls(error) if error.is_network() => Class::Network,
            Error::Tls(_) => Class::Tls,
            // Most platforms say no to a key by closing, without a word.
            Error::Connection(
                connection::Error::Closed { phase: Phase::Request }
                | connection::Error::Lost { phase: Phase::Request, .. },
            ) => Class::KeyRejected,
            Error::Connection(_) => Class::Network,
            Error::Dropped(_) => Class::Dropped,
            Error::TooMuch { .. } => Class::TooMuch,
            Error::NotTaken(_) => Class::NotTaken,
            Error::SpeaksTls => Class::Tls,
            Error::Codec { .. } => Class::CodecRefused,
            Error::Login(_) => Class::LoginRejected,
            Error::Refused(_, refusal) | Error::Kicked(refusal) => refusal.class,
        }
    }

    /// Takes the key out of what the server has shown: it may have been put into a certificate.
    pub(super) fn forget(&mut self, key: &Secret) {
        if let Error::Tls(error) = self {
            error.forget(key.expose());
        }
    }

    /// The same, where a server has left soon after it had accepted the stream, and not for the first time.
    pub(super) fn again_and_again(self) -> Self {
        use connection::Error::{Closed, Lost};
        match self {
            Error::Connection(left @ (Closed { phase: Phase::Media } | Lost { phase: Phase::Media, .. })) => {
                Error::Dropped(left)
            }
            error => error,
        }
    }

    /// Whether it is the stream's fault: then it is the stream that has to change, and no time that has to pass.
    pub(super) fn is_the_streams(&self) -> bool {
        matches!(self, Error::TooMuch { .. } | Error::NotTaken(_))
    }

    /// Whether our `connect` was answered with no, or with the end of the connection. Silence has other causes.
    pub(super) fn is_about_connect(&self) -> bool {
        use connection::Error::{Closed, Lost};
        let phase = match self {
            Error::Refused(phase, _) | Error::Connection(Closed { phase } | Lost { phase, .. }) => phase,
            _ => return false,
        };
        *phase == Phase::Connect
    }

    /// The error and its causes in one line. Of a server's own words only the code is among them: descriptions repeat keys.
    pub fn explain(&self) -> String {
        let text = causes::in_one_line(self);
        match self {
            Error::Tls(error) => error.advice().map_or(text.clone(), |advice| format!("{text} ({advice})")),
            _ => text,
        }
    }
}

/// What is refused, in one line.
fn refused(advice: &[Advice]) -> String {
    advice.iter().filter(|advice| advice.refused).map(|advice| &*advice.text).collect::<Vec<_>>().join("; ")
}

/// Bits a second for people.
pub(super) fn rate(bits: u64) -> String {
    format!("{:.1} Mbit/s", bits as f64 / 1e6)
}
