//! Routes: which streams go to which destination.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::{At, Place, Problem, Problems};
use super::value::{ChunkSize, Hidden, Time};
use super::written::{Written, Wrong};
use super::{Config, key};
use super::{settings, tls};
use crate::destination::{Settings, Template};
use crate::limits::{DESTINATIONS, LAGS, PATIENCE, RECONNECT_WAITS};
use crate::net::tls::Trust;
use crate::origin::Origin;
use crate::platforms::Odd;
use crate::rtmp::Secret;
use crate::rtmp::url::{self, Url};
use crate::stream::pattern::Captures;
use crate::stream::{Name, Pattern};

/// A destination as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What it is called everywhere.
    pub name: String,
    /// Where it is.
    pub url: Template,
    /// Another server that takes its place while it fails.
    pub backup: Option<Template>,
    /// How it proves to be who it is, if it is at `rtmps://`.
    pub trust: Trust,
    /// Which streams go there.
    pub streams: Vec<Pattern>,
    /// How they are sent.
    pub settings: Settings,
    /// Whether anything is sent there.
    pub enabled: bool,
    /// Who has said all this.
    pub from: Origin,
    /// All this as it was said.
    pub written: Written,
}

/// What holds for destinations that say nothing else.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Defaults {
    /// How they are sent to.
    pub settings: Settings,
    /// Whom they trust.
    pub trust: Trust,
}

impl Route {
    /// A destination for every stream.
    pub fn new(name: String, url: Template) -> Self {
        let (trust, streams) = (Trust::default(), vec![Pattern::all()]);
        let (from, written) = (Origin::Flags, Written::url(url.given()));
        Route { name, url, backup: None, trust, streams, settings: Settings::default(), enabled: true, from, written }
    }

    /// A destination as it is written: what the API has been told.
    pub async fn read(written: Written, defaults: Defaults, from: Origin) -> Result<Self, Vec<Wrong>> {
        let given = written.read().map_err(|wrong| vec![wrong])?;
        let mut routes = Routes::new(defaults, Vec::new());
        routes.read(given).await;
        let wrong = |Problems(all): Problems| all.into_iter().map(|problem| written.wrong(problem)).collect::<Vec<_>>();
        let route = routes.finish(Vec::new()).map_err(wrong)?.pop().expect("one has been read");
        Ok(Route { from, written, ..route })
    }

    /// Switches it on or off.
    pub fn switch(&mut self, on: bool) {
        self.enabled = on;
        self.written.set("enabled", on);
    }

    /// Where `stream` goes there, and its name there; none if it does not go there.
    pub fn of(&self, stream: &Name) -> Option<Result<(Url, Secret), url::Error>> {
        Some(self.url.resolve(stream, &self.captures(stream)?))
    }

    /// The same at the backup server, if there is one.
    pub fn backup_of(&self, stream: &Name) -> Option<(Url, Secret)> {
        self.backup.as_ref()?.resolve(stream, &self.captures(stream)?).ok()
    }

    /// The way to its backup server, as a destination of its own.
    pub fn at_backup(&self) -> Option<Route> {
        let url = self.backup.clone()?;
        Some(Route { name: format!("{} (backup)", self.name), url, backup: None, ..self.clone() })
    }

    fn captures(&self, stream: &Name) -> Option<Captures> {
        self.streams.iter().find_map(|pattern| pattern.captures(stream))
    }

    /// What is odd about its key, for its platform. It is used all the same.
    pub fn odd(&self) -> Option<Odd> {
        self.settings.platform?.odd(self.url.key()?.expose())
    }
}

/// Why a destination cannot be beside the others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// Another one has its name.
    #[error("another one has this name already")]
    Name,
    /// Another one sends the same streams to the same place.
    #[error("it is the same as {0}")]
    Place(String),
    /// There are too many.
    #[error("there are {0} already, which is as many as there may be")]
    Full(usize),
}

impl Config {
    /// Names a destination that has no name of its own after its host.
    pub fn name(&self, route: &mut Route) {
        if route.written.get("name").is_none() {
            let mut taken = self.destinations.iter().map(|route| route.name.clone()).collect();
            route.name = numbered(route.url.host().0, &mut taken);
            route.written.set("name", route.name.clone());
        }
    }

