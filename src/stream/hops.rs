//! The relays a stream has come through, so that a circle (A → B → A) is seen before it spins.

use std::fmt;

use crate::limits::HOPS;

/// Relay identities, oldest first. They travel in `flashVer`, the one field that every server takes and none looks into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hops(Vec<u64>);

/// What stands before the identities.
const MARK: &str = "via ";

impl Hops {
    /// Reads them out of what a client calls itself; none if it is no relay of ours.
    pub fn parse(agent: &str) -> Self {
        let list = agent.split_once(MARK).map_or("", |(_, list)| list);
        let ids =
            list.split([' ', ')']).take_while(|id| !id.is_empty()).map_while(|id| u64::from_str_radix(id, 16).ok());
        Hops(ids.take(HOPS + 1).collect())
    }

    /// Whether the stream may not come through `relay`: it has before, or through too many.
    pub fn close_a_circle_at(&self, relay: u64) -> bool {
        self.0.contains(&relay) || self.0.len() > HOPS
    }

    /// With one more.
    pub fn and(mut self, relay: u64) -> Self {
        self.0.push(relay);
        self
    }
}

impl fmt::Display for Hops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.0.iter().map(|id| format!("{id:016x}")).collect();
        write!(f, "{MARK}{}", ids.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_survive_the_way_through_flash_ver() {
        let hops = Hops::default().and(1).and(u64::MAX);
        assert_eq!(Hops::parse(&format!("FMLE/3.0 (compatible; rtmp-relay/0.1.0; {hops})")), hops);
        assert_eq!(Hops::parse("FMLE/3.0 (compatible; FMSc/1.0)"), Hops::default());
        assert_eq!(Hops::parse("via x"), Hops::default());
    }

    #[test]
    fn a_circle_is_the_same_relay_again_or_one_too_many() {
        let hops = Hops::default().and(1).and(2);
        assert!(hops.close_a_circle_at(1) && !hops.close_a_circle_at(3));
        let longest = (0..HOPS as u64).fold(Hops::default(), Hops::and);
        assert!(!longest.close_a_circle_at(100));
        assert!(longest.and(99).close_a_circle_at(100));
    }
}
