//! A villain: a client or a server that says what its script has, in the pieces and at the times it has, and remembers what it
//! got for it.

use std::cell::Cell;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use rtmp_relay::config;
use rtmp_relay::net::{Listener, Network};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::net::{Mss, Turmoil};
use crate::trace::Trace;

/// A villain looks for something to do this often.
const IDLE: Duration = Duration::from_millis(5);
/// Last words have this long to arrive before the connection goes.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// Of what it has heard a villain remembers this much.
const MEMORY: usize = 256 << 10;

/// One thing that a villain does.
#[derive(Debug, Clone)]
pub enum Deed {
    /// Sends this.
    Say(Bytes),
    /// Sends this so many times, each time followed by a pause.
    Again(Bytes, usize, Duration),
    /// Sends this in pieces of so many bytes, each followed by a pause.
    Drip(Bytes, usize, Duration),
    /// Waits until this has been heard, after what was waited for before.
    Hear(Bytes),
    /// Does nothing for so long.
    Wait(Duration),
    /// Reads nothing from now on.
    Deaf,
    /// Closes. With bytes of the peer's unread, this is a reset.
    Close,
    /// Closes its own direction only.
    Shut,
}

/// What a villain does, one after the other. Then it reads until the peer closes.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Its deeds.
    pub deeds: Vec<Deed>,
    /// What it says when the world dismisses it; else it goes without a word.
    pub last_words: Bytes,
}

/// How a villain's connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer closed it.
    Closed,
    /// The peer reset it.
    Reset,
    /// It left by itself.
    Left,
    /// There was none: nobody listened.
    Refused,
}

/// One connection of a villain's, as it saw it.
#[derive(Debug, Default)]
pub struct Encounter {
    /// Simulated time.
    pub opened: Duration,
    /// Simulated time, and how, once it is over.
    pub ended: Option<(Duration, End)>,
    /// Bytes heard in all.
    pub bytes: usize,
    /// The last of them.
    pub heard: Vec<u8>,
    /// Whether every deed is done.
    pub done: bool,
    /// Where in `heard` to look for what is waited for.
    mark: usize,
}

impl Encounter {
    /// Whether these bytes were heard.
    pub fn has_heard(&self, bytes: &[u8]) -> bool {
        find(&self.heard, bytes).is_some()
    }
}

fn find(heard: &[u8], bytes: &[u8]) -> Option<usize> {
    heard.windows(bytes.len().max(1)).position(|window| window == bytes)
}

/// Scripts for connections that a villain is still to make, and whether those it has are to end.
#[derive(Default)]
pub(crate) struct Orders {
    attacks: Vec<(String, Script, Shared<Encounter>)>,
    word: CancellationToken,
    /// What a server does with the connections to come, the last one for all after it.
    traps: Vec<Script>,
    /// What it saw of them.
    sprung: Vec<Shared<Encounter>>,
}

/// A host full of villains who wait for orders.
#[derive(Clone)]
pub(crate) struct Villain {
    pub(crate) trace: Trace,
    pub(crate) orders: Shared<Orders>,
}

impl Orders {
    /// Connects to a host, and does as the script says.
    pub(crate) fn attack(&mut self, host: &str, script: Script) -> Shared<Encounter> {
        let seen = Shared::<Encounter>::default();
        self.attacks.push((host.to_owned(), script, seen.clone()));
        seen
    }

    /// Has a server do this with its connections from now on.
    pub(crate) fn trap(&mut self, scripts: Vec<Script>) {
        (self.traps, self.sprung) = (scripts, Vec::new());
    }

    /// The connections since then.
    pub(crate) fn sprung(&self) -> Vec<Shared<Encounter>> {
        self.sprung.clone()
    }

    /// Ends the connections there are.
    pub(crate) fn dismiss(&mut self) {
        std::mem::take(&mut self.word).cancel();
    }

    fn next_trap(&mut self) -> (Script, Shared<Encounter>) {
        let script = self.traps.get(self.sprung.len()).or(self.traps.last()).cloned().unwrap_or_default();
        let seen = Shared::<Encounter>::default();
        self.sprung.push(seen.clone());
        (script, seen)
    }
}

