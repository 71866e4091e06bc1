//! Whether a stream is one for a destination: how many bits a second it has, and what the destination's platform takes.

use std::collections::BTreeSet;

use tokio::time::{Instant, interval, sleep};
use tracing::warn;

use super::bitrate::{BLOCKED, NOTED};
use super::{Destination, Error, Meter, Settings};
use crate::guard::{self, Advice, Guard};
use crate::net::Network;
use crate::net::watch::TICK;
use crate::platforms::{Matter, Platform};
use crate::stream::Log;

use super::session::LOOK;

/// What is looked at once a second.
#[derive(Debug)]
pub(super) struct Fitness {
    settings: Settings,
    meter: Meter,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Too much of it, for now.
    pub(super) trouble: Option<Error>,
    /// What the platform does not like.
    pub(super) advice: Vec<Advice>,
}

impl Fitness {
    pub(super) fn new(settings: Settings) -> Self {
        Fitness { settings, meter: Meter::default() }
    }

    /// Looks at a stream; an error if it is not to be sent there as it is.
    pub(super) fn look(&mut self, log: &Log) -> Result<Verdict, Error> {
        self.meter.look(log.appended());
        let limit = self.settings.max_bitrate.unwrap_or(u64::MAX);
        if let Some(bitrate) = self.meter.over(BLOCKED).filter(|rate| *rate > limit) {
            return Err(Error::TooMuch { bitrate, limit });
        }
        let too_much = self.meter.over(NOTED).filter(|rate| *rate > limit);
        let advice = self.advice(log)?;
        Ok(Verdict { trouble: too_much.map(|bitrate| Error::TooMuch { bitrate, limit }), advice })
    }

    /// What the platform does not like; an error if it is known to refuse it.
    fn advice(&self, log: &Log) -> Result<Vec<Advice>, Error> {
        let Some(platform) = self.platform() else { return Ok(Vec::new()) };
        let advice = guard::advise(platform, &log.reading());
        let refused = self.settings.guard == Guard::Refuse && advice.iter().any(|advice| advice.refused);
        if refused { Err(Error::NotTaken(advice)) } else { Ok(advice) }
    }

    fn platform(&self) -> Option<&'static Platform> {
        self.settings.platform.filter(|_| self.settings.guard != Guard::Ignore)
    }

    /// Waits until what cannot change any more can be told of a stream, or until it has had its time.
    async fn can_tell(&self, log: &Log) {
        let end = Instant::now() + guard::SETTLED;
        while self.platform().is_some() && !guard::can_tell(&log.reading()) && Instant::now() < end {
            sleep(LOOK).await;
        }
    }

    /// Waits until a stream that was not one for this destination has become one.
    pub(super) async fn regained(&mut self, log: &Log) {
        let limit = self.settings.max_bitrate.unwrap_or(u64::MAX);
        let mut tick = interval(TICK);
        loop {
            tick.tick().await;
            self.meter.look(log.appended());
            let within = self.meter.over(NOTED).is_none_or(|rate| rate <= limit);
            let watched = self.meter.over(NOTED).is_some() || self.settings.max_bitrate.is_none();
            if watched && within && self.advice(log).is_ok() {
                return;
            }
        }
    }
}

impl<N: Network> Destination<N> {
    /// What the platform is known to refuse is not even tried.
    pub(super) async fn judge(&self) -> Result<(), Error> {
        let fitness = Fitness::new(self.settings);
        fitness.can_tell(&self.log).await;
        fitness.advice(&self.log).map(|advice| self.show(advice))
    }

    /// Shows what the platform does not like. Each matter is said once in the log.
    pub(super) fn show(&self, advice: Vec<Advice>) {
        if self.row.look(|s| s.advice == advice) {
            return;
        }
        let known: BTreeSet<Matter> = self.row.look(|s| s.advice.iter().map(|advice| advice.matter).collect());
        for new in advice.iter().filter(|advice| !known.contains(&advice.matter)) {
            warn!(destination = %self.row.name(), matter = %new.matter, "{}", new.text);
        }
        self.row.update(|s| s.advice = advice);
    }
}
