//! What a relay is told: text in, checked values out.
//!
//! ```text
//!  flags ─┐
//!  environment ─┼─► Settings ─resolve─► Config ─► Relay
//!  file ─┘              (keys read, names given, routes checked)
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::destination;
use crate::gate::Rules;
use crate::hook::Hook;
use crate::inbound::visitors;
use crate::limits::{CONNECTIONS, CONNECTIONS_PER_ADDRESS};
use crate::net::tls::Trust;
use crate::origin::Origin;
use crate::platforms::Odd;
use crate::recorder::{self, Rule};
use crate::rtmp::chunk::DEFAULT_SIZE;
use crate::rtmp::url;
use crate::stream::log::Limits;

pub mod access;
pub mod api;
pub mod edit;
pub mod file;
mod hook;
pub mod keeper;
mod key;
pub mod problem;
mod recording;
pub mod route;
pub mod settings;
pub mod tls;
pub mod value;
pub mod written;

pub use api::Api;
pub use problem::{Problem, Problems};
pub use route::{Defaults, Route, destinations};
pub use settings::Settings;
pub use tls::Tls;
pub use written::Written;

/// Where it listens unless told otherwise: this machine only.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), url::PORT);

/// A lost publisher has this long to come back unless told otherwise.
pub const GRACE: Duration = Duration::from_secs(15);

/// Where recordings go unless told otherwise.
const RECORDINGS: &str = "recordings";

/// Everything about one relay.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where encoders and players connect.
    pub listen: SocketAddr,
    /// Where they connect in TLS, if anywhere.
    pub tls: Option<Tls>,
    /// Where streams go.
    pub destinations: Vec<Route>,
    /// What holds for destinations that say nothing else.
    pub defaults: Defaults,
    /// What is recorded where.
    pub recordings: Vec<Rule>,
    /// Where recordings go that name no folder.
    pub record_dir: PathBuf,
    /// Who is told what happens.
    pub hooks: Vec<Hook>,
    /// How long a lost publisher's stream is kept open for its return.
    pub grace: Duration,
    /// How much of each stream is held.
    pub log: Limits,
    /// How many may be connected at once.
    pub visitors: visitors::Limits,
    /// Who may publish and play.
    pub gate: Rules,
    /// The HTTP API, for the program that offers one.
    pub api: Api,
}

/// A configuration, and the files it has come from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file itself, and those that hold keys and certificates.
    pub files: Vec<PathBuf>,
}

/// A destination that is this relay itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("destination {name} is this relay itself: the stream would go in a circle")]
pub struct Circle {
    /// Its name.
    pub name: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: LISTEN,
            tls: None,
            destinations: Vec::new(),
            defaults: Defaults::default(),
            recordings: Vec::new(),
            record_dir: RECORDINGS.into(),
            hooks: Vec::new(),
            grace: GRACE,
            log: Limits::default(),
            visitors: visitors::Limits::default(),
            gate: Rules::default(),
            api: Api::default(),
        }
    }
}

/// Reads a listen address; `:1935` is every address of this machine.
pub fn listen(text: &str) -> Result<SocketAddr, value::Error> {
    text.parse().map(|value::Listen(address)| address)
}

impl Settings {
    /// Reads keys and certificates, gives names, and checks what can be checked without a network.
    pub async fn resolve(self) -> Result<Config, Problems> {
        let chunk_size = self.chunk_size.map_or(DEFAULT_SIZE, |size| size.0);
        let trust = match &self.ca_file {
            Some(file) => tls::authorities(file, Trust::also).await,
            None => Ok(Trust::default()),
        };
        let tls = Tls::read(self.tls_listen, self.tls_cert, self.tls_key).await;
        let mut problems = Vec::new();
        let trust = trust.unwrap_or_else(|problem| {
            problems.push(problem);
            Trust::default()
        });
        let tls = tls.unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let merge = self.merge.map_or_else(Default::default, Into::into);
        let settings = destination::Settings { chunk_size, merge, ..Default::default() };
        let defaults = Defaults { settings, trust };
        let mut routes = route::Routes::new(defaults.clone(), problems);
        for destination in self.destinations {
            routes.read(destination).await;
        }
        for url in self.relay_to {
            routes.every(url.0);
        }
        let mut problems = Vec::new();
        let gate = access::rules(&self.access, &self.stream_access, &mut problems).await;
        let segments = recorder::Limits {
            time: self.segment_time.map(|time| time.0),
            bytes: self.segment_size.map(|size| size.0),
        };
        let record_dir = self.record_dir.unwrap_or_else(|| RECORDINGS.into());
        let all = self.record_all.unwrap_or(false).then(|| Rule { segments, ..Rule::every(record_dir.clone()) });
        let recordings = recording::rules(self.recordings, all).unwrap_or_else(|Problems(found)| {
            problems.extend(found);
            Vec::new()
        });
        let hooks = hook::hooks(self.webhooks, self.on_event, &defaults.trust, &mut problems);
        let api = Api::read(self.api_listen, self.api_token.as_ref(), self.api_allow_internal);
        let api = api.unwrap_or_else(|problem| {
            problems.push(problem);
            Api::default()
        });
        let config = Config {
            api,
            gate,
            listen: self.listen.map_or(LISTEN, |listen| listen.0),
            tls,
            destinations: routes.finish(problems)?,
            defaults,
            recordings,
            record_dir,
            hooks,
            grace: self.grace.map_or(GRACE, |grace| grace.0),
            log: Limits::default(),
            visitors: visitors::Limits {
                all: self.max_connections.unwrap_or(CONNECTIONS),
                per_address: self.max_connections_per_address.unwrap_or(CONNECTIONS_PER_ADDRESS),
            },
        };
        for listen in [config.listen].into_iter().chain(config.tls.as_ref().map(|tls| tls.listen)) {
            config.check_circle(listen).map_err(|circle| Problems(vec![Problem::at(None, circle)]))?;
        }
        Ok(config)
    }
}

