//! An error with all its causes, for people.

use std::error::Error;

/// What happened, and why, and why that: `connection lost in connect: Connection reset by peer`.
pub fn in_one_line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
