//! The gate: who may publish and who may play. Every door asks it, and nobody else decides.
//!
//! ```text
//!  Ask ─► the first rule for the stream ─► from this address? ─► key · key file · callback ─► Right, or Denied
//! ```
//! What it decides is in force for requests that come after; sessions that are there stay. Nothing of it waits for anything
//! but a file of keys and a callback, and for those only the one who asks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::net::Network;
use crate::rtmp::Secret;
use crate::rtmp::server::Role;
use crate::stream::{Holder, Name, Right};

pub mod addresses;
pub mod callback;
pub mod key;
pub mod key_file;
pub mod rules;

pub use addresses::Addresses;
pub use callback::Callback;
pub use key::{Key, Keys};
pub use rules::{Access, Rule, Rules, Who};

use callback::{Answer, Asker};
use key::Presented;
use key_file::KeyFile;

/// Decides who may publish and play.
#[derive(Debug)]
pub struct Gate<N> {
    net: N,
    ruling: Mutex<Arc<Ruling>>,
    asker: Asker,
}

/// Rules, and the files that they name.
#[derive(Debug)]
struct Ruling {
    rules: Rules,
    files: BTreeMap<PathBuf, Arc<KeyFile>>,
}

/// What somebody wants.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// To publish, or to play.
    pub role: Role,
    /// Which stream.
    pub stream: &'a Name,
    /// The queries of the request, where keys are: `key=…` or `token=…`.
    pub query: &'a Secret,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// What it calls itself.
    pub agent: &'a str,
    /// Where it believes it is; empty where it has not said.
    pub tc_url: &'a Secret,
}

/// Why somebody may not. It is told to the peer as it stands, and holds nothing that is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There are rules, and none for this stream.
    #[error("nobody may use this stream")]
    NoRule,
    /// The rule says so.
    #[error("nobody may do this")]
    Nobody,
    /// The rule does not let this address in.
    #[error("not from this address")]
    Address,
    /// A key is needed.
    #[error("a key is needed, as in name?key=KEY")]
    NoKey,
    /// A key is needed, and this is none.
    #[error("the key is not valid")]
    WrongKey,
    /// The callback does not want it.
    #[error("refused with status {0}")]
    Refused(u16),
    /// The callback has given no answer, and the rule is closed then.
    #[error("nobody could be asked: {0}")]
    Unanswered(callback::Failure),
}

impl<N: Network> Gate<N> {
    /// A gate with these rules.
    pub fn new(net: N, rules: Rules) -> Self {
        let ruling = Mutex::new(Arc::new(Ruling::new(rules, &BTreeMap::new())));
        Gate { net, ruling, asker: Asker::default() }
    }

    /// Puts other rules in force. What is known of the files that both name is kept.
    pub fn set(&self, rules: Rules) {
        let mut ruling = self.lock();
        *ruling = Arc::new(Ruling::new(rules, &ruling.files));
    }

    /// Reads all key files again. One that is not usable leaves its last good keys in force, and the log says why.
    pub async fn reload(&self) {
        for file in self.ruling().files.values() {
            file.read_again(&self.net).await;
        }
    }

    /// Decides.
    pub async fn may(&self, ask: &Ask<'_>) -> Result<Right, Denied> {
        let ruling = self.ruling();
        let Some(rule) = ruling.rules.rule(ask.stream) else { return Err(Denied::NoRule) };
        let access = rule.access(ask.role);
        if !access.from.admit(ask.peer.ip()) {
            return Err(Denied::Address);
        }
        let vouched = match &access.who {
            Who::Anyone => false,
            Who::Nobody => return Err(Denied::Nobody),
            Who::Keys(keys) => Presented::by(ask)?.is_among(keys.iter())?,
            Who::KeyFile(path) => {
                let presented = Presented::by(ask)?;
                let file = ruling.files.get(path).ok_or(Denied::WrongKey)?;
                presented.is_among(file.lines(&self.net).await.keys(ask.role, ask.stream))?
            }
            Who::Callback(callback) => match self.asker.ask(&self.net, callback, ask).await {
                Answer::Yes => true,
                Answer::No(status) => return Err(Denied::Refused(status)),
                Answer::None(_) if callback.open => false,
                Answer::None(failure) => return Err(Denied::Unanswered(failure)),
            },
        };
        let holder = if vouched { Holder::Vouched } else { Holder::From(addresses::origin(ask.peer.ip())) };
        Ok(Right { holder, takeover: rule.takeover })
    }

    fn ruling(&self) -> Arc<Ruling> {
        self.lock().clone()
    }

