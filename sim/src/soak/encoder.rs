//! A soak's encoder: it publishes in shifts, tries again when it is refused or lost, and stops when the world ends.

use std::future::pending;
use std::time::Duration;

use rtmp_relay::rtmp::chunk;
use rtmp_relay::rtmp::chunk::writer::{self, Header, Lane};
use rtmp_relay::rtmp::client::Event;
use rtmp_relay::rtmp::server::Role;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::info;

use super::reel::Reels;
use crate::peer::{Client, Media, Picture, Place, Result, Shared, Show, stop};
use crate::trace::Trace;

/// A connection whose writes are stuck for this long is left.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a failure the next attempt comes this much later.
const REST: Duration = Duration::from_millis(500);

/// How a shift ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// With goodbyes.
    Stop,
    /// Without a word, in the middle of a GOP.
    Vanish,
    /// Only when the world ends.
    Never,
}

/// From when to when it publishes, and how it leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shift {
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    pub(crate) leaving: Leaving,
}

/// What it has done and what it is at.
#[derive(Debug, Default)]
pub(crate) struct Diary {
    /// Attempts to publish: when they began, when they were decided and whether it was let in.
    pub(crate) attempts: Vec<Attempt>,
    /// Since when a write is under way.
    pub(crate) writing: Option<Duration>,
    /// Whether it publishes, and since when.
    pub(crate) on_air: Option<Duration>,
}

/// One attempt to publish.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) at: Duration,
    pub(crate) decided: Option<(Duration, bool)>,
}

/// An encoder.
#[derive(Clone)]
pub(crate) struct Encoder {
    pub(crate) place: &'static str,
    pub(crate) shifts: Vec<Shift>,
    pub(crate) picture: Picture,
    pub(crate) reels: Shared<Reels>,
    pub(crate) diary: Shared<Diary>,
    /// The world ends: it stops.
    pub(crate) over: Shared<bool>,
    pub(crate) trace: Trace,
}

impl Encoder {
    pub(crate) async fn run(self) -> turmoil::Result {
        for shift in &self.shifts {
            sleep(shift.from.saturating_sub(self.trace.now())).await;
            while self.goes_on(shift) {
                if let Err(error) = self.publish(shift).await {
                    info!("the publication has ended: {error}");
                    sleep(REST).await;
                }
                self.diary.borrow_mut().on_air = None;
                self.diary.borrow_mut().writing = None;
            }
        }
        pending().await
    }

    fn goes_on(&self, shift: &Shift) -> bool {
        self.trace.now() < shift.until && !*self.over.borrow()
    }

    async fn open(&self) -> Result<(Client, u32)> {
        let attempt = self.diary.borrow().attempts.len();
        self.diary.borrow_mut().attempts.push(Attempt { at: self.trace.now(), decided: None });
        let opened = Client::open(Place(self.place), Role::Publish).await;
        let decided = Some((self.trace.now(), opened.is_ok()));
        self.diary.borrow_mut().attempts[attempt].decided = decided;
        opened
    }

    async fn publish(&self, shift: &Shift) -> Result<()> {
        let (mut client, stream) = self.open().await?;
        let start = Instant::now();
        let session = self.reels.borrow_mut().begin();
        info!("publishes session {session}");
        self.diary.borrow_mut().on_air = Some(self.trace.now());
        let clock = self.picture.clock;
        for (time, kind, payload) in Show::new(session, self.picture) {
            let due = start + Duration::from_millis(time.wrapping_sub(clock).into());
            while Instant::now() < due {
                tokio::select! {
                    biased;
                    read = client.read() => { read?; client.react().await?; }
                    () = sleep_until(due) => {}
                }
                if let Some(Event::Ended(status) | Event::Refused(_, status)) = client.events.pop_front() {
                    Err(status.code)?;
                }
            }
            if !self.goes_on(shift) {
                break;
            }
            self.reels.borrow_mut().add(session, Media::new(self.trace.now(), kind, time, &payload));
            let header = Header::Start { time, stream };
            let message = writer::message(Lane::of(kind), header, &payload, chunk::DEFAULT_SIZE);
            self.diary.borrow_mut().writing = Some(self.trace.now());
            timeout(PATIENCE, client.stream.write_all(&message)).await.map_err(|_| "its write is stuck")??;
            self.diary.borrow_mut().writing = None;
        }
        match shift.leaving {
            Leaving::Vanish if !*self.over.borrow() => info!("vanishes"),
            Leaving::Vanish | Leaving::Stop | Leaving::Never => {
                info!("stops");
                self.reels.borrow_mut().stop(session);
                stop(client).await;
            }
        }
        Ok(())
    }
}
