//! What a relay is told at its start: text in, checked values out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::destination::Template;
use crate::inbound::visitors;
use crate::rtmp::chunk::DEFAULT_SIZE;
use crate::rtmp::url;
use crate::stream::log::Limits;

/// Where it listens unless told otherwise: this machine only.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), url::PORT);

/// A lost publisher has this long to come back unless told otherwise.
pub const GRACE: Duration = Duration::from_secs(15);

/// Everything about one relay.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where encoders and players connect.
    pub listen: SocketAddr,
    /// Where streams go.
    pub destinations: Vec<Route>,
    /// Where every stream is recorded, if at all.
    pub record_dir: Option<PathBuf>,
    /// How long a lost publisher's stream is kept open for its return.
    pub grace: Duration,
    /// The chunk size destinations are sent with, in bytes.
    pub chunk_size: usize,
    /// How much of each stream is held.
    pub log: Limits,
    /// How many may be connected at once.
    pub visitors: visitors::Limits,
}

/// A destination as configured.
#[derive(Debug, Clone)]
pub struct Route {
    /// What it is called everywhere.
    pub name: String,
    /// Where it is.
    pub url: Template,
}

/// What is wrong with a setting. None repeats a URL, since it may hold a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A destination's URL.
    #[error("destination {number} is not a URL to relay to")]
    Url {
        /// Which of them, from 1.
        number: usize,
        /// What is wrong with it.
        source: url::Error,
    },
    /// The same URL again.
    #[error("destination {number} is the same as destination {first}")]
    Twice {
        /// The later one, from 1.
        number: usize,
        /// The earlier one.
        first: usize,
    },
    /// The listen address.
    #[error("{0:?} is not an address to listen on: it should look like 127.0.0.1:1935, [::1]:1935 or :1935")]
    Listen(String),
    /// A destination that is this relay.
    #[error("destination {number} ({name}) is this relay itself: the stream would go in a circle")]
    Itself {
        /// Which of them, from 1.
        number: usize,
        /// Its name.
        name: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: LISTEN,
            destinations: Vec::new(),
            record_dir: None,
            grace: GRACE,
            chunk_size: DEFAULT_SIZE,
            log: Limits::default(),
            visitors: visitors::Limits::default(),
        }
    }
}

/// Reads destinations. Each is named after its host; where two share one, they are numbered.
pub fn destinations<T: AsRef<str>>(urls: &[T]) -> Result<Vec<Route>, Error> {
    let mut routes: Vec<Route> = Vec::new();
    for (number, text) in (1..).zip(urls) {
        let url = Template::parse(text.as_ref()).map_err(|source| Error::Url { number, source })?;
        if let Some(first) = routes.iter().position(|r| r.url.is_same(&url)) {
            return Err(Error::Twice { number, first: first + 1 });
        }
        routes.push(Route { name: url.host().0.to_owned(), url });
    }
    let hosts: Vec<String> = routes.iter().map(|r| r.name.clone()).collect();
    for (at, route) in routes.iter_mut().enumerate() {
        if hosts.iter().filter(|h| **h == hosts[at]).count() > 1 {
            let nth = hosts[..=at].iter().filter(|h| **h == hosts[at]).count();
            route.name = format!("{}-{nth}", hosts[at]);
        }
    }
    Ok(routes)
}

/// Reads a listen address; `:1935` is every address of this machine.
pub fn listen(text: &str) -> Result<SocketAddr, Error> {
    let address = match text.strip_prefix(':') {
        Some(port) => port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        None => text.replacen("localhost:", "127.0.0.1:", 1).parse().ok(),
    };
    address.ok_or_else(|| Error::Listen(text.to_owned()))
}

impl Config {
    /// Finds a destination that is the relay listening at `listen`, as far as its address is plain to see. A name that leads
    /// back here is found when the stream comes round.
    pub fn check_circle(&self, listen: SocketAddr) -> Result<(), Error> {
        for (number, route) in (1..).zip(&self.destinations) {
            let (host, port) = route.url.host();
            let address = match host {
                "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                _ => host.parse().ok(),
            };
            let here = address.is_some_and(|a| a.is_loopback() || a == listen.ip() || is_any(a));
            let hears_loopback = listen.ip().is_loopback() || is_any(listen.ip());
            if port == listen.port() && here && (hears_loopback || address == Some(listen.ip())) {
                return Err(Error::Itself { number, name: route.name.clone() });
            }
        }
        Ok(())
    }
}

fn is_any(address: IpAddr) -> bool {
    address == Ipv4Addr::UNSPECIFIED || address == Ipv6Addr::UNSPECIFIED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_named_after_their_hosts_and_numbered_where_they_share_one() {
        let routes =
            destinations(&["rtmp://a.example/live/1", "rtmp://b/x/1", "rtmp://a.example/live/2"]).expect("URLs");
        let names: Vec<&str> = routes.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["a.example-1", "b", "a.example-2"]);
    }

    #[test]
    fn errors_say_which_destination_and_hide_it() {
        let error = |urls: &[&str]| destinations(urls).expect_err("a bad URL").to_string();
        assert_eq!(error(&["rtmp://a/b/c", "CANARY"]), "destination 2 is not a URL to relay to");
        assert_eq!(
            error(&["rtmp://a/b/c", "rtmp://a/b/d", "rtmp://a/b/c"]),
            "destination 3 is the same as destination 1"
        );
    }

    #[test]
    fn a_port_alone_is_every_address() {
        assert_eq!(listen(":1935").expect("an address").to_string(), "0.0.0.0:1935");
        assert_eq!(listen("localhost:1").expect("an address").to_string(), "127.0.0.1:1");
        for bad in ["1935", ":x", "host:1", ""] {
            assert_eq!(listen(bad), Err(Error::Listen(bad.to_owned())));
        }
    }

    #[test]
    fn a_destination_that_is_this_relay_is_found() {
        let circle = |listening: &str, url: &str| {
            let config = Config { destinations: destinations(&[url]).expect("a URL"), ..Config::default() };
            config.check_circle(listen(listening).expect("an address")).is_err()
        };
        assert!(circle("127.0.0.1:1935", "rtmp://localhost/live"));
        assert!(circle(":1935", "rtmp://127.0.0.1/live"));
        assert!(circle(":1935", "rtmp://[::1]/live"));
        assert!(circle("192.0.2.1:1935", "rtmp://192.0.2.1/live"));
        assert!(!circle("127.0.0.1:1935", "rtmp://localhost:1936/live"));
        assert!(!circle("192.0.2.1:1935", "rtmp://127.0.0.1/live"));
        assert!(!circle("127.0.0.1:1935", "rtmp://a.example/live"));
    }
}
