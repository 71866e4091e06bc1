//! Findings: what the laws' watchers have to say about one world.

use super::law::Law;
use super::point::{Point, Points};

/// What has been found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The first law that was broken, and how. What follows from it says little.
    pub(crate) broken: Option<(Law, String)>,
    pub(crate) points: Points,
}

impl Findings {
    /// A law is broken.
    pub(crate) fn broken(&mut self, law: Law, what: String) {
        self.broken.get_or_insert((law, what));
    }

    /// Demands that something is so.
    pub(crate) fn demand(&mut self, law: Law, so: bool, what: impl FnOnce() -> String) {
        if !so {
            self.broken(law, what());
        }
    }

    /// A rare situation was there.
    pub(crate) fn reached(&mut self, point: Point) {
        *self.points.entry(point).or_default() += 1;
    }
}
