//! Why there is no TLS with a peer, in a sentence each.

use std::fmt;
use std::io;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};

use super::Fingerprint;

/// Names of a certificate that are told, at most …
const NAMES: usize = 8;
/// … and letters of each.
const NAME_LETTERS: usize = 100;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its time is over.
    #[error("the certificate has expired: it was good until {0}")]
    Expired(Day),
    /// Its time has not come, or our clock is wrong.
    #[error("the certificate is not valid yet: it begins on {0}")]
    NotValidYet(Day),
    /// It is another server's.
    #[error("the certificate is not for {host} but for {names}")]
    WrongName {
        /// Whom we meant to reach.
        host: String,
        /// Whose it is.
        names: Names,
    },
    /// Nobody but the server itself says who it is.
    #[error("the certificate is self-signed (its SHA-256 fingerprint: {0})")]
    SelfSigned(Fingerprint),
    /// Who says who it is, is nobody we trust.
    #[error("the certificate's issuer is unknown")]
    UnknownIssuer,
    /// Who says who it is, has the name of an authority we trust and another key.
    #[error("the certificate is not from the authority that it names, but from another of that name")]
    WrongIssuer,
    /// It is another one than we were told to expect.
    #[error("the certificate is not the pinned one (its SHA-256 fingerprint: {0})")]
    Unpinned(Fingerprint),
    /// It has been taken back.
    #[error("the certificate has been revoked")]
    Revoked,
    /// It is good for something else.
    #[error("the certificate is not one for servers")]
    WrongPurpose,
    /// Something else is wrong with it.
    #[error("the certificate is broken")]
    Broken(#[source] rustls::Error),
    /// What came is no TLS: RTMP without, HTTP, anything.
    #[error("the peer does not speak TLS")]
    NotTls,
    /// It gave up.
    #[error("the peer ended the TLS handshake: {0:?}")]
    Alert(AlertDescription),
    /// It is of another time.
    #[error("no TLS version and cipher in common with the peer")]
    Incompatible(#[source] rustls::Error),
    /// It broke the protocol, or we cannot follow it.
    #[error("the TLS handshake failed")]
    Failed(#[source] rustls::Error),
    /// The peer closed it.
    #[error("closed by the peer in the TLS handshake")]
    Closed,
    /// The network did.
    #[error("connection lost in the TLS handshake")]
    Lost(#[source] io::Error),
    /// The peer took too long.
    #[error("timed out in the TLS handshake")]
    TimedOut,
    /// We trust nobody.
    #[error("this machine has no certificate authorities to trust (install ca-certificates, or set ca_file)")]
    NoAuthorities(#[source] Option<rustls_native_certs::Error>),
    /// No certificate can be for it.
    #[error("the host name cannot stand in a certificate")]
    NoName,
}

/// A verdict of our own on a certificate, on its way through rustls.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[allow(missing_docs)]
pub(super) enum Verdict {
    #[error("signed by another than it says")]
    WrongIssuer,
    #[error("self-signed")]
    SelfSigned(Fingerprint),
    #[error("not the pinned one")]
    Unpinned(Fingerprint),
}

/// A time of day that certificates begin and end at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(UnixTime);

/// Names in a certificate. A peer has written them: letters that host names do not have are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Error {
    /// What became of a handshake.
    pub(super) fn of(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Error::Closed;
        }
        match error.downcast::<rustls::Error>() {
            Ok(error) => Error::of_rustls(error),
            Err(error) => Error::Lost(error),
        }
    }

    fn of_rustls(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(error) => Error::of_certificate(error),
            rustls::Error::InvalidMessage(_) => Error::NotTls,
            rustls::Error::AlertReceived(alert) => Error::Alert(alert),
            rustls::Error::PeerIncompatible(_) => Error::Incompatible(error),
            error => Error::Failed(error),
        }
    }

    fn of_certificate(error: CertificateError) -> Self {
        match error {
            CertificateError::ExpiredContext { not_after, .. } => Error::Expired(Day(not_after)),
            CertificateError::NotValidYetContext { not_before, .. } => Error::NotValidYet(Day(not_before)),
            CertificateError::NotValidForNameContext { expected, presented } => {
                Error::WrongName { host: expected.to_str().into_owned(), names: Names::of(&presented) }
            }
            CertificateError::UnknownIssuer => Error::UnknownIssuer,
            CertificateError::Revoked => Error::Revoked,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Error::WrongPurpose,
            CertificateError::Other(other) => match other.0.downcast_ref() {
                Some(Verdict::WrongIssuer) => Error::WrongIssuer,
                Some(Verdict::SelfSigned(fingerprint)) => Error::SelfSigned(*fingerprint),
                Some(Verdict::Unpinned(fingerprint)) => Error::Unpinned(*fingerprint),
                None => Error::Broken(CertificateError::Other(other).into()),
            },
            error => Error::Broken(error.into()),
        }
    }

    /// Whether the network may be at fault, and not what somebody has configured.
    pub fn is_network(&self) -> bool {
        matches!(self, Error::Closed | Error::Lost(_) | Error::TimedOut)
    }

    /// Tells no name that has `secret` in it: a server that knows it could have written it there.
    pub fn forget(&mut self, secret: &str) {
        if let Error::WrongName { names, .. } = self {
            let told = names.0.iter_mut().filter(|name| name.contains(secret));
            told.for_each(|name| "a name with the stream key in it".clone_into(name));
        }
    }

    /// What is mostly behind it, or mends it; for those who have configured the server.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Error::NotTls | Error::Closed | Error::TimedOut => Some("perhaps it is a server for rtmp://, without TLS"),
            Error::SelfSigned(_) => Some("tls_pin trusts this one"),
            Error::UnknownIssuer | Error::WrongIssuer => Some("a private authority's certificate goes into ca_file"),
            Error::NotValidYet(_) => Some("or this machine's clock is wrong"),
            _ => None,
        }
    }
}