    /// Adds a destination.
    pub fn add(&mut self, route: Route) -> Result<(), Clash> {
        if self.destinations.len() >= DESTINATIONS {
            return Err(Clash::Full(DESTINATIONS));
        }
        if self.destinations.iter().any(|other| other.name == route.name) {
            return Err(Clash::Name);
        }
        self.is_elsewhere(&route)?;
        self.destinations.push(route);
        Ok(())
    }

    /// Whether no other destination is the same as this one.
    pub fn is_elsewhere(&self, route: &Route) -> Result<(), Clash> {
        let same =
            |other: &&Route| other.name != route.name && other.url == route.url && other.streams == route.streams;
        self.destinations.iter().find(same).map_or(Ok(()), |other| Err(Clash::Place(other.name.clone())))
    }
}

/// Reads destinations for every stream. Each is named after its host; where several share one, they are numbered.
pub fn destinations<T: AsRef<str>>(urls: &[T]) -> Result<Vec<Route>, Problems> {
    let mut routes = Routes::new(Defaults::default(), Vec::new());
    for text in urls {
        routes.every(text.as_ref().to_owned().into());
    }
    routes.finish(Vec::new())
}

/// Routes while they are read, and what is wrong with them.
#[derive(Debug)]
pub(super) struct Routes {
    defaults: Defaults,
    /// Each with its own name, if it was given one, and where it stands.
    routes: Vec<(Route, Option<At<String>>, Option<Place>)>,
    problems: Vec<Problem>,
    /// How many have been read, sound or not.
    read: usize,
}

impl Routes {
    /// None yet, and what is wrong elsewhere.
    pub(super) fn new(defaults: Defaults, problems: Vec<Problem>) -> Self {
        Routes { defaults, routes: Vec::new(), problems, read: 0 }
    }

    fn route(&self, url: Template) -> Route {
        let Defaults { settings, trust } = self.defaults.clone();
        Route { settings, trust, ..Route::new(String::new(), url) }
    }

    /// One more that every stream goes to.
    pub(super) fn every(&mut self, url: Secret) {
        self.read += 1;
        match Template::new(url, None) {
            Ok(url) => self.routes.push((self.route(url), None, None)),
            Err(error) => self.problem(None, format!("destination {} is not a URL to relay to: {error}", self.read)),
        }
    }

    /// One more, as it stands in the file.
    pub(super) async fn read(&mut self, given: At<settings::Destination>) {
        self.read += 1;
        let At { value: given, place } = given;
        let key = match key(&given).await {
            Ok(key) => key,
            Err((at, error)) => return self.problem(at.or(place), error),
        };
        let (url, backup) = match servers(&given, key) {
            Ok(servers) => servers,
            Err((at, error)) => return self.problem(at.or(place), error),
        };
        let trust = match trust(&given, &url).await {
            Ok(trust) => trust.unwrap_or_else(|| self.defaults.trust.clone()),
            Err(problem) => return self.problems.push(problem),
        };
        for source in given.source_streams.iter().flatten() {
            let (has, wants) = (source.value.0.wildcards(), url.captures());
            if has < wants {
                let what = format!("{{{wants}}} stands in url or key, but \"{}\" has {has} wildcards", source.value.0);
                self.problem(source.place, what);
            }
        }
        let settings = sending(&given, self.defaults.settings).unwrap_or_else(|(at, what)| {
            self.problem(at.or(place), what);
            self.defaults.settings
        });
        let written = Written::of(&given);
        let streams = given.source_streams.map(|sources| sources.into_iter().map(|source| source.value.0).collect());
        let route = Route {
            streams: streams.unwrap_or_else(|| vec![Pattern::all()]),
            backup,
            trust,
            settings,
            enabled: given.enabled.unwrap_or(true),
            from: Origin::File,
            written,
            ..self.route(url)
        };
        if let Some(name) = given.name.as_ref().filter(|name| !is_name(&name.value)) {
            self.problem(name.place, NAME);
        }
        self.routes.push((route, given.name, place));
    }

    fn problem(&mut self, place: Option<Place>, what: impl std::fmt::Display) {
        self.problems.push(Problem::at(place, what));
    }

