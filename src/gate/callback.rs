//! A callback: an HTTP server that is asked who may publish and play. 2xx is yes, 3xx and 4xx are no, everything else is no
//! answer.
//!
//! ```text
//! POST /auth HTTP/1.1
//! content-type: application/x-www-form-urlencoded
//!
//! call=publish&app=live&name=show&addr=192.0.2.1&clientid=7&tcurl=rtmp%3A%2F%2Fhost%2Flive&flashver=FMLE%2F3.0&key=SECRET
//! ```
//! The form has the names that nginx-rtmp's `on_publish` and `on_play` use, with the arguments of the request's query behind
//! them; the JSON has the query in one piece.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{info, warn};

use super::Ask;
use crate::limits::{CALLBACK, CALLBACKS};
use crate::net::Network;
use crate::net::http::{self, Target};
use crate::net::tls::Trust;
use crate::rtmp::server::Role;

/// Where to ask, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct Callback {
    server: Target,
    /// What it is asked in.
    pub form: Form,
    /// Without an answer, everybody may.
    pub open: bool,
}

/// How the question is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// As nginx-rtmp does.
    #[default]
    Nginx,
    /// As an object.
    Json,
}

/// Why a text is no URL to ask. None repeats it, since it may hold a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("only http:// is supported")]
    Scheme,
    #[error(transparent)]
    Malformed(http::Malformed),
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The name leads nowhere, or nobody listens there.
    #[error("the callback cannot be reached")]
    Unreachable,
    /// It took too long.
    #[error("the callback did not answer within {CALLBACK:?}")]
    TimedOut,
    /// It spoke something else than HTTP, or ended the connection.
    #[error("the callback broke off")]
    BrokeOff,
    /// It has a problem of its own.
    #[error("the callback answered with status {0}")]
    Status(u16),
}

/// What a callback has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No(u16),
    None(Failure),
}

impl Callback {
    /// A callback at this URL, in nginx-rtmp's form; without an answer nobody may.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match Target::parse(text) {
            Ok(server) if !server.tls() => Ok(Callback { server, form: Form::default(), open: false }),
            Ok(_) | Err(http::Malformed::Scheme) => Err(Error::Scheme),
            Err(malformed) => Err(Error::Malformed(malformed)),
        }
    }

    fn request(&self, ask: &Ask<'_>, number: u64) -> hyper::http::Result<Request<Full<Bytes>>> {
        let (content_type, body) = match self.form {
            Form::Nginx => ("application/x-www-form-urlencoded", form(ask, number)),
            Form::Json => ("application/json", json(ask, number)),
        };
        self.server.request().header(CONTENT_TYPE, content_type).body(Full::new(body.into()))
    }
}

/// The host only: path and query may hold a key.
impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}{}", self.server, self.form, if self.open { ", open" } else { "" })
    }
}

/// Asks, and remembers whether it was answered.
#[derive(Debug)]
pub(super) struct Asker {
    free: Semaphore,
    asked: AtomicU64,
    unanswered: AtomicBool,
}

impl Default for Asker {
    fn default() -> Self {
        Asker { free: Semaphore::new(CALLBACKS), asked: AtomicU64::default(), unanswered: AtomicBool::default() }
    }
}

impl Asker {
    pub(super) async fn ask<N: Network>(&self, net: &N, callback: &Callback, ask: &Ask<'_>) -> Answer {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let asked = async {
            let _free = self.free.acquire().await;
            exchange(net, callback, ask, number).await
        };
        let answer = match timeout(CALLBACK, asked).await.unwrap_or(Err(Failure::TimedOut)) {
            Ok(status) if status.is_success() => Answer::Yes,
            Ok(status) if status.is_redirection() || status.is_client_error() => Answer::No(status.as_u16()),
            Ok(status) => Answer::None(Failure::Status(status.as_u16())),
            Err(failure) => Answer::None(failure),
        };
        self.note(callback, answer);
        answer
    }

    /// Says when it begins to fail, and when it has recovered: each refusal has a line of its own.
    fn note(&self, callback: &Callback, answer: Answer) {
        match answer {
            Answer::None(failure) if !self.unanswered.swap(true, Ordering::Relaxed) => {
                let then = if callback.open { "everybody may" } else { "nobody may" };
                warn!(host = callback.server.host(), "{failure}: {then}, until it does");
            }
            Answer::Yes | Answer::No(_) if self.unanswered.swap(false, Ordering::Relaxed) => {
                info!(host = callback.server.host(), "the callback answers again");
            }
            Answer::None(_) | Answer::Yes | Answer::No(_) => {}
        }
    }
}

