//! Addresses: which networks somebody may come from, and what counts as one place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Networks that are let in, and networks that are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// If there are any, only who comes from one of them is let in.
    pub allow: Vec<IpNet>,
    /// Who comes from one of these is not, whatever is allowed.
    pub deny: Vec<IpNet>,
}

/// A text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: it should look like 192.0.2.0/24, 2001:db8::/32 or 192.0.2.1")]
pub struct Error(String);

impl Addresses {
    /// Whether it may come from there.
    pub fn admit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let within = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        !within(&self.deny) && (self.allow.is_empty() || within(&self.allow))
    }
}

/// Reads a network; an address is a network of one.
pub fn network(text: &str) -> Result<IpNet, Error> {
    let one = || text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
    text.parse().or_else(|_| one()).map_err(|_| Error(text.to_owned()))
}

/// What counts as one place: this machine; of IPv6 a network of 64 bits, since that is what one customer has.
pub fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address if address.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(allow: &[&str], deny: &[&str]) -> Addresses {
        let [allow, deny] = [allow, deny].map(|list| list.iter().map(|n| network(n).expect("a network")).collect());
        Addresses { allow, deny }
    }

    #[test]
    fn what_is_denied_is_out_and_what_is_allowed_is_in_and_nobody_else_then() {
        let lan = addresses(&["192.168.0.0/16", "2001:db8::/32"], &["192.168.7.0/24", "192.168.8.8"]);
        for (address, admitted) in [
            ("192.168.1.1", true),
            ("::ffff:192.168.1.1", true),
            ("192.168.7.1", false),
            ("192.168.8.8", false),
            ("192.168.8.9", true),
            ("192.169.0.0", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(lan.admit(address.parse().expect("an address")), admitted, "{address}");
        }
        let here = "127.0.0.1".parse().expect("an address");
        assert!(Addresses::default().admit(here) && !addresses(&[], &["127.0.0.0/8"]).admit(here));
        assert!(addresses(&["0.0.0.0/0"], &[]).admit(here) && !addresses(&["0.0.0.0/0"], &["0.0.0.0/0"]).admit(here));
    }

    #[test]
    fn what_is_no_network_is_said() {
        for bad in ["", "192.0.2.0/33", "192.0.2", "example.org", "::/129"] {
            assert_eq!(network(bad), Err(Error(bad.to_owned())));
        }
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1/32"));
    }

    #[test]
    fn this_machine_is_one_place_and_so_is_a_network_of_64_bits() {
        let same = |a: &str, b: &str| {
            let [a, b] = [a, b].map(|text| origin(text.parse().expect("an address")));
            a == b
        };
        assert!(same("127.0.0.1", "::1") && same("127.0.0.1", "127.8.8.8") && same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(same("2001:db8::1", "2001:db8::2:3:4:5") && !same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(!same("192.0.2.1", "192.0.2.2") && !same("192.0.2.1", "127.0.0.1"));
    }
}
