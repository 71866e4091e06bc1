//! RTMP URLs: `rtmp[s]://[user:password@]host[:port]/app[/instance…]/name[?query]`, where the name is often a stream key.
//!
//! Application and name are taken from the text as it stands: keys hold `#`, `?`, `/` and `%`, and a general URL parser
//! would lose or rewrite them.

use std::fmt;

use super::Secret;
use super::login::Credentials;

/// The port of `rtmp:`.
pub const PORT: u16 = 1935;

/// The port of `rtmps:`.
pub const TLS_PORT: u16 = 443;

/// The longest host name that there is (RFC 1035 §2.3.4). Servers send us to others, and what they say is not trusted.
const HOST_BYTES: usize = 253;

/// Where a stream goes to or comes from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    /// Host name or address, without the brackets of IPv6.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether it is RTMP in TLS.
    pub tls: bool,
    /// Who we are there, if it asks.
    pub credentials: Option<Credentials>,
    /// `scheme://host[:port]` as written, for `tcUrl`: servers route on the host name in it.
    authority: String,
    /// The application, with its instance and query. Some platforms put keys here.
    pub app: Secret,
    /// The stream's name or key, with its query; `None` where the URL ends with the application.
    pub name: Option<Secret>,
}

/// Why a text is no RTMP URL. None of them repeats the text, since it may hold a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("it does not begin with rtmp:// or rtmps://")]
    NoScheme,
    #[error("{0}:// is not supported, only rtmp:// and rtmps://")]
    Scheme(&'static str),
    #[error("what stands before the @ should be user:password")]
    UserInfo,
    #[error("the host name is missing")]
    NoHost,
    #[error("the host name is longer than {HOST_BYTES} letters")]
    LongHost,
    #[error("the port is not a number from 1 to 65535")]
    Port,
    #[error("the application is missing: it should look like rtmp://host/app/key")]
    NoApp,
    #[error("it contains a space or a control character")]
    Blank,
    #[error("it would leave TLS")]
    Downgrade,
}

impl Url {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Error::Blank);
        }
        let (scheme, rest) = text.split_once("://").ok_or(Error::NoScheme)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "rtmp" => false,
            "rtmps" => true,
            "rtmpt" => return Err(Error::Scheme("rtmpt")),
            "rtmpe" => return Err(Error::Scheme("rtmpe")),
            _ => return Err(Error::NoScheme),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, authority) = split_credentials(authority)?;
        let (host, port) = split_authority(authority)?;
        let scheme = if tls { "rtmps" } else { "rtmp" };
        let (app, name) = split_path(path);
        if app.is_empty() {
            return Err(Error::NoApp);
        }
        Ok(Url {
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(if tls { TLS_PORT } else { PORT }),
            tls,
            credentials,
            authority: format!("{scheme}://{authority}"),
            app: app.to_owned().into(),
            name: name.map(|n| n.to_owned().into()),
        })
    }

    /// Where the server of this URL wants its client to go on (E-RTMP v2 "Reconnect Request"): `tc_url` names server and
    /// application, `//host/app` keeps the scheme, `/app` the server too, and nothing at all everything. The stream keeps its name,
    /// which is mostly a key: from a server behind TLS it goes to none without.
    pub fn moved(&self, tc_url: &str) -> Result<Url, Error> {
        let scheme = if self.tls { "rtmps" } else { "rtmp" };
        let absolute = match tc_url {
            "" => return Ok(self.clone()),
            rest if rest.starts_with("//") => format!("{scheme}:{rest}"),
            app if app.starts_with('/') => format!("{}{app}", self.authority),
            absolute => absolute.to_owned(),
        };
        let secure = |text: &str| text.split_once("://").is_some_and(|(s, _)| s.eq_ignore_ascii_case("rtmps"));
        if self.tls && !secure(&absolute) {
            return Err(Error::Downgrade);
        }
        let url = match Url::parse(&absolute) {
            Err(Error::NoApp) => Url::parse(&format!("{}/{}", absolute.trim_end_matches('/'), self.app.expose()))?,
            parsed => parsed?,
        };
        if url.credentials.is_some() {
            return Err(Error::UserInfo);
        }
        // Who we are is between us and the host that we were configured for.
        let credentials = self.credentials.clone().filter(|_| url.host == self.host);
        // All of the path is the application: a tcUrl has no name in it.
        let app = match &url.name {
            Some(name) => format!("{}/{}", url.app.expose(), name.expose()).into(),
            None => url.app,
        };
        Ok(Url {
            host: url.host,
            port: url.port,
            tls: url.tls,
            authority: url.authority,
            app,
            credentials,
            ..self.clone()
        })
    }

    /// The `tcUrl` of `connect` (§7.2.1.1).
    pub fn tc_url(&self) -> String {
        format!("{}/{}", self.authority, self.app.expose())
    }

    /// The same place, told something more in application and `tcUrl`.
    pub fn with_query(&self, query: &str) -> Url {
        let app = self.app.expose();
        let separator = if app.contains('?') { '&' } else { '?' };
        Url { app: format!("{app}{separator}{query}").into(), ..self.clone() }
    }
}