/// One question on a connection of its own.
async fn exchange<N: Network>(net: &N, callback: &Callback, ask: &Ask<'_>, number: u64) -> Result<StatusCode, Failure> {
    let request = callback.request(ask, number).map_err(|_| Failure::BrokeOff)?;
    // It has no TLS, so nobody is trusted.
    callback.server.post(net, &Trust::default(), request).await.map_err(|failure| match failure {
        http::Failure::Unreachable(_) | http::Failure::Tls(_) => Failure::Unreachable,
        http::Failure::BrokeOff => Failure::BrokeOff,
    })
}

fn call(role: Role) -> &'static str {
    match role {
        Role::Publish => "publish",
        Role::Play => "play",
    }
}

fn form(ask: &Ask<'_>, number: u64) -> String {
    let (address, number) = (ask.peer.ip().to_string(), number.to_string());
    let ours = [
        ("call", call(ask.role)),
        ("app", ask.stream.app()),
        ("name", ask.stream.stream()),
        ("addr", &address),
        ("clientid", &number),
        ("tcurl", ask.tc_url.expose()),
        ("flashver", ask.agent),
    ];
    // What the peer says is never taken for what we say.
    let theirs = form_urlencoded::parse(ask.query.expose().as_bytes())
        .filter(|(theirs, _)| !theirs.is_empty() && !ours.iter().any(|(name, _)| name.eq_ignore_ascii_case(theirs)));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(ours).extend_pairs(theirs).finish()
}

fn json(ask: &Ask<'_>, number: u64) -> String {
    serde_json::json!({
        "call": call(ask.role),
        "app": ask.stream.app(),
        "name": ask.stream.stream(),
        "addr": ask.peer.ip().to_string(),
        "clientid": number,
        "tcurl": ask.tc_url.expose(),
        "flashver": ask.agent,
        "query": ask.query.expose(),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::Secret;
    use crate::stream::Name;

    fn asked(query: &str, write: impl Fn(&Ask<'_>, u64) -> String) -> String {
        let stream = Name::new("live/inst/my show").expect("a name");
        let [query, tc_url] = [query, "rtmp://h/live/inst?key=a"].map(|text| Secret::from(text.to_owned()));
        let peer = ([192, 0, 2, 1], 5000).into();
        write(&Ask { role: Role::Play, stream: &stream, query: &query, peer, agent: "LNX 9", tc_url: &tc_url }, 7)
    }

    #[test]
    fn a_form_is_as_nginx_rtmp_writes_it() {
        let ours = "call=play&app=live%2Finst&name=my+show&addr=192.0.2.1&clientid=7\
                    &tcurl=rtmp%3A%2F%2Fh%2Flive%2Finst%3Fkey%3Da&flashver=LNX+9";
        assert_eq!(asked("", form), ours);
        assert_eq!(asked("key=a%26b&x=1", form), format!("{ours}&key=a%26b&x=1"));
    }

    #[test]
    fn a_query_says_nothing_in_our_name() {
        let honest = asked("", form);
        for query in ["name=other", "call=publish&addr=127.0.0.1", "Name=other", "n%61me=other", "=x&&"] {
            assert_eq!(asked(query, form), honest, "{query}");
        }
        let json: serde_json::Value = serde_json::from_str(&asked("name=\"other\",\"name\":\"x", json)).expect("JSON");
        assert_eq!((json["name"].as_str(), json["addr"].as_str()), (Some("my show"), Some("192.0.2.1")));
        assert_eq!(json["query"].as_str(), Some("name=\"other\",\"name\":\"x"));
    }

    #[test]
    fn where_to_ask_is_a_plain_url_and_prints_its_host() {
        for (url, wrong) in [
            ("https://h/auth", Error::Scheme),
            ("ftp://h/auth", Error::Scheme),
            ("http://user:CANARY@h/auth", Error::Malformed(http::Malformed::UserInfo)),
            ("", Error::Malformed(http::Malformed::Url)),
        ] {
            assert_eq!(Callback::parse(url), Err(wrong), "{url}");
        }
        let callback = Callback::parse("http://h:8080/CANARY?CANARY").expect("a URL");
        assert_eq!(format!("{callback:?}"), "http://h Nginx");
    }
}
