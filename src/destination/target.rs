//! Where streams go: a URL, perhaps with places to fill in for each stream.

use std::fmt;

use crate::rtmp::Secret;
use crate::rtmp::url::{Error, Url};
use crate::stream::Name;

/// A destination's URL as it was given, and its key if that was given beside it. `{app}` and `{stream}` stand for the source's,
/// `{1}`, `{2}` … for what the wildcards of a pattern have found in its name. Where there is no key, in the URL or beside it,
/// the source's stream name takes its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    url: Secret,
    key: Option<Secret>,
    /// With the places filled in by something harmless.
    example: Url,
    varies: bool,
}

/// What may stand between braces.
enum Place {
    App,
    Stream,
    Capture(usize),
}

/// Host and port only: the rest may be a key, and a short password could be guessed even from a fingerprint.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.example, f)
    }
}

impl Template {
    /// Reads a URL with places in it.
    pub fn parse(url: &str) -> Result<Self, Error> {
        Template::new(url.to_owned().into(), None)
    }

    /// A URL and the key that goes with it: all of the URL's path is the application then.
    pub fn new(url: Secret, key: Option<Secret>) -> Result<Self, Error> {
        let (example, name) = join(&url, key.as_ref(), harmless)?;
        let varies = name.is_none() || places(url.expose()).next().is_some();
        let varies = varies || key.as_ref().is_some_and(|key| places(key.expose()).next().is_some());
        Ok(Template { url, key, example, varies })
    }

    /// Whether each stream has a place of its own there. Else there is one key, for one stream at a time.
    pub fn varies(&self) -> bool {
        self.varies
    }

    /// The key, where there is one and it is the same for all streams.
    pub fn key(&self) -> Option<Secret> {
        let whole = Name::new("app/stream").and_then(|any| self.resolve(&any, &[]).ok());
        whole.map(|(_, key)| key).filter(|_| !self.varies)
    }

    /// The same place at another server. A key beside the URL goes there too, and so does one in it, unless the other URL has
    /// its own.
    pub fn at(&self, url: Secret) -> Result<Self, Error> {
        let (_, own) = join(&url, None, harmless)?;
        let key = self.key.clone().or_else(|| self.key().filter(|_| own.is_none()));
        Template::new(url, key)
    }

    /// Whether a stream has the same place there.
    pub fn is_place_of(&self, other: &Template) -> bool {
        Name::new("app/stream").is_some_and(|any| self.resolve(&any, &[]) == other.resolve(&any, &[]))
    }

    /// Host and port.
    pub fn host(&self) -> (&str, u16) {
        (&self.example.host, self.example.port)
    }

    /// The URL as it was given. It may hold the key.
    pub fn given(&self) -> &Secret {
        &self.url
    }

    /// Scheme, host and port: nothing of it is secret.
    pub fn server(&self) -> String {
        let (Url { host, port, .. }, scheme) = (&self.example, if self.tls() { "rtmps" } else { "rtmp" });
        if host.contains(':') { format!("{scheme}://[{host}]:{port}") } else { format!("{scheme}://{host}:{port}") }
    }

    /// Whether it is behind TLS.
    pub fn tls(&self) -> bool {
        self.example.tls
    }

    /// The highest number between braces, or 0: as many wildcards its patterns have to have.
    pub fn captures(&self) -> usize {
        let texts = [Some(&self.url), self.key.as_ref()];
        let numbers =
            texts.into_iter().flatten().flat_map(|text| places(text.expose())).filter_map(
                |(_, place, _)| match place {
                    Place::Capture(number) => Some(number),
                    Place::App | Place::Stream => None,
                },
            );
        numbers.max().unwrap_or(0)
    }

    /// Where `stream` goes, and its name there.
    pub fn resolve(&self, stream: &Name, captures: &[String]) -> Result<(Url, Secret), Error> {
        let value = |place: &Place| match place {
            Place::App => stream.app().to_owned(),
            Place::Stream => stream.stream().to_owned(),
            Place::Capture(number) => captures.get(number - 1).cloned().unwrap_or_default(),
        };
        let (url, name) = join(&self.url, self.key.as_ref(), value)?;
        Ok((url, name.unwrap_or_else(|| stream.stream().to_owned().into())))
    }
}

/// What may stand for a place where it has to be something.
fn harmless(place: &Place) -> String {
    match place {
        Place::App => "app".to_owned(),
        Place::Stream => "stream".to_owned(),
        Place::Capture(number) => number.to_string(),
    }
}

/// The server, and the name there if there is one.
fn join(url: &Secret, key: Option<&Secret>, value: impl Fn(&Place) -> String) -> Result<(Url, Option<Secret>), Error> {
    let mut url = Url::parse(&fill(url.expose(), &value))?;
    let Some(key) = key else {
        let name = url.name.take();
        return Ok((url, name));
    };
    let key = fill(key.expose(), &value);
    if key.is_empty() || key.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Error::Blank);
    }
    if let Some(name) = url.name.take() {
        url.app = format!("{}/{}", url.app.expose(), name.expose()).into();
    }
    Ok((url, Some(key.into())))
}

/// The places of a text: where each begins and ends.
fn places(text: &str) -> impl Iterator<Item = (usize, Place, usize)> {
    text.match_indices('{').filter_map(|(at, _)| {
        let length = text[at..].find('}')? + 1;
        let place = match &text[at + 1..at + length - 1] {
            "app" => Place::App,
            "stream" => Place::Stream,
            number => Place::Capture(number.parse().ok().filter(|n| (1..=9).contains(n))?),
        };
        Some((at, place, at + length))
    })
}

