//! Which tracks a payload holds something for: of one, mostly; of several in E-RTMP's ManyTracks.

use std::fmt;

/// A set of track ids.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Tracks([u128; 2]);

impl Tracks {
    /// One track; 0 is the default track.
    pub fn of(track: u8) -> Self {
        Tracks::from_iter([track])
    }

    /// Whether `track` is among them.
    pub fn contains(self, track: u8) -> bool {
        !self.and(Tracks::of(track)).is_empty()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == [0, 0]
    }

    /// Those that are here and there.
    pub fn and(self, other: Tracks) -> Self {
        Tracks([self.0[0] & other.0[0], self.0[1] & other.0[1]])
    }

    /// Those that are here and not there.
    pub fn without(self, other: Tracks) -> Self {
        Tracks([self.0[0] & !other.0[0], self.0[1] & !other.0[1]])
    }
}

impl FromIterator<u8> for Tracks {
    fn from_iter<T: IntoIterator<Item = u8>>(tracks: T) -> Self {
        let mut all = Tracks::default();
        for track in tracks {
            all.0[usize::from(track >> 7)] |= 1 << (track & 127);
        }
        all
    }
}

/// The ids, as a list.
impl fmt::Debug for Tracks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..=u8::MAX).filter(|track| self.contains(*track))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let tracks = Tracks::from_iter([0, 127, 128, 255, 128]);
        assert_eq!(format!("{tracks:?}"), "[0, 127, 128, 255]");
        assert_eq!(tracks.without(Tracks::from_iter([0, 1, 255])), Tracks::from_iter([127, 128]));
        assert_eq!(tracks.and(Tracks::from_iter([1, 255])), Tracks::of(255));
        assert!(tracks.and(Tracks::of(1)).is_empty() && !tracks.is_empty());
    }
}