    /// One pointer: nothing can be half written.
    fn lock(&self) -> MutexGuard<'_, Arc<Ruling>> {
        self.ruling.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Ruling {
    fn new(rules: Rules, known: &BTreeMap<PathBuf, Arc<KeyFile>>) -> Self {
        let file = |path: &Path| known.get(path).cloned().unwrap_or_else(|| Arc::new(KeyFile::new(path)));
        let files = rules.key_files().map(|path| (path.to_owned(), file(path))).collect();
        Ruling { rules: rules.in_force(), files }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tcp::Tcp;
    use crate::stream::Takeover;

    /// What is decided about somebody.
    async fn may(gate: &Gate<Tcp>, role: Role, stream: &str, query: &str, address: &str) -> Result<Holder, Denied> {
        let stream = Name::new(stream).expect("a name");
        let (query, tc_url) = (query.to_owned().into(), String::new().into());
        let peer = SocketAddr::new(address.parse().expect("an address"), 5000);
        let ask = Ask { role, stream: &stream, query: &query, peer, agent: "", tc_url: &tc_url };
        gate.may(&ask).await.map(|right| right.holder)
    }

    fn gate(rules: Rules) -> Gate<Tcp> {
        Gate::new(Tcp, rules)
    }

    fn keys(key: &str) -> Access {
        Access { who: Who::Keys(Keys::parse([&key.to_owned().into()]).expect("a key")), ..Access::default() }
    }

    #[tokio::test]
    async fn without_rules_everybody_may_and_is_known_by_the_address() {
        let gate = gate(Rules::default());
        for (address, place) in [("127.0.0.1", "127.0.0.1"), ("::1", "127.0.0.1"), ("192.0.2.1", "192.0.2.1")] {
            let holder = Holder::From(place.parse().expect("an address"));
            assert_eq!(may(&gate, Role::Publish, "live/a", "key=x", address).await, Ok(holder));
            assert_eq!(may(&gate, Role::Play, "live/a", "", address).await, Ok(holder));
        }
    }

    #[tokio::test]
    async fn a_key_does_what_it_is_for_and_makes_its_owner_known() {
        let gate = gate(Rules::all(keys("pub"), keys("see"), Takeover::Refuse));
        let (vouched, wrong) = (Ok(Holder::Vouched), Err(Denied::WrongKey));
        for (role, query, decided) in [
            (Role::Publish, "key=pub", vouched),
            (Role::Publish, "key=see", wrong),
            (Role::Publish, "", Err(Denied::NoKey)),
            (Role::Play, "token=see", vouched),
            (Role::Play, "key=pub", wrong),
        ] {
            assert_eq!(may(&gate, role, "live/a", query, "192.0.2.1").await, decided, "{role:?} {query}");
        }
    }

    #[tokio::test]
    async fn address_and_key_have_to_agree_and_a_stream_without_a_rule_is_closed() {
        let here = Addresses { allow: vec![addresses::network("192.0.2.0/24").expect("a network")], deny: Vec::new() };
        let nobody = Access { who: Who::Nobody, ..Access::default() };
        let rule = Rule {
            streams: "live/*".parse().expect("a pattern"),
            publish: Access { from: here, ..keys("pub") },
            play: nobody,
            takeover: Takeover::Replace,
        };
        let gate = gate(Rules(vec![rule]));
        for (role, stream, query, address, decided) in [
            (Role::Publish, "live/a", "key=pub", "192.0.2.1", Ok(Holder::Vouched)),
            (Role::Publish, "live/a", "key=pub", "192.0.3.1", Err(Denied::Address)),
            (Role::Publish, "live/a", "key=x", "192.0.2.1", Err(Denied::WrongKey)),
            (Role::Play, "live/a", "key=pub", "192.0.2.1", Err(Denied::Nobody)),
            (Role::Publish, "other/a", "key=pub", "192.0.2.1", Err(Denied::NoRule)),
        ] {
            assert_eq!(may(&gate, role, stream, query, address).await, decided, "{role:?} {stream} {query} {address}");
        }
    }

    #[tokio::test]
    async fn other_rules_are_in_force_for_who_asks_next() {
        let gate = gate(Rules::all(keys("old"), Access::default(), Takeover::Refuse));
        gate.set(Rules::all(keys("new"), Access::default(), Takeover::Refuse));
        assert!(may(&gate, Role::Publish, "live/a", "key=new", "192.0.2.1").await.is_ok());
        assert!(may(&gate, Role::Publish, "live/a", "key=old", "192.0.2.1").await.is_err());
        let file = Access { who: Who::KeyFile("/nowhere/keys".into()), ..Access::default() };
        gate.set(Rules::all(file, Access::default(), Takeover::Refuse));
        let nobody = may(&gate, Role::Publish, "live/a", "key=new", "192.0.2.1").await;
        assert_eq!(nobody, Err(Denied::WrongKey), "a file that is not there has no keys");
    }

    #[tokio::test]
    async fn keys_in_a_file_are_for_its_streams_and_reload_does_not_wait() {
        let disk = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(disk.path(), "publish live/a pub\nplay live/* see").expect("written");
        let file = Access { who: Who::KeyFile(disk.path().to_owned()), ..Access::default() };
        let gate = gate(Rules::all(file.clone(), file, Takeover::Refuse));
        let publish = async |query| may(&gate, Role::Publish, "live/a", query, "192.0.2.1").await;
        assert_eq!(publish("key=pub").await, Ok(Holder::Vouched));
        assert_eq!(publish("key=see").await, Err(Denied::WrongKey));
        assert_eq!(may(&gate, Role::Play, "live/b", "key=see", "::1").await, Ok(Holder::Vouched));
        assert_eq!(may(&gate, Role::Publish, "live/b", "key=pub", "::1").await, Err(Denied::WrongKey));
        std::fs::write(disk.path(), "publish live/a other").expect("written");
        gate.reload().await;
        assert_eq!(publish("key=pub").await, Err(Denied::WrongKey));
        assert_eq!(publish("key=other").await, Ok(Holder::Vouched));
    }
}
