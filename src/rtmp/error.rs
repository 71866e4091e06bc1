//! What a peer can do wrong, and what it was doing.

/// Why a connection cannot go on. Each is the peer's doing; none carries a byte of what it sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer broke the format.
    #[error("malformed {what} (RTMP 1.0 {section})")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// The section of the specification that says how it should look.
        section: &'static str,
    },
    /// A message that is well formed but has no business now.
    #[error("unexpected {what} {state}")]
    Unexpected {
        /// The message or command.
        what: &'static str,
        /// The state it came in.
        state: &'static str,
    },
    /// More than `limits` allows.
    #[error("{what} over the limit of {limit}")]
    TooLarge {
        /// What grew too large.
        what: &'static str,
        /// The limit, in the unit of `what`.
        limit: usize,
    },
    /// Something other than plain RTMP.
    #[error("unsupported: {0}")]
    Unsupported(&'static str),
}