    /// All of them, named; or all that is wrong, with them or elsewhere.
    pub(super) fn finish(mut self, elsewhere: Vec<Problem>) -> Result<Vec<Route>, Problems> {
        self.problems.extend(elsewhere);
        for (at, (route, _, place)) in self.routes.iter().enumerate() {
            let same = |(other, ..): &&(Route, _, _)| other.url == route.url && other.streams == route.streams;
            if let Some(first) = self.routes[..at].iter().position(|other| same(&other)) {
                let what = format!("destination {} is the same as destination {}", at + 1, first + 1);
                self.problems.push(Problem::at(*place, what));
            }
        }
        let mut taken: Vec<String> = Vec::new();
        for (_, name, _) in &self.routes {
            let Some(name) = name else { continue };
            if taken.contains(&name.value) {
                self.problems.push(Problem::at(name.place, format!("the name {:?} is given twice", name.value)));
            }
            taken.push(name.value.clone());
        }
        if !self.problems.is_empty() {
            return Err(Problems(self.problems));
        }
        let named = self.routes.into_iter().map(|(route, name, _)| {
            let name = name.map_or_else(|| numbered(route.url.host().0, &mut taken), |name| name.value);
            Route { name, ..route }
        });
        Ok(named.collect())
    }
}

/// The first one is called what its host (or folder) is; those after it have a number. So each keeps its name when another is added behind
/// it.
pub(super) fn numbered(name: &str, taken: &mut Vec<String>) -> String {
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    let name = std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| !taken.contains(name))
        .expect("numbers do not end");
    taken.push(name.clone());
    name
}

/// What is said where it is none.
pub(super) const NAME: &str = "a name is 1 to 64 letters, digits and any of . _ -";

pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// How it is sent to, checked.
fn sending(given: &settings::Destination, defaults: Settings) -> Result<Settings, (Option<Place>, String)> {
    let within = |place, what: &str, time: Option<Time>, default: Duration, bounds: &RangeInclusive<Duration>| {
        let time = time.map_or(default, |time| time.0);
        let problem = || (place, format!("{what} is a time from {:?} to {:?}", bounds.start(), bounds.end()));
        bounds.contains(&time).then_some(time).ok_or_else(problem)
    };
    let mut settings = defaults;
    if let Some(ChunkSize(size)) = given.chunk_size {
        settings.chunk_size = size;
    }
    if let Some(merge) = given.merge {
        settings.merge = merge.into();
    }
    if let Some(At { value, place }) = &given.reconnect {
        let before = settings.reconnect;
        settings.reconnect.initial = within(*place, "initial", value.initial, before.initial, &RECONNECT_WAITS)?;
        settings.reconnect.max = within(*place, "max", value.max, before.max, &RECONNECT_WAITS)?;
        if settings.reconnect.initial > settings.reconnect.max {
            return Err((*place, "initial is longer than max".to_owned()));
        }
    }
    if let Some(At { value, place }) = &given.timeouts {
        let before = settings.timeouts;
        settings.timeouts.connect = within(*place, "connect", value.connect, before.connect, &PATIENCE)?;
        settings.timeouts.progress = within(*place, "progress", value.progress, before.progress, &PATIENCE)?;
    }
    if let Some(At { value, place }) = given.max_lag {
        settings.max_lag = within(place, "max_lag", Some(value), defaults.max_lag, &LAGS)?;
    }
    settings.platform = given.platform.map(|platform| platform.value.0);
    settings.guard = given.guard.unwrap_or(defaults.guard);
    settings.public_only = given.public_only.unwrap_or(defaults.public_only);
    settings.max_bitrate = given.max_bitrate.map(|bitrate| bitrate.0).or(defaults.max_bitrate);
    Ok(settings)
}

/// The key given beside the URL, if one is.
async fn key(given: &settings::Destination) -> Result<Option<Secret>, (Option<Place>, String)> {
    let settings::Destination { stream_key, stream_key_file, stream_key_command, .. } = given;
    match (stream_key, stream_key_file, stream_key_command) {
        (None, None, None) => Ok(None),
        (Some(At { value: Hidden(key), .. }), None, None) => Ok(Some(key.clone())),
        (None, Some(file), None) => {
            key::from_file(&file.value).await.map(Some).map_err(|error| (file.place, error.to_string()))
        }
        (None, None, Some(command)) => {
            let key = key::from_command(command.value.0.expose()).await;
            key.map(Some).map_err(|error| (command.place, error.to_string()))
        }
        _ => Err((None, "only one of stream_key, stream_key_file and stream_key_command can be given".to_owned())),
    }
}