impl Names {
    /// From words like `DnsName("a.example")` and `IpAddress(192.0.2.1)`.
    fn of(presented: &[String]) -> Self {
        let inner = |text: &String| {
            let text = text.split_once('(').map_or(text.as_str(), |(_, inner)| inner);
            let letters = text.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_*:".contains(*c));
            letters.take(NAME_LETTERS).collect()
        };
        Names(presented.iter().take(NAMES).map(inner).collect())
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("no host at all") } else { f.write_str(&self.0.join(", ")) }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = Duration::from_secs(self.0.as_secs());
        match jiff::SignedDuration::try_from(since).ok().and_then(|d| jiff::Timestamp::from_duration(d).ok()) {
            Some(time) => write!(f, "{}", time.strftime("%Y-%m-%d %H:%M UTC")),
            None => f.write_str("a day beyond all calendars"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificates_names_are_told_without_what_could_move_a_cursor_or_is_our_key() {
        let presented =
            ["DnsName(\"a.example\")", "IpAddress(192.0.2.1)", "DnsName(\"\u{1b}[2Jx\n\")", "DnsName(\"KEY\")"]
                .map(str::to_owned);
        let mut error = Error::WrongName { host: "h".to_owned(), names: Names::of(&presented) };
        error.forget("KEY");
        assert_eq!(
            error.to_string(),
            "the certificate is not for h but for a.example, 192.0.2.1, 2Jx, a name with the stream key in it"
        );
        let names = Names::of(&vec!["x".repeat(1000); 1000]);
        assert_eq!((names.0.len(), names.0[0].len()), (NAMES, NAME_LETTERS));
        assert_eq!(Names(Vec::new()).to_string(), "no host at all");
    }

    #[test]
    fn days_are_told_in_utc() {
        let day = |seconds| Day(UnixTime::since_unix_epoch(Duration::from_secs(seconds))).to_string();
        assert_eq!(day(1_700_000_000), "2023-11-14 22:13 UTC");
        assert_eq!(day(u64::MAX), "a day beyond all calendars");
    }
}
