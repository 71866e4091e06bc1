//! How the next attempt is made: where to, and what is said of us; learned from the attempts before it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// Whether an address is this machine's, or of a network that the rest of the world does not reach (RFC 6890), or leads to one
/// through a translator that may stand in our network.
pub fn is_internal(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            let special = a == 0 || a >= 240 || (a, b, c) == (192, 0, 0) || (a == 198 && b & 0xfe == 18);
            special || shared || v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
        }
        IpAddr::V6(v6) => {
            let site_local = v6.segments()[0] & 0xffc0 == 0xfec0;
            let own = v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || site_local;
            own || v6.is_multicast() || embedded(v6).is_some_and(|v4| is_internal(v4.into()))
        }
    }
}

/// The IPv4 address that an IPv6 address stands for: compatible (RFC 4291 §2.5.5.1), NAT64 (RFC 6052) and 6to4 (RFC 3056).
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        // RFC 8215: whatever is behind it is of our own network.
        [0x64, 0xff9b, 1, ..] => Some(Ipv4Addr::LOCALHOST),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// The address that a host is, if it is no name: as it is written everywhere, and in the forms that resolvers take for addresses
/// (`inet_aton`): fewer than four numbers, hexadecimal and octal ones, one dot more at the end.
pub fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_suffix('.').unwrap_or(host);
    let without_zone = bare.split('%').next().unwrap_or_default();
    without_zone.parse().ok().or_else(|| inet_aton(bare).map(IpAddr::V4))
}

fn inet_aton(host: &str) -> Option<Ipv4Addr> {
    let number = |text: &str| {
        let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
            Some("") => ("0", 16),
            Some(digits) => (digits, 16),
            None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
            None => (text, 10),
        };
        let sound = digits.chars().all(|c| c.is_digit(radix));
        // One that is too large is none: what a resolver makes of it is looked at when it has been resolved.
        if sound { u32::from_str_radix(digits, radix).ok() } else { None }
    };
    let numbers: Vec<u32> = host.split('.').map(number).collect::<Option<_>>()?;
    let (last, before) = numbers.split_last().filter(|(_, before)| before.len() < 4)?;
    let room = 8 * (4 - before.len() as u32);
    let fits = before.iter().all(|number| *number < 256) && u64::from(*last) < 1 << room;
    let high = before.iter().enumerate().map(|(at, number)| number << (24 - 8 * at)).sum::<u32>();
    fits.then(|| Ipv4Addr::from(high | last))
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
            "fec0::1",
            "198.19.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:a9fe:a9fe::",
        ];
        let public = [
            "203.0.113.7",
            "172.32.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "2001:db8::1",
            "64:ff9b::8.8.8.8",
            "2002:808:808::",
        ];
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
    fn an_address_is_found_in_every_form_that_a_resolver_takes_for_one() {
        for form in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7F.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
            "0x7f.0x0.0x0.0x1",
        ] {
            assert_eq!(literal(form), Some(Ipv4Addr::LOCALHOST.into()), "{form}");
        }
        for (form, address) in
            [("::1", "::1"), ("fe80::1%eth0", "fe80::1"), ("0", "0.0.0.0"), ("0x", "0.0.0.0"), ("8.8", "8.0.0.8")]
        {
            assert_eq!(literal(form), address.parse().ok(), "{form}");
        }
        for name in [
            "",
            ".",
            "a",
            "127.0.0.1.example",
            "1.2.3.4.5",
            "256.1.1.1",
            "1.2.3.256",
            "0x100000000",
            "08",
            "1..2",
            "127.0.0.1..",
            "-1",
            "1e3",
            "+1",
        ] {
            assert_eq!(literal(name), None, "{name}");
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
