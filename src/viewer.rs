//! A viewer: it is sent a stream over HTTP, as an FLV file that goes on for as long as the stream does.
//!
//! It is a reader as a player is: the same rules let it in, it begins at the newest key frame, and it is moved on only when the log has
//! lost what it was at. Browsers play such files with a little help.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::info;

use crate::causes;
use crate::film::Film;
use crate::gate::{Ask, Denied, Gate};
use crate::inbound::visitors::{Pass, Seat};
use crate::inbound::{Short, Visitors};
use crate::journal::{Code, Event, Journal};
use crate::limits::{FILL_BYTES, RECORDING_TIME, STALL, VIEWERS};
use crate::net::Network;
use crate::net::connection::Error;
use crate::rtmp::Secret;
use crate::rtmp::server::Role;
use crate::rtmp::session::Phase;
use crate::stream::cursor::Read;
use crate::stream::{Cursor, Directory, Join, Name};

/// A viewer starts with the newest GOP held, however old, and is moved on only when the log has lost what it was at.
const JOIN: Join = Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX };

/// Where viewers come in.
#[derive(Debug)]
pub struct Door<N> {
    directory: Arc<Directory>,
    visitors: Arc<Visitors>,
    gate: Arc<Gate<N>>,
    journal: Journal,
    places: Arc<Semaphore>,
}

/// What somebody wants to see.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The stream.
    pub stream: &'a Name,
    /// The query of the request, where keys are.
    pub query: &'a Secret,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// What it calls itself.
    pub agent: &'a str,
    /// Whether it has shown that it may see everything, so that nobody is asked.
    pub vouched: bool,
}

/// Why somebody sees nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nobody publishes it.
    #[error("there is no such stream now")]
    NotThere,
    /// So many are here already.
    #[error("there are too many viewers or visitors already")]
    Full,
    /// The gate says no.
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// Somebody who is sent a stream. Dropped, it has gone.
#[derive(Debug)]
pub struct Viewer {
    reader: Reader,
    seat: Seat,
    pass: Option<Pass>,
    journal: Journal,
    /// What the journal was told when it came.
    came: Event,
    sent: u64,
    /// Since when it is busy with the last bytes it was given; none if it waits for more.
    busy: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Reader {
    cursor: Cursor,
    film: Option<Film>,
    waker: Option<Waker>,
}

impl<N: Network> Door<N> {
    /// A door to these streams.
    pub fn new(directory: Arc<Directory>, visitors: Arc<Visitors>, gate: Arc<Gate<N>>, journal: Journal) -> Self {
        Door { directory, visitors, gate, journal, places: Arc::new(Semaphore::new(VIEWERS)) }
    }

    /// Lets somebody in who may see what it wants to.
    pub async fn admit(&self, wish: Wish<'_>) -> Result<Viewer, Refused> {
        let Wish { stream, query, peer, agent, vouched } = wish;
        let place = self.places.clone().try_acquire_owned().map_err(|_| Refused::Full)?;
        let pass = self.visitors.admit(peer, false).ok_or(Refused::Full)?;
        if !vouched {
            let tc_url = Secret::from(String::new());
            let ask = Ask { role: Role::Play, stream, query, peer, agent, tc_url: &tc_url };
            if let Err(reason) = self.gate.may(&ask).await {
                pass.leave(Err(Short::Denied { role: Role::Play, reason }));
                return Err(reason.into());
            }
        }
        // Who may not see it is not told whether it is there.
        let Some((_, log)) = self.directory.live().into_iter().find(|(name, _)| name == stream) else {
            pass.leave(Ok(()));
            return Err(Refused::NotThere);
        };
        let seat = pass.sit(Role::Play, stream, agent);
        info!(%stream, %peer, "viewing started");
        let came = Event::new(Code::PlayerStarted).stream(stream).peer(peer.ip());
        self.journal.append(came.clone());
        let (reader, journal) =
            (Reader { cursor: Cursor::new(log, JOIN), film: None, waker: None }, self.journal.clone());
        Ok(Viewer { reader, seat, pass: Some(pass), journal, came, sent: 0, busy: None, _place: place })
    }
}

impl Viewer {
    /// The next bytes of the file; none once it is over. Cancel safe.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.busy = None;
        let Viewer { reader, seat, .. } = self;
        let bytes = tokio::select! {
            biased;
            () = seat.kicked() => None,
            bytes = reader.next() => bytes,
        }?;
        self.sent += bytes.len() as u64;
        self.seat.count(self.sent);
        self.busy = Some(Instant::now());
        Some(bytes)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let stalled = self.busy.is_some_and(|since| since.elapsed() >= STALL);
        let why = stalled.then_some(Error::TimedOut { phase: Phase::Media });
        let text = why.as_ref().map(|error| causes::in_one_line(error));
        self.journal.append(Event { code: Code::PlayerEnded, text, ..self.came.clone() });
        if let Some(pass) = self.pass.take() {
            pass.leave(why.map_or(Ok(()), |error| Err(error.into())));
        }
    }
}

impl Reader {
    async fn next(&mut self) -> Option<Vec<u8>> {
        poll_fn(|context| {
            // To be called before it looks, so that nothing comes unheard in between.
            self.hear(context.waker());
            let (bytes, read) = self.read();
            match read {
                _ if !bytes.is_empty() => Poll::Ready(Some(bytes)),
                Read::More | Read::Level => Poll::Pending,
                Read::Ended => Poll::Ready(None),
            }
        })
        .await
    }

    fn hear(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
            self.cursor.wake(waker.clone());
        }
    }

    fn read(&mut self) -> (Vec<u8>, Read) {
        let Reader { cursor, film, .. } = self;
        let mut bytes = Vec::new();
        if film.as_ref().is_some_and(|film| film.duration() >= RECORDING_TIME) {
            return (bytes, Read::Ended);
        }
        let read = cursor.read(|frame, _jumped| {
            film.get_or_insert_with(|| Film::begin(frame, &mut bytes)).add(frame, &mut bytes);
            bytes.len() < FILL_BYTES
        });
        (bytes, read)
    }
}
