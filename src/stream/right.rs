//! What gives somebody a stream, and what it is worth against who has it already.

use std::net::IpAddr;

/// The right to publish under a name, as the gate has granted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// Whose it is.
    pub holder: Holder,
    /// What becomes of a publisher that is there already.
    pub takeover: Takeover,
}

/// Who somebody is to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// One who has shown a key, or whom somebody answers for: wherever it comes from, it is the same one.
    Vouched,
    /// One of whom nothing is known but where it comes from.
    From(IpAddr),
}

/// What becomes of a publisher when another one with a right to its stream comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Takeover {
    /// It stays, unless it has been silent for `limits::TAKEOVER` and the other one is the same.
    #[default]
    Refuse,
    /// It goes, at once.
    Replace,
}

/// The program's own: it needs nobody's leave.
impl Default for Right {
    fn default() -> Self {
        Right { holder: Holder::Vouched, takeover: Takeover::Refuse }
    }
}

impl Holder {
    /// Whether this may be `other` coming back. A key is worth more than an address, and never the other way round.
    pub fn may_be(self, other: Holder) -> bool {
        self == Holder::Vouched || self == other
    }
}