/// Host and port only: the rest may be a key.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// User name and password end at the last `@`. What cannot stand in a URL is percent-encoded there (RFC 3986 §3.2.1).
fn split_credentials(authority: &str) -> Result<(Option<Credentials>, &str), Error> {
    let Some((user_info, authority)) = authority.rsplit_once('@') else { return Ok((None, authority)) };
    let (user, password) = user_info.split_once(':').filter(|(user, _)| !user.is_empty()).ok_or(Error::UserInfo)?;
    let [user, password] = [user, password].map(|text| percent_decoded(text).into());
    Ok((Some(Credentials { user, password }), authority))
}

/// The text behind `%41` and its like; as it stands where it is no text, or not encoded.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |n: usize| after.get(n).and_then(|b| char::from(*b).to_digit(16));
        let encoded = digit(0).zip(digit(1)).filter(|_| byte == b'%').map(|(high, low)| (16 * high + low) as u8);
        bytes.push(encoded.unwrap_or(byte));
        rest = if encoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn split_authority(authority: &str) -> Result<(&str, Option<u16>), Error> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(Error::NoHost)?;
        (host, rest.strip_prefix(':'))
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err(Error::NoHost);
    }
    if host.len() > HOST_BYTES {
        return Err(Error::LongHost);
    }
    let port = port.map(|text| text.parse().ok().filter(|p| *p > 0).ok_or(Error::Port)).transpose()?;
    Ok((host, port))
}

/// Application and name. The last segment before the query is the name, with the query, slashes in it or not; where there
/// is one segment only it is the application, and a name may follow in its query (`live2?backup=1/KEY`, as encoders do).
fn split_path(path: &str) -> (&str, Option<&str>) {
    let path = path.trim_start_matches('/');
    let query = path.find('?').unwrap_or(path.len());
    let at = match path[..query].strip_suffix('/') {
        // `/app/` names an application only; in `/app/?key=1` the name is all query.
        Some(_) => (query < path.len()).then(|| query - 1),
        None => path[..query].rfind('/').or_else(|| path[query..].rfind('/').map(|at| query + at)),
    };
    match at {
        Some(at) => (path[..at].trim_end_matches('/'), Some(&path[at + 1..]).filter(|n| !n.is_empty())),
        None => (path.trim_end_matches('/'), None),
    }
}

/// The path a publisher or player means, whatever its program put into `app` and what into the name, without queries:
/// `live/key`, `live` + `key` and `live/key` + nothing are the same stream.
pub fn stream_path(app: &str, name: &str) -> String {
    let (path, query) = at_query(app);
    let path = if swallows_name(path, query) { path.to_owned() } else { format!("{path}/{}", at_query(name).0) };
    path.split('/').filter(|s| !s.is_empty()).collect::<Vec<_>>().join("/")
}

/// What stands in the queries around that path: the application's first, then the name's.
pub fn stream_query(app: &str, name: &str) -> Secret {
    let (path, query) = at_query(app);
    let query = match at_query(name).1 {
        _ if swallows_name(path, query) && !name.is_empty() => format!("{query}/{name}"),
        more if query.is_empty() || more.is_empty() => format!("{query}{more}"),
        more => format!("{query}&{more}"),
    };
    query.into()
}

/// A `/` inside the query of a single-string client has moved the boundary: the name is then part of the query.
fn swallows_name(path: &str, query: &str) -> bool {
    query.contains('=') && path.contains('/')
}

