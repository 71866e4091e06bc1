//! What recordings are called: only what this grammar can say, whatever a peer calls its stream.
//!
//! ```text
//!  20261124T125851.123Z_live_1a2b3c4d.flv         the time in UTC, the application, a fingerprint of the stream's name
//!  20261124T125851.123Z_live_1a2b3c4d-2.flv       another one in the same millisecond
//!  20261124T125851.123Z_live_1a2b3c4d.flv.part    while it is written, and after a crash
//! ```

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::limits::RECORDING_APP_LETTERS;
use crate::rtmp::Secret;
use crate::stream::Name;

/// The end of a file's name while it is written.
pub const PART: &str = "part";

/// What the recordings of one stream are called after their time: the application, of which nothing but ASCII letters and
/// digits is left, and a fingerprint of the stream's name, which may be a key.
#[derive(Debug, Clone)]
pub struct Naming(String);

impl Naming {
    /// The names of recordings of `stream`.
    pub fn new(stream: &Name) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let app: String = stream.app().chars().map(plain).take(RECORDING_APP_LETTERS).collect();
        Naming(format!("{app}_{}", Secret::from(stream.stream().to_owned()).fingerprint()))
    }

    /// The name of the `n`th recording, from 1, that begins at `time`.
    pub(super) fn name(&self, time: Timestamp, n: u32) -> String {
        let number = if n == 1 { String::new() } else { format!("-{n}") };
        format!("{}_{}{number}.flv", time.strftime("%Y%m%dT%H%M%S%.3fZ"), self.0)
    }
}

/// Whether this is the name of one of our recordings that is being written, or was until a crash.
pub fn is_part(name: &str) -> bool {
    let Some((time, rest)) = name.strip_suffix(".flv.part").and_then(|stem| stem.split_once('_')) else { return false };
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let Some((app, stream)) = rest.split_once('_') else { return false };
    let (stream, number) = stream.split_once('-').unwrap_or((stream, "1"));
    shape == "00000000T000000.000Z"
        && app.len() <= RECORDING_APP_LETTERS
        && app.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && stream.len() == 8
        && stream.chars().all(|c| c.is_ascii_hexdigit())
        && number.parse::<u32>().is_ok()
}

/// What a file is called that is whole.
pub(super) fn whole(path: &Path) -> PathBuf {
    if path.extension().is_none_or(|extension| extension != PART) {
        return path.to_owned();
    }
    let mut whole = path.with_extension("");
    if whole.extension().is_none_or(|extension| extension != "flv") {
        whole.as_mut_os_string().push(".flv");
    }
    whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(stream: &str) -> String {
        let time = "2026-11-24T12:58:51.1239Z".parse().expect("a time");
        Naming::new(&Name::new(stream).expect("a name")).name(time, 1)
    }

    #[test]
    fn a_recording_is_named_by_time_application_and_fingerprint() {
        let fingerprint = Secret::from("show".to_owned()).fingerprint();
        assert_eq!(named("live/show"), format!("20261124T125851.123Z_live_{fingerprint}.flv"));
        assert_eq!(named("show"), format!("20261124T125851.123Z__{fingerprint}.flv"));
        let second = Naming::new(&Name::new("a/b").expect("a name")).name(Timestamp::UNIX_EPOCH, 2);
        assert!(second.starts_with("19700101T000000.000Z_a_") && second.ends_with("-2.flv"), "{second}");
    }

    #[test]
    fn a_hostile_name_chooses_neither_folder_nor_length_nor_extension() {
        let long = format!("{}/x", "a".repeat(500));
        let hostile = [
            "..%2f../etc/passwd",
            "a\\..\\b/c",
            "~/x",
            "$(reboot)/x",
            "-rf/x",
            ".ssh/x",
            "a b/c;d",
            "\u{202e}vlf/x",
            &long,
        ];
        for stream in hostile {
            let name = named(stream);
            assert!(is_part(&format!("{name}.part")), "{stream}: {name}");
            assert!(name.len() < 120 && !name.contains(['/', '\\', ' ', '~', '$', ';']), "{stream}: {name}");
        }
    }

    #[test]
    fn only_our_own_parts_are_ours() {
        let fine = "20261124T125851.123Z_live_1a2b3c4d.flv.part";
        assert!(is_part(fine) && is_part(&fine.replace("4d.", "4d-12.")) && is_part(&fine.replace("live", "")));
        for other in ["Z_", "T12", ".flv", "1a2", "_live_", "2026"] {
            let name = fine.replacen(other, "x", 1);
            assert!(!is_part(&name), "{name}");
        }
        for name in [
            "",
            "film.flv.part",
            "setup.exe.part",
            &fine.replace("live", "../live"),
            &fine.replace("live", &"a".repeat(65)),
        ] {
            assert!(!is_part(name), "{name}");
        }
    }

    #[test]
    fn what_is_whole_is_called_flv() {
        for (part, flv) in
            [("a/b.flv.part", "a/b.flv"), ("b.part", "b.flv"), ("b.flv", "b.flv"), ("b.mp4.part", "b.mp4.flv")]
        {
            assert_eq!(whole(Path::new(part)), Path::new(flv));
        }
    }

    proptest! {
        #[test]
        fn any_name_is_within_the_grammar(stream in "\\PC{1,60}") {
            if Name::new(&stream).is_some() {
                prop_assert!(is_part(&format!("{}.part", named(&stream))), "{}", named(&stream));
            }
        }
    }
}
