//! PublisherNeverWaits and Takeover: what encoders meet with.

use std::net::IpAddr;
use std::time::Duration;

use rtmp_relay::limits::TAKEOVER;

use super::encoder::Diary;
use super::findings::Findings;
use super::gauge::Readings;
use super::law::Law;
use super::plan::{OBS, Plan, RELAY};
use super::point::Point;
use crate::peer::Shared;
use crate::{ms, secs};

/// No write of an encoder's takes longer.
const WAIT: Duration = ms(50);
/// Who may take a place has it this soon.
const LET_IN: Duration = secs(1);

/// One encoder, and how much of its diary has been looked at.
pub(crate) struct Publisher {
    pub(crate) host: &'static str,
    pub(crate) diary: Shared<Diary>,
    judged: usize,
    /// When another publisher was last heard, as far as the first attempt that is not judged yet is concerned.
    heard: Option<Duration>,
    /// Another one was on air when it began, and means to go on.
    rival: bool,
    /// When the first attempt that is not judged yet was first looked at, the others had been silent for that long.
    silent: Option<bool>,
}

impl Publisher {
    pub(crate) fn new(host: &'static str, diary: Shared<Diary>) -> Self {
        Publisher { host, diary, judged: 0, heard: None, rival: false, silent: None }
    }

    /// PublisherNeverWaits.
    pub(crate) fn waits(&self, now: Duration, plan: &Plan, found: &mut Findings) {
        let Some(since) = self.diary.borrow().writing else { return };
        let waits = now.saturating_sub(since);
        let excused = [self.host, RELAY].iter().any(|host| plan.touched(host, since, now));
        found.demand(Law::PublisherNeverWaits, waits <= WAIT || excused, || {
            format!("a write of {} is held up for {waits:?}", self.host)
        });
    }

    /// Whether it is on air and means to go on for a while, over a link that is well.
    pub(crate) fn is_well(&self, now: Duration, plan: &Plan) -> bool {
        let shifts = if self.host == OBS { &plan.obs } else { &plan.phone };
        let goes_on = shifts.iter().any(|shift| shift.from <= now && now + secs(2) < shift.until);
        let on_air = self.diary.borrow().on_air.is_some_and(|since| since + secs(1) < now);
        on_air && goes_on && ![self.host, RELAY].iter().any(|host| plan.touched(host, now.saturating_sub(secs(5)), now))
    }

    /// Takeover. `publishers` are the addresses of all encoders, `rival` whether another one of them is well.
    pub(crate) fn let_in(
        &mut self,
        now: Duration,
        plan: &Plan,
        readings: &Readings,
        publishers: &[IpAddr],
        rival: bool,
        found: &mut Findings,
    ) {
        let diary = self.diary.borrow();
        let Some(attempt) = diary.attempts.get(self.judged) else { return };
        // What the relay has heard of other publisher connections, and of this encoder's own earlier ones.
        let heard = readings
            .open
            .values()
            .filter(|line| !line.outbound && publishers.contains(&line.peer) && line.opened < attempt.at)
            .map(|line| line.last_read)
            .max();
        let first = self.silent.is_none();
        self.heard = self.heard.max(heard);
        self.rival = if first { rival } else { self.rival };
        let well = ![self.host, RELAY].iter().any(|host| plan.touched(host, attempt.at, now));
        let silent = *self.silent.get_or_insert(heard.is_none_or(|heard| heard + TAKEOVER < attempt.at));
        match attempt.decided {
            None => {
                let late = now > attempt.at + LET_IN;
                found.demand(Law::Takeover, !well || !late || !silent, || {
                    format!("{} waits for an answer since {:?}", self.host, attempt.at)
                });
            }
            Some((at, granted)) => {
                let (heard, rival) = (self.heard.take(), self.rival);
                self.judged += 1;
                self.silent = None;
                if granted {
                    found.demand(Law::Takeover, !rival, || {
                        format!("{} is let in at {at:?} though another was well, and heard at {heard:?}", self.host)
                    });
                    if heard.is_some_and(|heard| heard + TAKEOVER <= at) {
                        found.reached(Point::Takeover);
                    }
                } else {
                    if well && heard.is_some() {
                        found.reached(Point::Busy);
                    }
                    found.demand(Law::Takeover, !well || !silent, || {
                        format!("{} is refused at {at:?} though nobody was heard since {heard:?}", self.host)
                    });
                }
            }
        }
    }
}
