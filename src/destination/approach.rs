//! How the next attempt is made: where to, and what is said of us; learned from the attempts before it.

use std::net::IpAddr;

use super::Error;
use crate::limits::RECONNECTS;
use crate::rtmp::capabilities::Announce;
use crate::rtmp::url::Url;

/// What has been learned.
#[derive(Debug)]
pub struct Approach {
    announce: Announce,
    /// A server did not like what we announce.
    silent: bool,
    /// Where a server has sent us. Tried once: from there, too, the way back is to the configured address.
    elsewhere: Option<Url>,
    /// Requests obeyed since all went well.
    obeyed: usize,
    /// Where the configured address has led.
    home: Option<IpAddr>,
}

impl Approach {
    /// Nothing is known yet.
    pub fn new(announce: Announce) -> Self {
        Approach { announce, silent: false, elsewhere: None, obeyed: 0, home: None }
    }

    /// What is said in `connect`.
    pub(super) fn announce(&self) -> Announce {
        if self.silent { Announce::Nothing } else { self.announce }
    }

    /// Where the server has sent us, for one attempt.
    pub(super) fn take_elsewhere(&mut self) -> Option<Url> {
        self.elsewhere.take()
    }

    /// The configured address has led here.
    pub(super) fn at_home(&mut self, address: IpAddr) {
        self.home = Some(address);
    }

    /// Whether a server that sends us to `address` may do so: one on the public network has no business inside ours.
    pub(super) fn may_go(&self, address: IpAddr) -> bool {
        !is_internal(address) || self.home.is_some_and(is_internal)
    }

    /// Draws the lesson of a failed attempt. True if the next one is to be made at once: the server has asked for it, and not too
    /// often.
    pub(super) fn learn(&mut self, error: &Error) -> bool {
        if error.is_about_connect() {
            // Some servers fail a connect with properties that they do not know; the others get them again.
            self.silent = !self.silent;
        }
        match error {
            Error::Reconnect(url) if self.obeyed < RECONNECTS => {
                self.obeyed += 1;
                self.elsewhere = Some(Url::clone(url));
                true
            }
            _ => false,
        }
    }

    /// All has gone well for a while.
    pub(super) fn went_well(&mut self) {
        self.obeyed = 0;
    }
}

/// Whether an address is this machine's, or of a network that the rest of the world does not reach.
fn is_internal(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            a == 0 || shared || v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::connection;
    use crate::rtmp::session::Phase;

    #[test]
    fn a_server_of_the_world_sends_nobody_into_our_network() {
        let internal = [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "ff02::1",
        ];
        let public = ["203.0.113.7", "172.32.0.1", "100.128.0.1", "2001:db8::1"];
        let may_go = |home: &str, to: &str| {
            let mut approach = Approach::new(Announce::Nothing);
            approach.at_home(home.parse().expect("an address"));
            approach.may_go(to.parse().expect("an address"))
        };
        for to in internal {
            assert!(!may_go("203.0.113.9", to), "{to}");
            assert!(may_go("192.168.1.1", to), "{to}: where we were inside anyway");
        }
        for to in public {
            assert!(may_go("203.0.113.9", to) && may_go("127.0.0.1", to), "{to}");
        }
    }

    #[test]
    fn requests_are_obeyed_a_few_times_in_a_row_and_for_one_attempt_each() {
        let mut approach = Approach::new(Announce::Reconnecting);
        let request = Error::Reconnect(Box::new(Url::parse("rtmp://other/live").expect("a URL")));
        for _ in 0..RECONNECTS {
            assert!(approach.learn(&request));
            assert!(approach.take_elsewhere().is_some() && approach.take_elsewhere().is_none());
        }
        assert!(!approach.learn(&request));
        assert_eq!(approach.take_elsewhere(), None);
        approach.went_well();
        assert!(approach.learn(&request));
    }

    #[test]
    fn interop_46_what_a_server_does_not_like_is_left_out_the_next_time() {
        let mut approach = Approach::new(Announce::Reconnecting);
        let closed = |phase| Error::Connection(connection::Error::Closed { phase });
        approach.learn(&closed(Phase::Media));
        approach.learn(&Error::Connection(connection::Error::TimedOut { phase: Phase::Connect }));
        assert_eq!(approach.announce(), Announce::Reconnecting);
        approach.learn(&closed(Phase::Connect));
        assert_eq!(approach.announce(), Announce::Nothing);
        approach.learn(&closed(Phase::Media));
        assert_eq!(approach.announce(), Announce::Nothing, "it worked without");
        approach.learn(&closed(Phase::Connect));
        assert_eq!(approach.announce(), Announce::Reconnecting, "it was not that");
    }
}
