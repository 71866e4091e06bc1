//! What is known of a destination, for whoever shows it.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::Class;
use crate::feed::Stats;
use crate::guard::Advice;
use crate::stream::Name;

/// Where a destination's life stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Switched off.
    Disabled,
    /// No stream to send.
    Waiting,
    /// On the way to `NetStream.Publish.Start`.
    Connecting,
    /// Accepted, and bytes have left in the last seconds.
    Live,
    /// Accepted, but no bytes leave: the stream pauses, or the server takes none.
    Degraded,
    /// Lost, and about to be tried again.
    BackingOff,
    /// Refused, and tried again more slowly.
    Rejected,
    /// Not to be tried as things are.
    Blocked,
    /// Saying goodbye.
    Draining,
}

/// One destination and one stream.
#[derive(Debug, Clone)]
pub struct Status {
    /// The destination's name. Its URL holds the key and is nowhere here.
    pub name: String,
    /// The stream it has, if any.
    pub stream: Option<Name>,
    /// Where it stands …
    pub state: State,
    /// … and since when.
    pub since: Instant,
    /// Why it stands there, where that needs a word.
    pub reason: Option<String>,
    /// What the stream has that the server did not announce: codecs, multitrack. It is sent all the same, and many servers that
    /// announce nothing take it; where they do not, this is why nobody sees a picture. Plain H.264 and AAC are never here.
    pub unannounced: Vec<String>,
    /// What the destination's platform does not like about the stream.
    pub advice: Vec<Advice>,
    /// It is sent to the backup server, or was last tried there.
    pub backup: bool,
    /// The last error in words. It stays after a recovery …
    pub last_error: Option<String>,
    /// … and so does its class.
    pub class: Option<Class>,
    /// When the next attempt is due, if it waits for one.
    pub retry_at: Option<Instant>,
    /// Connections tried.
    pub attempts: u64,
    /// Sessions after the first.
    pub reconnects: u64,
    /// Bytes sent, over all sessions.
    pub bytes: u64,
    /// Messages sent, over all sessions.
    pub messages: u64,
    /// Frames left out because the server was too slow.
    pub dropped: u64,
    /// Media time not sent yet.
    pub lag: Duration,
    /// Bytes on their way to the server that it has not taken yet. The rest waits in the stream's log, for everybody.
    pub unsent: usize,
    /// Bits a second, over the last second.
    pub bitrate: u64,
    /// Time spent connected, in sessions that have ended.
    connected_before: Duration,
    connected_since: Option<Instant>,
    sessions: u64,
    /// What the present session has already added to the totals, and when.
    counted: (u64, Stats, Instant),
}

impl Status {
    pub(super) fn new(name: &str) -> Self {
        let now = Instant::now();
        Status {
            name: name.to_owned(),
            stream: None,
            state: State::Waiting,
            since: now,
            reason: None,
            unannounced: Vec::new(),
            advice: Vec::new(),
            backup: false,
            last_error: None,
            class: None,
            retry_at: None,
            attempts: 0,
            reconnects: 0,
            bytes: 0,
            messages: 0,
            dropped: 0,
            lag: Duration::ZERO,
            unsent: 0,
            bitrate: 0,
            connected_before: Duration::ZERO,
            connected_since: None,
            sessions: 0,
            counted: (0, Stats::default(), now),
        }
    }

    /// What people can do about the last error.
    pub fn remedy(&self) -> Option<&'static str> {
        self.class.map(Class::advice)
    }

    /// Time spent connected so far.
    pub fn connected(&self) -> Duration {
        self.connected_before + self.connected_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The stream has left.
    pub(super) fn leave(&mut self) {
        self.stream = None;
        self.advice.clear();
        self.unannounced.clear();
        self.backup = false;
    }

    /// Changes the state; staying in one keeps its beginning.
    pub(super) fn enter(&mut self, state: State, reason: Option<String>) {
        if self.state != state {
            self.state = state;
            self.since = Instant::now();
        }
        self.reason = reason;
        self.retry_at = None;
    }

    /// The attempt or the session has failed; the next attempt is due after `wait`, or when the stream has changed.
    pub(super) fn failed(&mut self, class: Class, reason: String, wait: Option<Duration>) {
        self.class = Some(class);
        self.last_error = Some(reason.clone());
        self.enter(class.state(), Some(reason));
        self.retry_at = wait.map(|wait| Instant::now() + wait);
    }

    /// The server has accepted the stream.
    pub(super) fn session_began(&mut self) {
        let now = Instant::now();
        self.enter(State::Live, None);
        self.reconnects += u64::from(self.sessions > 0);
        self.sessions += 1;
        self.connected_since = Some(now);
        self.counted = (0, Stats::default(), now);
    }

    /// The session is over.
    pub(super) fn session_ended(&mut self) {
        self.connected_before = self.connected();
        self.connected_since = None;
        self.bitrate = 0;
        self.unsent = 0;
        self.lag = Duration::ZERO;
    }

    /// Adds what the session has done since it was last counted.
    pub(super) fn count(&mut self, sent: u64, stats: Stats) {
        let (bytes, counted, then) = self.counted;
        let elapsed = then.elapsed().as_secs_f64();
        if elapsed > 0.1 {
            self.bitrate = ((sent - bytes) as f64 * 8.0 / elapsed) as u64;
        }
        self.bytes += sent - bytes;
        self.messages += (stats.messages - counted.messages) * if mutant!(CountsTwice) { 2 } else { 1 };
        self.dropped += if mutant!(ForgetsDrops) { 0 } else { stats.skipped - counted.skipped };
        self.lag = stats.lag;
        self.counted = (sent, stats, Instant::now());
    }
}

impl State {
    /// All of them.
    pub const ALL: [State; 9] = [
        State::Disabled,
        State::Waiting,
        State::Connecting,
        State::Live,
        State::Degraded,
        State::BackingOff,
        State::Rejected,
        State::Blocked,
        State::Draining,
    ];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Disabled => "disabled",
            State::Waiting => "waiting",
            State::Connecting => "connecting",
            State::Live => "live",
            State::Degraded => "degraded",
            State::BackingOff => "backing_off",
            State::Rejected => "rejected",
            State::Blocked => "blocked",
            State::Draining => "draining",
        })
    }
}
