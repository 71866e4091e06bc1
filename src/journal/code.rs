//! Codes: what can happen. They are stable: people and programs look for them.

use std::fmt;

use serde::{Serialize, Serializer};

/// How bad it is that something has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Info,
    /// Somebody may see less than all of it.
    Warning,
    /// Somebody has to do something.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

macro_rules! codes {
    ($($name:ident = $code:literal $severity:ident $sentence:literal,)+) => {
        /// What has happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $sentence] $name,)+
        }

        impl Code {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Code] = &[$(Code::$name),+];

            /// The stable code.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code,)+ }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Code::$name => Severity::$severity,)+ }
            }

            /// What it means, for people.
            pub const fn sentence(self) -> &'static str {
                match self { $(Code::$name => $sentence,)+ }
            }
        }
    };
}

codes! {
    RelayStarted = "relay.started" Info "The relay listens.",
    RelayStopping = "relay.stopping" Info "The relay has been told to stop and says its goodbyes.",
    ConfigChanged = "config.changed" Info "Another configuration is in force; `text` says what it has changed.",
    PublishStarted = "publish.started" Info "An encoder publishes a stream.",
    PublishResumed = "publish.resumed" Info "An encoder has come back, or taken the place of another, and the stream goes on.",
    PublishReplaced = "publish.replaced" Warning "An encoder has lost its place to another one.",
    PublishLost = "publish.lost" Warning "An encoder's connection is lost; the stream is kept open for its return.",
    PublishEnded = "publish.ended" Info "The stream has ended: the encoder has stopped, or has not come back.",
    DestinationDisabled = "destination.disabled" Info "It is switched off.",
    DestinationWaiting = "destination.waiting" Info "Nothing is published that goes there.",
    DestinationConnecting = "destination.connecting" Info "The first try to connect; those that follow failures are not told.",
    DestinationLive = "destination.live" Info "The server has said yes, and takes what it is sent.",
    DestinationDegraded = "destination.degraded" Warning "The server takes nothing, or is sent nothing or too much; `text` says which.",
    DestinationBackingOff = "destination.backing_off" Warning "It is lost and tried again; told again when the reason changes.",
    DestinationRejected = "destination.rejected" Error "The server says no; it is tried again, told again when the reason changes.",
    DestinationBlocked = "destination.blocked" Error "It cannot be as things are; `text` says why.",
    DestinationDraining = "destination.draining" Info "The stream has ended, and the last of it is being sent.",
    DestinationDropped = "destination.dropped" Warning "`count` frames were left out in the last second, because of `class`: `lag`, `log` or `away`.",
    DestinationAdvice = "destination.advice" Warning "Something about the stream may hurt there; `text` says what.",
    RecordingStarted = "recording.started" Info "A file has been begun; `file` is its name while it is written.",
    RecordingEnded = "recording.ended" Info "A file is complete; `file` is its name.",
    RecordingFailed = "recording.failed" Error "The disk has refused; tried again, told again when the reason changes.",
    PlayerStarted = "player.started" Info "A player, or another relay, is sent a stream.",
    PlayerEnded = "player.ended" Info "It has left, or the stream has ended.",
}

impl Code {
    /// Whether others than us can bring it about as often as they like.
    pub(super) const fn is_of_visitors(self) -> bool {
        use Code::*;
        matches!(
            self,
            PublishStarted
                | PublishResumed
                | PublishReplaced
                | PublishLost
                | PublishEnded
                | PlayerStarted
                | PlayerEnded
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_two_words_and_its_own() {
        let mut codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let sound = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(codes.iter().all(|code| code.split('.').count() == 2 && code.split('.').all(sound)), "{codes:?}");
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Code::ALL.len());
    }

    #[test]
    fn every_code_has_its_row_in_the_page_for_people() {
        let page = include_str!("../../docs/events.md");
        let rows: Vec<&str> =
            page.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 4).collect();
        let row = |code: &Code| format!("| `{code}` | {} | {} |", code.severity(), code.sentence());
        assert_eq!(rows, Code::ALL.iter().map(row).collect::<Vec<_>>());
    }
}
