//! Where streams go: a URL, perhaps with places to fill in for each stream.

use std::fmt;

use crate::rtmp::Secret;
use crate::rtmp::url::{Error, Url};
use crate::stream::Name;

/// A destination's URL as it was given. `{app}` and `{stream}` stand for the source's; where it ends with the application,
/// the source's stream name follows.
#[derive(Clone)]
pub struct Template {
    text: Secret,
    /// With the places filled in by something harmless.
    example: Url,
    varies: bool,
}

const APP: &str = "{app}";
const STREAM: &str = "{stream}";

/// Host and port only: the rest may be a key, and a short password could be guessed even from a fingerprint.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.example, f)
    }
}

impl Template {
    /// Reads a URL with places in it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let example = Url::parse(&fill(text, "app", "stream"))?;
        let varies = text.contains(APP) || text.contains(STREAM) || example.name.is_none();
        Ok(Template { text: text.to_owned().into(), example, varies })
    }

    /// Whether each stream has a place of its own there. Else there is one key, for one stream at a time.
    pub fn varies(&self) -> bool {
        self.varies
    }

    /// Host and port.
    pub fn host(&self) -> (&str, u16) {
        (&self.example.host, self.example.port)
    }

    /// Where `stream` goes, and its name there.
    pub fn resolve(&self, stream: &Name) -> Result<(Url, Secret), Error> {
        let mut url = Url::parse(&fill(self.text.expose(), stream.app(), stream.stream()))?;
        let name = url.name.take().unwrap_or_else(|| stream.stream().to_owned().into());
        Ok((url, name))
    }

    /// Whether both are the same place, to the letter.
    pub fn is_same(&self, other: &Template) -> bool {
        self.text == other.text
    }
}

/// One pass, so that a name that looks like a place stays a name.
fn fill(text: &str, app: &str, stream: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, place) = rest.split_at(at);
        filled.push_str(before);
        let (value, length) = match place {
            p if p.starts_with(APP) => (app, APP.len()),
            p if p.starts_with(STREAM) => (stream, STREAM.len()),
            _ => ("{", 1),
        };
        filled.push_str(value);
        rest = &place[length..];
    }
    filled + rest
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
            let (url, key) = template.resolve(&stream).expect(text);
            assert_eq!((url.tc_url().as_str(), key.expose(), template.varies()), (tc_url, name, varies), "{text}");
        }
        let odd = Name::new("live/{app}").expect("a name");
        let (_, key) = Template::parse("rtmp://h/a").and_then(|t| t.resolve(&odd)).expect("a place");
        assert_eq!(key.expose(), "{app}");
    }

    #[test]
    fn a_user_name_and_password_go_along_and_are_not_printed() {
        let template = Template::parse("rtmp://{app}:CANARY@h:1/live").expect("a URL");
        let (url, _) = template.resolve(&Name::new("bob/show").expect("a name")).expect("a place");
        let credentials = url.credentials.expect("credentials");
        assert_eq!((credentials.user.expose(), credentials.password.expose()), ("bob", "CANARY"));
        assert_eq!((format!("{template:?}"), template.host()), ("rtmp://h:1".to_owned(), ("h", 1)));
    }
}