/// One pass, so that a name that looks like a place stays a name.
fn fill(text: &str, value: impl Fn(&Place) -> String) -> String {
    let mut filled = String::new();
    let mut done = 0;
    for (from, place, to) in places(text) {
        filled.push_str(&text[done..from]);
        filled.push_str(&value(&place));
        done = to;
    }
    filled + &text[done..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_an_application_gets_the_streams_name() {
        let stream = Name::new("live/show").expect("a name");
        for (text, tc_url, name, varies) in [
            ("rtmp://h/live2/KEY?a=b/c#d", "rtmp://h/live2", "KEY?a=b/c#d", false),
            ("rtmp://h/live2", "rtmp://h/live2", "show", true),
            ("rtmp://h/live2/", "rtmp://h/live2", "show", true),
            ("rtmp://h/{app}/x-{stream}", "rtmp://h/live", "x-show", true),
            ("rtmp://{stream}.h/a/{other}", "rtmp://show.h/a", "{other}", true),
        ] {
            let template = Template::parse(text).expect(text);
            let (url, key) = template.resolve(&stream, &[]).expect(text);
            assert_eq!((url.tc_url().as_str(), key.expose(), template.varies()), (tc_url, name, varies), "{text}");
        }
        let odd = Name::new("live/{app}").expect("a name");
        let (_, key) = Template::parse("rtmp://h/a").and_then(|t| t.resolve(&odd, &[])).expect("a place");
        assert_eq!(key.expose(), "{app}");
    }

    #[test]
    fn a_key_beside_the_url_is_the_name_whatever_is_in_it_and_takes_what_a_pattern_has_found() {
        let stream = Name::new("live/cam-2").expect("a name");
        let found = ["2".to_owned()];
        for (url, key, tc_url, name, varies, captures) in [
            ("rtmp://h/live2/", "KEY", "rtmp://h/live2", "KEY", false, 0),
            ("rtmp://h/live2", "a/b?c=d#e%20", "rtmp://h/live2", "a/b?c=d#e%20", false, 0),
            ("rtmp://h/app/inst", "KEY", "rtmp://h/app/inst", "KEY", false, 0),
            ("rtmp://h/app/{1}", "K{1}{2}", "rtmp://h/app/2", "K2", true, 2),
            ("rtmp://h/app", "{app}-{stream}-{0}{10}", "rtmp://h/app", "live-cam-2-{0}{10}", true, 0),
        ] {
            let template = Template::new(url.to_owned().into(), Some(key.to_owned().into())).expect(url);
            let (url, key) = template.resolve(&stream, &found).expect(url);
            assert_eq!((url.tc_url().as_str(), key.expose()), (tc_url, name));
            assert_eq!((template.varies(), template.captures()), (varies, captures), "{tc_url} {name}");
        }
        for bad in ["", "a b", "a\n"] {
            let made = Template::new("rtmp://h/app".to_owned().into(), Some(bad.to_owned().into()));
            assert_eq!(made, Err(Error::Blank), "{bad:?}");
        }
    }

    #[test]
    fn a_server_is_shown_without_what_is_secret() {
        for (url, server) in [
            ("rtmps://u:CANARY@h/app/CANARY", "rtmps://h:443"),
            ("rtmp://[2001:db8::1]:7/app", "rtmp://[2001:db8::1]:7"),
        ] {
            assert_eq!(Template::parse(url).expect(url).server(), server);
        }
    }

    #[test]
    fn a_key_goes_along_to_another_server_unless_that_has_its_own() {
        let stream = Name::new("live/show").expect("a name");
        let key = || Some("KEY".to_owned().into());
        for (url, key, other, tc_url, name) in [
            ("rtmp://a/live2", key(), "rtmp://b/live2?backup=1", "rtmp://b/live2?backup=1", "KEY"),
            ("rtmp://a/live2/KEY", None, "rtmp://b/live2", "rtmp://b/live2", "KEY"),
            ("rtmp://a/live2/KEY", None, "rtmp://b/live2/OTHER", "rtmp://b/live2", "OTHER"),
            ("rtmp://a/{app}", None, "rtmp://b/{app}", "rtmp://b/live", "show"),
            ("rtmp://a/{app}/x-{stream}", None, "rtmp://b/{app}/y-{stream}", "rtmp://b/live", "y-show"),
        ] {
            let template = Template::new(url.to_owned().into(), key).expect(url);
            let (url, key) = template.at(other.to_owned().into()).and_then(|t| t.resolve(&stream, &[])).expect(other);
            assert_eq!((url.tc_url().as_str(), key.expose()), (tc_url, name), "{other}");
        }
    }

    #[test]
    fn a_user_name_and_password_go_along_and_are_not_printed() {
        let template = Template::parse("rtmp://{app}:CANARY@h:1/live").expect("a URL");
        let (url, _) = template.resolve(&Name::new("bob/show").expect("a name"), &[]).expect("a place");
        let credentials = url.credentials.expect("credentials");
        assert_eq!((credentials.user.expose(), credentials.password.expose()), ("bob", "CANARY"));
        assert_eq!((format!("{template:?}"), template.host()), ("rtmp://h:1".to_owned(), ("h", 1)));
    }
}
