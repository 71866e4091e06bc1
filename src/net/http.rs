//! A POST: one HTTP request of ours to a configured URL, on a connection of its own. Of the answer only its head is read.

use std::fmt;
use std::future::pending;
use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;

use super::tls::{self, Trust, Wire};
use super::{Network, Stream};
use crate::limits::ANSWER_HEAD;

/// What servers are told of the program that asks.
const AGENT: &str = concat!("rtmp-relay/", env!("CARGO_PKG_VERSION"));

/// A URL to post to.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    url: Uri,
    host: String,
    tls: bool,
}

/// Why a text is no URL to post to. None repeats it, since it may hold a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Malformed {
    #[error("it should look like http://host:port/path")]
    Url,
    #[error("it begins with neither http:// nor https://")]
    Scheme,
    #[error("user name and password are not supported")]
    UserInfo,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The name leads nowhere, or nobody listens there.
    #[error("cannot be reached")]
    Unreachable(#[source] io::Error),
    /// No TLS with it.
    #[error("no TLS with it")]
    Tls(#[source] tls::Error),
    /// It spoke something else than HTTP, or ended the connection.
    #[error("broke off")]
    BrokeOff,
}

impl Target {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let url: Uri = text.parse().map_err(|_| Malformed::Url)?;
        let authority = url.authority().ok_or(Malformed::Url)?;
        let tls = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(Malformed::Scheme),
        };
        if authority.as_str().contains('@') {
            return Err(Malformed::UserInfo);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() { Err(Malformed::Url) } else { Ok(Target { url, host, tls }) }
    }

    /// The host, without port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is behind TLS.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// A request to it, still without what it is about.
    pub fn request(&self) -> Builder {
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let host = self.url.authority().map_or("", |authority| authority.as_str());
        Request::post(path).header(HOST, host).header(USER_AGENT, AGENT).header(CONNECTION, "close")
    }

    /// Sends a request, and says what it was answered. It waits for as long as the server takes: the deadline is the caller's.
    pub async fn post<N: Network>(
        &self,
        net: &N,
        trust: &Trust,
        request: Request<Full<Bytes>>,
    ) -> Result<StatusCode, Failure> {
        let stream = self.connect(net).await.map_err(Failure::Unreachable)?;
        let stream = match self.tls {
            true => trust.connect(net, stream, &self.host).await.map_err(Failure::Tls)?,
            false => Wire::Plain(stream),
        };
        exchange(stream, request).await
    }

    async fn connect<N: Network>(&self, net: &N) -> io::Result<N::Stream> {
        let mut failed = io::ErrorKind::NotFound.into();
        let port = self.url.port_u16().unwrap_or(if self.tls { 443 } else { 80 });
        for address in net.lookup(&self.host, port).await? {
            match net.connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

/// Scheme and host only: path and query may hold a key.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}", if self.tls { "s" } else { "" }, self.host)
    }
}

async fn exchange<S: Stream>(stream: Wire<S>, request: Request<Full<Bytes>>) -> Result<StatusCode, Failure> {
    let mut http = http1::Builder::new();
    http.max_buf_size(ANSWER_HEAD);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(|_| Failure::BrokeOff)?;
    // Its end is no answer: the request has one by then, or fails.
    let driven = async {
        let _ = connection.await;
        pending::<StatusCode>().await
    };
    tokio::select! {
        biased;
        answer = sender.send_request(request) => answer.map(|answer| answer.status()).map_err(|_| Failure::BrokeOff),
        status = driven => Ok(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_post_is_a_plain_url_and_prints_its_host() {
        for (url, wrong) in [
            ("ftp://h/auth", Malformed::Scheme),
            ("h", Malformed::Scheme),
            ("/auth", Malformed::Url),
            ("http:///auth", Malformed::Url),
            ("http://user:CANARY@h/auth", Malformed::UserInfo),
            ("https://CANARY@h/auth", Malformed::UserInfo),
            ("http://h/a b", Malformed::Url),
            ("", Malformed::Url),
        ] {
            assert_eq!(Target::parse(url), Err(wrong), "{url}");
        }
        let [plain, secure] =
            ["http://h:8080/CANARY?CANARY", "https://[::1]/auth"].map(|url| Target::parse(url).expect(url));
        assert_eq!((format!("{plain:?}"), plain.tls()), ("http://h".to_owned(), false));
        assert_eq!((secure.host(), secure.tls()), ("::1", true));
    }
}
