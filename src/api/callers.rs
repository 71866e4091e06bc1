//! Callers: who may call, and what may be behind a call that looks like theirs.
//!
//! With a token, whoever shows it may. Without one, everybody on this machine may, but not the pages that their browsers show:
//! a name that has been pointed at this machine is found out by `Host`, a page that sends a form by `Origin` and `Content-Type`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::Method;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};

use super::desk::Desk;
use super::flv;
use super::page;
use super::problem::{Code, Problem};
use crate::config;

/// What tells nothing and is asked by programs that have no token: whether somebody is there. The page tells nothing either: it asks
/// for the token.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Lets a call pass, or says why not.
pub(super) async fn check(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let open = OPEN.contains(&request.uri().path()) || page::has(request.uri().path());
    pass(&desk, request, next, open).await
}

/// The same where streams are, among what is nothing: about those the gate can be asked.
pub(super) async fn check_viewer(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let open = flv::is_for_the_gate(request.uri().path(), request.headers());
    pass(&desk, request, next, open).await
}

async fn pass(desk: &Desk, request: Request, next: Next, open: bool) -> Response {
    match may(&desk.present().api, desk.address.ip(), open, request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(code) => Problem::from(code).into_response(),
    }
}

fn may(api: &config::Api, here: IpAddr, open: bool, method: &Method, headers: &HeaderMap) -> Result<(), Code> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match &api.token {
        // It has been taken away while others can reach us: then nobody has it.
        None if !here.is_loopback() && !open => return Err(Code::NoToken),
        None if here.is_loopback() && !is_here(host, here) => return Err(Code::WrongHost),
        None => {}
        Some(_) if open => {}
        Some(token) => {
            let shown = headers.get(AUTHORIZATION).ok_or(Code::NoToken)?;
            let shown = shown.to_str().ok().and_then(|shown| shown.split_once(' '));
            let (scheme, shown) = shown.ok_or(Code::WrongToken)?;
            if !scheme.eq_ignore_ascii_case("bearer") || !token.is(shown.trim()) {
                return Err(Code::WrongToken);
            }
        }
    }
    let changes = ![Method::GET, Method::HEAD].contains(method);
    let foreign = |origin: &str| origin.split_once("://").is_none_or(|(_, from)| !from.eq_ignore_ascii_case(host));
    match headers.get(ORIGIN) {
        Some(origin) if changes && origin.to_str().map_or(true, foreign) => Err(Code::ForeignOrigin),
        _ => Ok(()),
    }
}

/// Whether a `Host` names this machine in a way that nobody else can claim.
fn is_here(host: &str, here: IpAddr) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || ["127.0.0.1", "::1"].contains(&name) || name.parse() == Ok(here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Key;

    fn asks(token: Option<&str>, path: &str, method: Method, headers: &[(&'static str, &str)]) -> Result<(), Code> {
        asks_at("127.0.0.2", token, path, method, headers)
    }

    fn asks_at(
        here: &str,
        token: Option<&str>,
        path: &str,
        method: Method,
        headers: &[(&'static str, &str)],
    ) -> Result<(), Code> {
        let token = token.map(|token| Key::parse(&token.to_owned().into()).expect("a token"));
        let api = config::Api { token, ..config::Api::default() };
        let headers =
            headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        may(&api, here.parse().expect("an address"), OPEN.contains(&path), &method, &headers.collect())
    }

    #[test]
    fn without_a_token_this_machine_may_call_and_no_name_that_is_pointed_at_it() {
        let host = |host: &str| asks(None, "/", Method::GET, &[("host", host)]);
        for here in ["localhost:9997", "LOCALHOST", "127.0.0.1:1", "127.0.0.1", "[::1]:9997", "[::1]", "127.0.0.2:9997"]
        {
            assert_eq!(host(here), Ok(()), "{here}");
        }
        for other in
            ["", "evil.example:9997", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.3", "[::2]", "x"]
        {
            assert_eq!(host(other), Err(Code::WrongHost), "{other}");
        }
        assert_eq!(asks(None, "/healthz", Method::GET, &[]), Err(Code::WrongHost));
    }

    #[test]
    fn where_others_can_reach_us_nobody_may_call_once_the_token_is_gone() {
        for here in ["0.0.0.0", "192.0.2.1", "::"] {
            let host = format!("{here}:9997");
            for host in ["localhost", &host] {
                let asks = |path| asks_at(here, None, path, Method::GET, &[("host", host)]);
                assert_eq!((asks("/metrics"), asks("/healthz")), (Err(Code::NoToken), Ok(())), "{here} {host}");
            }
        }
    }

    #[test]
    fn with_a_token_nobody_may_without_it_whatever_the_host() {
        let shows = |shown: &str| asks(Some("correct-horse-battery"), "/", Method::GET, &[("authorization", shown)]);
        assert_eq!(shows("Bearer correct-horse-battery"), Ok(()));
        assert_eq!(shows("bearer  correct-horse-battery"), Ok(()));
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer correct-horse", "Basic correct-horse-battery", "correct-horse-battery"]
        {
            assert_eq!(shows(wrong), Err(Code::WrongToken), "{wrong}");
        }
        assert_eq!(asks(Some("correct-horse-battery"), "/metrics", Method::GET, &[]), Err(Code::NoToken));
        for open in OPEN {
            assert_eq!(asks(Some("correct-horse-battery"), open, Method::GET, &[]), Ok(()));
        }
    }

    #[test]
    fn a_page_of_another_site_may_look_at_nothing_it_could_change() {
        let from = |origin: &str, method| asks(None, "/", method, &[("host", "localhost:9997"), ("origin", origin)]);
        for method in [Method::POST, Method::PATCH, Method::DELETE, Method::PUT] {
            assert_eq!(from("http://localhost:9997", method.clone()), Ok(()));
            assert_eq!(from("https://LOCALHOST:9997", method.clone()), Ok(()));
            for foreign in
                ["null", "", "http://localhost:9998", "http://localhost", "https://evil.example", "localhost:9997"]
            {
                assert_eq!(from(foreign, method.clone()), Err(Code::ForeignOrigin), "{foreign}");
            }
        }
        assert_eq!(from("https://evil.example", Method::GET), Ok(()), "without CORS it reads nothing");
    }
}
