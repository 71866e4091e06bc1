//! The HTTP API as configured: where it listens, who may call it, and how far what it adds may reach.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::problem::Problem;
use super::value::{ApiListen, Hidden};
use crate::gate::Key;
use crate::limits::API_TOKEN_BYTES;

/// Where it listens unless told otherwise: this machine only.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9997);

/// The HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Where it listens.
    pub listen: Listen,
    /// What its callers have to show; without one, only this machine reaches it, and all of it may call.
    pub token: Option<Key>,
    /// Whether a destination that it adds may be inside our own network.
    pub allow_internal: bool,
}

/// Where the API listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// At [`LISTEN`], or at any free port of this machine if somebody else is there.
    Usual,
    /// There, or not at all.
    At(SocketAddr),
}

impl Default for Api {
    fn default() -> Self {
        Api { listen: Listen::Usual, token: None, allow_internal: false }
    }
}

impl Api {
    /// Checks what it is told.
    pub(super) fn read(
        listen: Option<ApiListen>,
        token: Option<&Hidden>,
        allow_internal: Option<bool>,
    ) -> Result<Self, Problem> {
        let problem = |what: String| Problem::at(None, what);
        let listen = match listen {
            None => Listen::Usual,
            Some(ApiListen::Off) => Listen::Off,
            Some(ApiListen::At(address)) => Listen::At(address),
        };
        let short = |Hidden(token): &&Hidden| token.expose().len() < API_TOKEN_BYTES;
        if token.filter(short).is_some() {
            return Err(problem(format!("api_token has {API_TOKEN_BYTES} bytes at least")));
        }
        let token = token.map(|Hidden(token)| Key::parse(token)).transpose();
        let token = token.map_err(|error| problem(format!("api_token: {error}")))?;
        match listen {
            Listen::At(address) if !address.ip().is_loopback() && token.is_none() => {
                Err(problem("api_listen: others than this machine can reach this address: set an api_token".to_owned()))
            }
            _ => Ok(Api { listen, token, allow_internal: allow_internal.unwrap_or(false) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(listen: &str, token: Option<&str>) -> Result<Api, String> {
        let token = token.map(|token| Hidden(token.to_owned().into()));
        Api::read(Some(listen.parse().expect("an address")), token.as_ref(), None).map_err(|problem| problem.what)
    }

    #[test]
    fn nobody_else_than_this_machine_calls_without_a_token_and_a_token_is_long_enough() {
        let (short, long) = ("x".repeat(API_TOKEN_BYTES - 1), "x".repeat(API_TOKEN_BYTES));
        for address in ["127.0.0.1:1", "[::1]:1", "localhost:1", "off"] {
            assert!(read(address, None).is_ok(), "{address}");
        }
        for address in [":1", "0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
            let error = read(address, None).expect_err(address);
            assert_eq!(error, "api_listen: others than this machine can reach this address: set an api_token");
            assert!(read(address, Some(&long)).is_ok(), "{address}");
        }
        assert_eq!(read("127.0.0.1:1", Some(&short)).expect_err("short"), "api_token has 16 bytes at least");
        let hash = read("off", Some("sha256:0123456789")).expect_err("no hash");
        assert_eq!(hash, "api_token: sha256: should be followed by 64 hexadecimal digits");
    }
}
