//! Classes of errors: a stable code, what to do about it, and how soon it is tried again.

use std::fmt;
use std::time::Duration;

use super::State;

/// Kinds of errors. Their codes are stable: people and programs look for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Name, TCP, silence, a lost connection.
    Network,
    /// The server ended a started stream.
    Kicked,
    /// It accepts the stream and closes a moment later, again and again.
    Dropped,
    /// An old session is still open there, or somebody else's.
    AlreadyLive,
    /// One of us speaks TLS and the other does not.
    Tls,
    /// No to `connect`.
    Refused,
    /// No to our user name and password, or to our having none.
    LoginRejected,
    /// No to `publish`.
    KeyRejected,
    /// No to what the stream is made of.
    CodecRefused,
    /// The stream has come round to a relay it had left.
    Loop,
    /// The stream has more bits a second than the destination may have.
    TooMuch,
    /// The platform is known to refuse such a stream.
    NotTaken,
}

/// What is known of a class.
struct Plan {
    code: &'static str,
    /// The longest wait between two tries, where it is longer than the destination's own.
    cap: Duration,
    /// Where a destination stands meanwhile.
    state: State,
    advice: &'static str,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 12] = [
        Class::Network,
        Class::Kicked,
        Class::Dropped,
        Class::AlreadyLive,
        Class::Tls,
        Class::Refused,
        Class::LoginRejected,
        Class::KeyRejected,
        Class::CodecRefused,
        Class::Loop,
        Class::TooMuch,
        Class::NotTaken,
    ];

    /// The table (design: classes with stable codes, each with its own retry cap).
    const fn plan(self) -> Plan {
        let (code, cap, state, advice) = match self {
            Class::Network => (
                "network",
                0,
                State::BackingOff,
                "check the host and port in the URL and the network, if this does not pass by itself",
            ),
            Class::Kicked => {
                ("kicked", 0, State::BackingOff, "look at the platform's dashboard for why it has ended the stream")
            }
            Class::Dropped => (
                "dropped",
                0,
                State::Rejected,
                "check that the key is right and its event open, and that the platform takes this codec, size and bitrate",
            ),
            Class::AlreadyLive => (
                "already_live",
                30,
                State::BackingOff,
                "stop the other encoder that uses this key, or wait until the server has noticed that it is gone",
            ),
            Class::Tls => (
                "tls",
                60,
                State::Rejected,
                "if it is about a certificate, the server has to show a good one; else check the port, and \
                 whether the server wants rtmps:// instead of rtmp://",
            ),
            Class::Refused => (
                "refused",
                60,
                State::Rejected,
                "check the application in the URL, which stands between the host and the key",
            ),
            Class::LoginRejected => {
                ("login_rejected", 60, State::Rejected, "check the user name and password in the URL")
            }
            Class::KeyRejected => (
                "key_rejected",
                60,
                State::Rejected,
                "copy the stream key from the platform again: it is wrong or has expired, or its event is not open",
            ),
            Class::CodecRefused => (
                "codec_refused",
                60,
                State::Rejected,
                "have the encoder send what the platform takes; H.264 and AAC are taken everywhere",
            ),
            Class::Loop => (
                "loop",
                60,
                State::Blocked,
                "take this destination out here or at the relay behind it: the stream goes in a circle",
            ),
            Class::TooMuch => (
                "bitrate_too_high",
                0,
                State::Blocked,
                "set a lower bitrate in the encoder, or a higher max_bitrate for this destination",
            ),
            Class::NotTaken => (
                "not_taken",
                0,
                State::Blocked,
                "change the encoder as is said, or set guard: advise for this destination to have it tried all the same",
            ),
        };
        Plan { code, cap: Duration::from_secs(cap), state, advice }
    }

    /// The stable code.
    pub const fn code(self) -> &'static str {
        self.plan().code
    }

    /// The longest wait between two tries, for a destination that else waits no longer than `max`. None gives up.
    pub fn cap(self, max: Duration) -> Duration {
        self.plan().cap.max(max)
    }

    /// The state a destination waits in.
    pub const fn state(self) -> State {
        self.plan().state
    }

    /// What to do about it, for people.
    pub const fn advice(self) -> &'static str {
        self.plan().advice
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::settings::Reconnect;

    #[test]
    fn every_class_has_a_code_of_its_own_and_a_sentence() {
        let codes = "network kicked dropped already_live tls refused login_rejected key_rejected codec_refused loop \
                     bitrate_too_high not_taken";
        assert_eq!(Class::ALL.map(Class::code).join(" "), codes);
        for class in Class::ALL {
            assert!(class.advice().split_whitespace().count() > 5, "{class}");
        }
    }

    #[test]
    fn every_class_has_its_section_in_the_page_for_people_with_the_numbers_of_the_table() {
        let page = include_str!("../../docs/errors.md");
        let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
        let titles: Vec<&str> = sections.iter().filter_map(|section| section.lines().next()).collect();
        assert_eq!(titles, Class::ALL.map(|class| format!("`{class}`")));
        let Reconnect { initial, max } = Reconnect::default();
        for (class, section) in Class::ALL.into_iter().zip(sections) {
            let plan = format!("after {initial:?}, then twice as long each time, never more than {:?}", class.cap(max));
            let text = section.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(&plan) || matches!(class, Class::TooMuch | Class::NotTaken), "{class}: {plan}");
            assert!(text.contains(&format!("`{}`", class.state())), "{class}: {}", class.state());
            assert!(text.to_lowercase().contains(&class.advice().to_lowercase()), "{class}: {}", class.advice());
        }
    }
}
