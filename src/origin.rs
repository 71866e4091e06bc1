//! Where a setting has come from, and so where it can be changed for good.

use std::fmt;

/// Who has said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The configuration file.
    File,
    /// The command line, the environment, or the program that the relay is part of.
    Flags,
    /// The API, while the relay ran.
    Api,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::File => "file",
            Origin::Flags => "flags",
            Origin::Api => "api",
        })
    }
}