impl Config {
    /// What flags and environment say, and where they say nothing, what the file says.
    pub async fn load(flags: Settings, path: Option<&Path>) -> Result<Loaded, Problems> {
        let all_by_flag = flags.record_all.is_some();
        let settings = match path {
            Some(path) => flags.over(file::read(path, file::environment()).await?),
            None => flags,
        };
        let files = path.map(Path::to_owned).into_iter().chain(settings.files()).collect();
        let in_file = |problems: Problems| path.map_or(problems.clone(), |path| problems.in_file(path));
        let mut config = settings.resolve().await.map_err(in_file)?;
        if !all_by_flag {
            config.recordings.iter_mut().for_each(|rule| rule.from = Origin::File);
        }
        Ok(Loaded { config, files })
    }

    /// What is odd about keys, by name of the destination. They are used all the same.
    pub fn oddities(&self) -> impl Iterator<Item = (&str, Odd)> {
        self.destinations.iter().filter_map(|route| Some((&*route.name, route.odd()?)))
    }

    /// Takes over what has changed in a file. A destination that is the same in the file as before stays as it has become since:
    /// it may have been changed, or removed, while the relay ran. What was added meanwhile goes on.
    pub fn follow(&mut self, before: &Config, after: Config) {
        let named = |routes: &[Route], name: &str| routes.iter().find(|route| route.name == name).cloned();
        let present = std::mem::take(&mut self.destinations);
        let mut followed = Vec::new();
        for route in after.destinations {
            let is_old = named(&before.destinations, &route.name).as_ref() == Some(&route);
            followed.extend(if is_old { named(&present, &route.name) } else { Some(route) });
        }
        let is_of_the_file = |name: &str| named(&before.destinations, name).or(named(&followed, name)).is_some();
        let (_, added): (Vec<_>, Vec<_>) = present.into_iter().partition(|route| is_of_the_file(&route.name));
        followed.extend(added);
        let mut recordings = after.recordings;
        let mut taken = recordings.iter().map(|rule| rule.name.clone()).collect();
        for rule in std::mem::take(&mut self.recordings).into_iter().filter(|rule| rule.from == Origin::Api) {
            let name = route::numbered(&rule.name, &mut taken);
            recordings.push(Rule { name, ..rule });
        }
        *self = Config { destinations: followed, recordings, ..after };
    }

    /// Finds a destination that is the relay listening at `listen`, as far as its address is plain to see. A name that leads
    /// back here is found when the stream comes round.
    pub fn check_circle(&self, listen: SocketAddr) -> Result<(), Circle> {
        for route in &self.destinations {
            let (host, port) = route.url.host();
            let address = match host {
                "localhost" if listen.ip().is_loopback() => Some(listen.ip()),
                "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                _ => host.parse().ok(),
            };
            let is_here = |address: IpAddr| match listen.ip() {
                here if is_any(here) => address.is_loopback() || is_any(address),
                here => address == here || (is_any(address) && here.is_loopback()),
            };
            if port == listen.port() && address.is_some_and(is_here) {
                return Err(Circle { name: route.name.clone() });
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
    use crate::stream::Name;

    #[test]
    fn a_changed_file_leaves_alone_what_it_says_nothing_new_about() {
        let config = |urls: &[&str]| Config { destinations: destinations(urls).expect("URLs"), ..Config::default() };
        let (before, mut after) = (config(&["rtmp://a/x", "rtmp://b/x", "rtmp://c/x", "rtmp://d/x"]), config(&[]));
        after.destinations = destinations(&["rtmp://a/x", "rtmp://b/y", "rtmp://d/x", "rtmp://e/x"]).expect("URLs");
        after.grace = Duration::from_secs(1);
        // Meanwhile a was switched off, d removed, e and f added.
        let mut present = before.clone();
        present.destinations[0].enabled = false;
        present.destinations.truncate(3);
        present.destinations.extend(destinations(&["rtmp://e/z", "rtmp://f/x"]).expect("URLs"));
        let shows = present.record(&Name::new("live/show").expect("a name")).expect("room");
        present.follow(&before, after.clone());
        assert_eq!(present.recordings.iter().map(|rule| &rule.name).collect::<Vec<_>>(), [&shows]);
        let told: Vec<_> =
            present.destinations.iter().map(|r| (&*r.name, r.enabled, r.url == after.destinations[1].url)).collect();
        assert_eq!(told, [("a", false, false), ("b", true, true), ("e", true, false), ("f", true, false)]);
        assert_eq!(present.destinations[2], after.destinations[3], "the file has the last word on what it changes");
        assert_eq!(present.grace, after.grace);
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
        assert!(!circle("127.0.0.1:1935", "rtmp://127.0.0.2/live"));
        assert!(circle("127.0.0.1:1935", "rtmp://0.0.0.0/live"));
        assert!(!circle("127.0.0.1:1935", "rtmp://a.example/live"));
    }
}