fn at_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> (String, Option<String>) {
        let url = Url::parse(text).expect(text);
        (url.app.expose().to_owned(), url.name.map(|n| n.expose().to_owned()))
    }

    #[test]
    fn interop_44_interop_45_application_and_name_are_split_as_encoders_do() {
        for (text, app, name) in [
            ("rtmp://h/live", "live", None),
            ("rtmp://h/live/", "live", None),
            ("rtmp://h/live/key", "live", Some("key")),
            ("rtmp://h/live/inst/key", "live/inst", Some("key")),
            ("rtmp://h/live/key?x=a/b", "live", Some("key?x=a/b")),
            ("rtmp://h/live/FB-1-0-x?s_bl=1&s_ps=2#y", "live", Some("FB-1-0-x?s_bl=1&s_ps=2#y")),
            ("rtmp://h/live2?backup=1", "live2?backup=1", None),
            ("rtmp://h/live2?backup=1/KEY", "live2?backup=1", Some("KEY")),
            ("rtmp://h/live/?key=1", "live", Some("?key=1")),
            ("rtmp://h//key", "key", None),
        ] {
            assert_eq!(split(text), (app.to_owned(), name.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn host_and_port_are_read_and_kept_for_the_tc_url() {
        for (text, host, port, tc_url) in [
            ("rtmp://Example.COM/app/k", "example.com", 1935, "rtmp://Example.COM/app"),
            ("rtmp://127.0.0.1:1936/a/b/k", "127.0.0.1", 1936, "rtmp://127.0.0.1:1936/a/b"),
            ("rtmp://[::1]:19370/app", "::1", 19370, "rtmp://[::1]:19370/app"),
            ("rtmps://h/app/k", "h", 443, "rtmps://h/app"),
            ("RTMPS://h:1935/app/k", "h", 1935, "rtmps://h:1935/app"),
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!((url.host.as_str(), url.port, url.tc_url().as_str()), (host, port, tc_url));
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_the_text() {
        for (text, error) in [
            ("live/key", Error::NoScheme),
            ("http://h/live/key", Error::NoScheme),
            ("rtmpt://h/live/key", Error::Scheme("rtmpt")),
            ("rtmp://user@h/live/key", Error::UserInfo),
            ("rtmp://:password@h/live/key", Error::UserInfo),
            ("rtmp://u:p@/live/key", Error::NoHost),
            ("rtmp:///live/key", Error::NoHost),
            ("rtmp://h:0/live", Error::Port),
            ("rtmp://h:99999/live", Error::Port),
            ("rtmp://h", Error::NoApp),
            ("rtmp://h/", Error::NoApp),
            ("rtmp://h/live/my key", Error::Blank),
        ] {
            assert_eq!(Url::parse(text), Err(error), "{text}");
        }
        let named = |length| Url::parse(&format!("rtmp://{}/live", "x".repeat(length)));
        assert!(named(HOST_BYTES).is_ok() && named(HOST_BYTES + 1) == Err(Error::LongHost));
    }

    #[test]
    fn user_name_and_password_end_at_the_last_at_and_stay_out_of_the_tc_url() {
        for (text, user, password) in [
            ("rtmp://bob:secret@h:1/app/key", "bob", "secret"),
            ("rtmp://bob:p@ss:word@h:1/app/key", "bob", "p@ss:word"),
            ("rtmp://b%40b:%2F%3a100%25%zz@h:1/app/key@x", "b@b", "/:100%%zz"),
            ("rtmp://bob:%ff@h:1/app/key", "bob", "%ff"),
            ("rtmp://bob:@h:1/app/key", "bob", ""),
        ] {
            let url = Url::parse(text).expect(text);
            let credentials = url.credentials.as_ref().expect(text);
            assert_eq!((credentials.user.expose(), credentials.password.expose()), (user, password), "{text}");
            assert_eq!((url.host.as_str(), url.port, url.tc_url().as_str()), ("h", 1, "rtmp://h:1/app"));
        }
        assert_eq!(Url::parse("rtmp://h/app/key@x").expect("a URL").credentials, None);
    }

    /// Eyevinn/strom#771: what was shown began after the first `@`. sorayuki/obs-multi-rtmp#256: a key pasted into the server's
    /// field. livekit/egress#248: a URL without an application.
    #[test]
    fn interop_89_interop_90_a_url_prints_its_host_and_nothing_else() {
        for text in [
            "rtmp://CANARY:CANARY@CANARY@h:1/app/key",
            "rtmp://h:1/CANARY/CANARY",
            "rtmp://h:1/CANARY",
            "rtmp://h:1//CANARY?CANARY",
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!(format!("{url} {url:?}"), "rtmp://h:1 rtmp://h:1");
        }
        let url = Url::parse("rtmp://h:1/CANARY/CANARY?CANARY").expect("a URL");
        assert_eq!(format!("{url} {url:?}"), "rtmp://h:1 rtmp://h:1");
    }

    #[test]
    fn a_server_may_send_its_client_elsewhere() {
        let home = Url::parse("rtmp://h:1936/live/inst/KEY").expect("a URL");
        for (tc_url, moved) in [
            ("", Ok("rtmp://h:1936/live/inst")),
            ("rtmp://other/app", Ok("rtmp://other/app")),
            ("rtmp://other:1/app/inst?a=b", Ok("rtmp://other:1/app/inst?a=b")),
            ("rtmp://[::1]:1/app/", Ok("rtmp://[::1]:1/app")),
            ("rtmp://other", Ok("rtmp://other/live/inst")),
            ("//other/app", Ok("rtmp://other/app")),
            ("/app/x", Ok("rtmp://h:1936/app/x")),
            ("app", Err(Error::NoScheme)),
            ("rtmps://other/app", Ok("rtmps://other/app")),
            ("rtmpe://other/app", Err(Error::Scheme("rtmpe"))),
            ("http://other/app", Err(Error::NoScheme)),
            ("rtmp://u:p@other/app", Err(Error::UserInfo)),
            ("rtmp://other/a b", Err(Error::Blank)),
        ] {
            let to = home.moved(tc_url);
            assert_eq!(to.as_ref().map(Url::tc_url), moved.as_ref().map(|to| (*to).to_owned()), "{tc_url}");
            assert!(to.is_ok_and(|to| to.name == home.name) || moved.is_err(), "{tc_url}");
        }
    }

    #[test]
    fn a_password_goes_to_no_other_host() {
        let home = Url::parse("rtmp://bob:secret@h/live/KEY").expect("a URL");
        let knows = |tc_url| home.moved(tc_url).expect("a place").credentials.is_some();
        assert!(knows("rtmp://h:1936/app") && knows("/app") && !knows("rtmp://other/app") && !knows("//h.example/app"));
    }

    #[test]
    fn a_key_that_went_through_tls_never_goes_without() {
        let home = Url::parse("RTMPS://h/live/KEY").expect("a URL");
        for tc_url in ["rtmp://h/live", "RTMP://other/live", "rtmp", "live", "rtmpt://h/live"] {
            assert_eq!(home.moved(tc_url), Err(Error::Downgrade), "{tc_url}");
        }
        for tc_url in ["rtmps://other/live", "//other/live", "/live", ""] {
            assert!(home.moved(tc_url).is_ok_and(|to| to.tls && to.port == TLS_PORT), "{tc_url}");
        }
        let without = Url::parse("rtmp://h/live/KEY").expect("a URL");
        assert!(without.moved("rtmps://h/live").is_ok_and(|to| to.tls && to.port == TLS_PORT));
    }

    #[test]
    fn interop_41_interop_42_interop_43_every_way_to_write_a_stream_is_the_same_stream() {
        for (app, name) in [
            ("live", "key"),
            ("live/", "key"),
            ("live", "key?auth=abc"),
            ("live/key", ""),
            ("live/key", "?auth=abc"),
            ("live/key?x=1", ""),
            ("/live//key", ""),
            ("live/key?x=a", "b"),
            ("live?t=1", "key"),
        ] {
            assert_eq!(stream_path(app, name), "live/key", "{app} + {name}");
        }
        assert_eq!(stream_path("live/inst", "key"), "live/inst/key");
        assert_eq!(stream_path("live/inst", "key?v=2"), "live/inst/key");
        assert_eq!(stream_path("live?v=2", "?auth=abc"), "live");
        assert_eq!(stream_path("", "key"), "key");
        assert_eq!(stream_path("", ""), "");
    }

    #[test]
    fn a_key_is_found_wherever_an_encoder_lets_it_be_typed() {
        for (app, name, query) in [
            ("live", "show", ""),
            ("live", "show?key=K", "key=K"),
            ("live?key=K", "show", "key=K"),
            ("live?a=1", "show?key=K", "a=1&key=K"),
            ("live/show?key=K", "", "key=K"),
            ("live/show", "?key=K", "key=K"),
            ("live/show?key=K", "2", "key=K/2"),
            ("live/inst", "show?key=K?L", "key=K?L"),
        ] {
            assert_eq!(stream_query(app, name).expose(), query, "{app} + {name}");
        }
    }
}
