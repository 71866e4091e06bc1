//! What can go wrong with a destination, whose fault it is, and how soon to try again.

use std::fmt;
use std::io;
use std::time::Duration;

use super::State;
use crate::causes;
use crate::limits::STALL;
use crate::net::{connection, tls};
use crate::rtmp::Secret;
use crate::rtmp::command::{self, code};
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
    #[error("refused {0}: {code}", code = printable(&.1.code))]
    Refused(Phase, command::Status),
    /// The server wants to know who we are, and we could not tell it.
    #[error("refused in connect")]
    Login(#[from] login::Error),
    /// The server ended a stream it had accepted.
    #[error("ended by the server: {code}", code = printable(&.0.code))]
    Kicked(command::Status),
    /// It wants us to connect again, there.
    #[error("the server asks for a new connection again and again")]
    Reconnect(Url),
    /// It has sent us to where only a server of our own network may.
    #[error("the server asks for a connection into our own network")]
    Internal,
    /// We have a bug.
    #[error("rtmp-relay has panicked; this is a bug, please report it")]
    Panicked,
    /// The server takes no more bytes.
    #[error("the server has taken nothing for {} s", STALL.as_secs())]
    Stalled,
}

/// Kinds of errors with a retry cap of their own. Their names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Name, TCP, silence, a lost connection.
    Network,
    /// The server ended a started stream.
    Kicked,
    /// An old session is still open there, or somebody else's.
    AlreadyLive,
    /// Its certificate does not prove who it is, or it speaks no TLS that we do.
    Tls,
    /// No to `connect`.
    Refused,
    /// No to our user name and password, or to our having none.
    LoginRejected,
    /// No to `publish`.
    KeyRejected,
    /// The stream has come round to a relay it had left.
    Loop,
}

impl Error {
    /// What kind of error it is.
    pub fn class(&self) -> Class {
        match self {
            Error::Lookup(_) | Error::Connect(_) | Error::Stalled | Error::Panicked => Class::Network,
            Error::Reconnect(_) | Error::Internal => Class::Network,
            Error::Tls(error) if error.is_network() => Class::Network,
            Error::Tls(_) => Class::Tls,
            // Most platforms say no to a key by closing, without a word.
            Error::Connection(
                connection::Error::Closed { phase: Phase::Request }
                | connection::Error::Lost { phase: Phase::Request, .. },
            ) => Class::KeyRejected,
            Error::Connection(_) => Class::Network,
            Error::Kicked(_) => Class::Kicked,
            Error::Login(_) => Class::LoginRejected,
            Error::Refused(_, status) if status.code == code::PUBLISH_LOOP => Class::Loop,
            Error::Refused(_, status) if status.code == code::PUBLISH_BAD_NAME => Class::AlreadyLive,
            Error::Refused(Phase::Request, _) => Class::KeyRejected,
            Error::Refused(..) => Class::Refused,
        }
    }

    /// Takes the key out of what the server has said: it knows the key too.
    pub(super) fn forget(&mut self, key: &Secret) {
        if let Error::Refused(_, status) | Error::Kicked(status) = self
            && status.code.contains(key.expose())
        {
            status.code.clear();
        }
        if let Error::Tls(error) = self {
            error.forget(key.expose());
        }
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
        if let Error::Tls(error) = self {
            return error.advice().map_or(text.clone(), |advice| format!("{text} ({advice})"));
        }
        match self.class() {
            Class::KeyRejected => format!("{text} (usually a wrong or expired stream key)"),
            Class::AlreadyLive => format!("{text} (the key is in use: an old session, or another encoder)"),
            Class::Loop => format!("{text} (the stream would go in a circle)"),
            Class::Network | Class::Kicked | Class::Tls | Class::Refused | Class::LoginRejected => text,
        }
    }
}

impl Class {
    /// The longest wait between two tries. None gives up.
    pub fn cap(self) -> Duration {
        Duration::from_secs(match self {
            Class::Network | Class::Kicked => 5,
            Class::AlreadyLive => 30,
            Class::Tls | Class::Refused | Class::LoginRejected | Class::KeyRejected | Class::Loop => 60,
        })
    }

    /// The state a destination waits in.
    pub fn state(self) -> State {
        match self {
            Class::Network | Class::Kicked | Class::AlreadyLive => State::BackingOff,
            Class::Tls | Class::Refused | Class::LoginRejected | Class::KeyRejected => State::Rejected,
            Class::Loop => State::Blocked,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Network => "network",
            Class::Kicked => "kicked",
            Class::AlreadyLive => "already_live",
            Class::Tls => "tls",
            Class::Refused => "refused",
            Class::LoginRejected => "login_rejected",
            Class::KeyRejected => "key_rejected",
            Class::Loop => "loop",
        })
    }
}

/// A server's code if it looks like one. What it sends is data: it could be our key, or move the cursor.
fn printable(code: &str) -> &str {
    let sound =
        code.len() <= 64 && code.starts_with("Net") && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    if sound { code } else { "(no known code)" }
}
