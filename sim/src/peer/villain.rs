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

/// A villain looks for something to do this often.
const IDLE: Duration = Duration::from_millis(5);
/// Of what it has heard a villain remembers this much.
const MEMORY: usize = 256 << 10;

/// One thing that a villain does, of many, one after the other. Then it reads until the peer closes.
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
    /// How, once it is over.
    pub ended: Option<End>,
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
    attacks: Vec<(String, Vec<Deed>, Shared<Encounter>)>,
    word: CancellationToken,
    /// What a server does with each of the connections to come.
    trap: Vec<Deed>,
    /// What it saw of them.
    sprung: Vec<Shared<Encounter>>,
}

/// A host full of villains who wait for orders.
#[derive(Clone)]
pub(crate) struct Villain {
    pub(crate) orders: Shared<Orders>,
}

impl Orders {
    /// Connects to a host, and does this.
    pub(crate) fn attack(&mut self, host: &str, deeds: Vec<Deed>) -> Shared<Encounter> {
        let seen = Shared::<Encounter>::default();
        self.attacks.push((host.to_owned(), deeds, seen.clone()));
        seen
    }

    /// Has a server do this with its connections from now on.
    pub(crate) fn trap(&mut self, deeds: Vec<Deed>) {
        (self.trap, self.sprung) = (deeds, Vec::new());
    }

    /// The connections since then.
    pub(crate) fn sprung(&self) -> Vec<Shared<Encounter>> {
        self.sprung.clone()
    }

    /// Ends the connections there are.
    pub(crate) fn dismiss(&mut self) {
        std::mem::take(&mut self.word).cancel();
    }

    fn spring(&mut self) -> (Vec<Deed>, Shared<Encounter>) {
        let seen = Shared::<Encounter>::default();
        self.sprung.push(seen.clone());
        (self.trap.clone(), seen)
    }
}

impl Villain {
    /// Makes connections.
    pub(crate) async fn attack(self) -> turmoil::Result {
        let mut meetings = JoinSet::new();
        loop {
            let attacks = std::mem::take(&mut self.orders.borrow_mut().attacks);
            for (host, deeds, seen) in attacks {
                let word = self.orders.borrow().word.clone();
                meetings.spawn_local(async move {
                    let network = Turmoil::default();
                    let (host, port) = host.split_once(':').unwrap_or((&host, "1935"));
                    let port = port.parse().expect("a port");
                    let found = network.lookup(host, port).await.ok().and_then(|found| found.first().copied());
                    let stream = match found {
                        Some(address) => network.connect(address).await.ok(),
                        None => None,
                    };
                    match stream {
                        Some(stream) => meet(stream, deeds, seen, word).await,
                        None => seen.borrow_mut().ended = Some(End::Refused),
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
            let (deeds, seen) = self.orders.borrow_mut().spring();
            let word = self.orders.borrow().word.clone();
            while meetings.try_join_next().is_some() {}
            meetings.spawn_local(meet(stream, deeds, seen, word));
        }
    }
}

/// One connection, to its end.
async fn meet(stream: Mss, deeds: Vec<Deed>, seen: Shared<Encounter>, word: CancellationToken) {
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
        for deed in &deeds {
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
        () = word.cancelled() => End::Left,
        end = reading => end,
        end = acting => end,
    };
    seen.borrow_mut().ended = Some(end);
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