/// Where it is, and where its backup is if it has one.
fn servers(
    given: &settings::Destination,
    key: Option<Secret>,
) -> Result<(Template, Option<Template>), (Option<Place>, String)> {
    let platform = given.platform.map(|platform| platform.value.0);
    let key_place = given.stream_key.as_ref().and_then(|key| key.place);
    let (url, place) = match (&given.url, platform) {
        (Some(url), _) => (url.value.0.clone(), url.place),
        (None, None) => return Err((None, "a destination has a url, or a platform".to_owned())),
        (None, Some(platform)) => {
            let place = given.platform.and_then(|platform| platform.place);
            let shown = || format!("{} tells everybody a url of their own: give it as url", platform.name);
            (platform.url.clone().ok_or_else(|| (place, shown()))?.into(), place)
        }
    };
    let alone = Template::new(url.clone(), None);
    alone.as_ref().map_err(|error| (place, format!("the url is not one to relay to: {error}")))?;
    if let (Some(platform), None, Ok(true)) = (platform, &key, alone.map(|alone| alone.varies())) {
        return Err((place, format!("{} wants a stream_key", platform.name)));
    }
    let url = Template::new(url, key).map_err(|error| (key_place.or(place), format!("the key: {error}")))?;
    let odd = platform.zip(url.key()).and_then(|(platform, key)| platform.odd(key.expose()));
    if let Some(odd @ (Odd::Url | Odd::Blank)) = odd {
        return Err((key_place.or(place), odd.to_string()));
    }
    let known = platform.filter(|_| given.url.is_none()).and_then(|platform| platform.backup_url.clone());
    let backup = given.backup_url.as_ref().map(|url| (url.value.0.clone(), url.place));
    let backup = backup.or_else(|| known.map(|url| (url.into(), place)));
    let backup = backup.map(|(backup, place)| {
        let template =
            url.at(backup).map_err(|error| (place, format!("the backup_url is not one to relay to: {error}")))?;
        match template.is_place_of(&url) {
            true => Err((place, "the backup_url is the url again".to_owned())),
            false => Ok(template),
        }
    });
    Ok((url, backup.transpose()?))
}

/// Whom it is to trust, if that is said. What is said and has no effect is a mistake: somebody relies on it.
async fn trust(given: &settings::Destination, url: &Template) -> Result<Option<Trust>, Problem> {
    let place = given.ca_file.as_ref().map(|file| file.place).or(given.tls_pin.as_ref().map(|pin| pin.place)).flatten();
    match (&given.ca_file, &given.tls_pin) {
        (None, None) => Ok(None),
        _ if !url.tls() => Err(Problem::at(place, "ca_file and tls_pin are for rtmps:// only")),
        (Some(file), None) => tls::authorities(file, Trust::only).await.map(Some),
        (None, Some(pin)) => Ok(Some(Trust::pinned(pin.value.0))),
        (Some(_), Some(_)) => Err(Problem::at(place, "only one of ca_file and tls_pin can be given")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_named_after_their_hosts_and_numbered_where_they_share_one() {
        let routes =
            destinations(&["rtmp://a.example/live/1", "rtmp://b/x/1", "rtmp://a.example/live/2"]).expect("URLs");
        let names: Vec<&str> = routes.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["a.example", "b", "a.example-2"]);
    }

    #[test]
    fn errors_say_which_destination_and_hide_it() {
        let error = |urls: &[&str]| destinations(urls).expect_err("a bad URL").to_string();
        assert_eq!(
            error(&["rtmp://a/b/c", "CANARY"]),
            "destination 2 is not a URL to relay to: it does not begin with rtmp:// or rtmps://"
        );
        assert_eq!(
            error(&["rtmp://a/b/c", "rtmp://a/b/d", "rtmp://a/b/c"]),
            "destination 3 is the same as destination 1"
        );
    }
}
