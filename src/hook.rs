//! A hook: a reader of the journal that tells somebody outside: a server that is told, or a command that is run.
//!
//! ```text
//!  ▒ JOURNAL ▒ ◄─ Cursor ─ Reader ─┬─ Webhook ─POST──► https://…
//!                                  └─ Command ─stdin─► sh -c …
//! ```
//! It waits for nobody but whom it tells, and nobody waits for it: what it has not told yet waits in the journal, for as long as
//! there is room. When it fails it says so in the log, and not in the journal, where it would only hear of itself.

use std::fmt;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::journal::Cursor;
use crate::net::Network;

pub mod command;
pub mod pattern;
mod reader;
pub mod signature;
pub mod webhook;

pub use command::Command;
pub use pattern::Pattern;
pub use webhook::Webhook;

use reader::{Reader, Told};

/// Somebody who is told what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// What it is called in the log: nothing of its URL but the host, nothing of its command.
    pub name: String,
    /// What it is told of.
    pub events: Vec<Pattern>,
    /// How.
    pub to: To,
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// By a request.
    Webhook(Webhook),
    /// By being run.
    Command(Command),
}

/// What a hook has to know of the relay it belongs to.
#[derive(Debug)]
pub struct Post<N> {
    /// The way out.
    pub net: N,
    /// What there is to tell, from where on.
    pub cursor: Cursor,
    /// Jitter.
    pub random: fastrand::Rng,
    /// The relay ends: what is left is told, each once.
    pub ending: CancellationToken,
    /// It is not to be told anything more.
    pub stop: CancellationToken,
}

impl Hook {
    /// Tells what there is to tell until the journal ends, or `stop`.
    pub async fn run<N: Network>(self, post: Post<N>) {
        let Post { net, cursor, random, ending, stop } = post;
        let (reader, trouble) = (Reader::new(cursor, self.events), Trouble::of(self.name));
        let telling = async {
            match self.to {
                To::Webhook(webhook) => webhook.tell(&net, reader, trouble, random, &ending).await,
                To::Command(command) => command.tell(&net, reader, trouble).await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = telling => {}
        }
    }
}

/// Says in the log when a hook begins to fail, and when it works again: not each time.
#[derive(Debug)]
struct Trouble {
    name: String,
    said: bool,
}

impl Trouble {
    fn of(name: String) -> Self {
        Trouble { name, said: false }
    }

    fn failed(&mut self, what: &dyn fmt::Display) {
        if !std::mem::replace(&mut self.said, true) {
            warn!(hook = %self.name, "{what}; more of this is not said until it works again");
        }
    }

    /// Said each time: it takes minutes to give up, or is the end.
    fn gave_up(&mut self, told: &Told) {
        warn!(hook = %self.name, "given up: {} of {}", told.entry.event.code, told.entry.at);
    }

    fn worked(&mut self) {
        if std::mem::take(&mut self.said) {
            info!(hook = %self.name, "works again");
        }
    }
}