impl Villain {
    /// Makes connections.
    pub(crate) async fn attack(self) -> turmoil::Result {
        let mut meetings = JoinSet::new();
        loop {
            let attacks = std::mem::take(&mut self.orders.borrow_mut().attacks);
            for (host, script, seen) in attacks {
                let (trace, word) = (self.trace.clone(), self.orders.borrow().word.clone());
                meetings.spawn_local(async move {
                    let network = Turmoil::default();
                    seen.borrow_mut().opened = trace.now();
                    let found = network.lookup(&host, 1935).await.ok().and_then(|found| found.first().copied());
                    let stream = match found {
                        Some(address) => network.connect(address).await.ok(),
                        None => None,
                    };
                    match stream {
                        Some(stream) => meet(stream, script, seen, trace, word).await,
                        None => seen.borrow_mut().ended = Some((trace.now(), End::Refused)),
                    }
                });
            }
            while meetings.try_join_next().is_some() {}
            sleep(IDLE).await;
        }
    }

    /// Takes connections.
    pub(crate) async fn ambush(self) -> turmoil::Result {
        let mut listener = Turmoil::default().listen(config::listen(":1935")?).await?;
        let mut meetings = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            let (script, seen) = self.orders.borrow_mut().next_trap();
            let (trace, word) = (self.trace.clone(), self.orders.borrow().word.clone());
            seen.borrow_mut().opened = trace.now();
            while meetings.try_join_next().is_some() {}
            meetings.spawn_local(meet(stream, script, seen, trace, word));
        }
    }
}

/// One connection, to its end.
async fn meet(stream: Mss, script: Script, seen: Shared<Encounter>, trace: Trace, word: CancellationToken) {
    let (mut from, mut to) = split(stream);
    let (deaf, news) = (Cell::new(false), Notify::new());
    let reading = async {
        let mut bytes = vec![0; 16 << 10];
        while !deaf.get() {
            let read = from.read(&mut bytes).await;
            if deaf.get() {
                break;
            }
            match read {
                Ok(0) => return End::Closed,
                Ok(read) => seen.borrow_mut().hear(&bytes[..read]),
                Err(_) => return End::Reset,
            }
            news.notify_one();
        }
        pending().await
    };
    let acting = async {
        for deed in &script.deeds {
            let done = match deed {
                Deed::Say(bytes) => to.write_all(bytes).await,
                Deed::Again(bytes, times, pause) => again(&mut to, bytes, *times, *pause).await,
                Deed::Drip(bytes, size, pause) => {
                    let mut dripped = Ok(());
                    for piece in bytes.chunks(*size) {
                        dripped = again(&mut to, piece, 1, *pause).await;
                        if dripped.is_err() {
                            break;
                        }
                    }
                    dripped
                }
                Deed::Hear(bytes) => {
                    while !seen.borrow_mut().finds(bytes) {
                        news.notified().await;
                    }
                    Ok(())
                }
                Deed::Wait(time) => {
                    sleep(*time).await;
                    Ok(())
                }
                Deed::Deaf => {
                    deaf.set(true);
                    Ok(())
                }
                Deed::Shut => to.shutdown().await,
                Deed::Close => {
                    seen.borrow_mut().done = true;
                    return End::Left;
                }
            };
            if done.is_err() {
                // Whoever reads sees why.
                return if deaf.get() { End::Reset } else { pending().await };
            }
        }
        seen.borrow_mut().done = true;
        pending().await
    };
    let end = tokio::select! {
        biased;
        () = word.cancelled() => None,
        end = reading => Some(end),
        end = acting => Some(end),
    };
    if end.is_none() && !script.last_words.is_empty() && to.write_all(&script.last_words).await.is_ok() {
        sleep(LAST_WORDS).await;
    }
    seen.borrow_mut().ended = Some((trace.now(), end.unwrap_or(End::Left)));
}

async fn again(
    to: &mut (impl AsyncWriteExt + Unpin),
    bytes: &[u8],
    times: usize,
    pause: Duration,
) -> std::io::Result<()> {
    for _ in 0..times {
        to.write_all(bytes).await?;
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
    Ok(())
}

impl Encounter {
    fn hear(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.heard.extend_from_slice(bytes);
        let over = self.heard.len().saturating_sub(MEMORY);
        self.heard.drain(..over);
        self.mark = self.mark.saturating_sub(over);
    }

    fn finds(&mut self, bytes: &[u8]) -> bool {
        let at = find(&self.heard[self.mark..], bytes);
        self.mark =
            at.map_or(self.heard.len().saturating_sub(bytes.len()).max(self.mark), |at| self.mark + at + bytes.len());
        at.is_some()
    }
}
