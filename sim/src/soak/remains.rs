//! Memory of streams, and Leaks: what a relay holds, and what is left of it in the end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use rtmp_relay::destination::{State, Status};
use rtmp_relay::limits::LOG_TIME;
use rtmp_relay::stream::{Directory, Frame, Log};

use super::findings::Findings;
use super::gauge::Readings;
use super::law::Law;
use super::plan::{OBS, PHONE, Plan};
use super::point::Point;
use super::reel::{PREAMBLE, Reels};
use crate::secs;

/// Every log there has been.
#[derive(Debug, Default)]
pub(crate) struct Remains(Vec<Weak<Log>>);

impl Remains {
    /// Looks at every stream's log.
    pub(crate) fn look(
        &mut self,
        now: Duration,
        directory: &Directory,
        readings: &Readings,
        plan: &Plan,
        reels: &Reels,
        found: &mut Findings,
    ) {
        for (name, log) in directory.live() {
            if !self.0.iter().any(|known| known.as_ptr() == Arc::as_ptr(&log)) {
                self.0.push(Arc::downgrade(&log));
            }
            let held = log.bytes();
            let largest = plan.picture.key[0] + size_of::<Frame>() + 100 + PREAMBLE;
            found.demand(Law::Memory, held <= plan.log.bytes.max(largest), || {
                format!("the log of {name} holds {held} bytes of {}", plan.log.bytes)
            });
            // Not at every look, since it takes a while.
            let counted = if now.as_millis().is_multiple_of(500) { log.recount() } else { held };
            found.demand(Law::Memory, held == counted, || format!("the log of {name} says {held} and holds {counted}"));
            // What was sent before a link was held comes later than it was sent.
            let late = match [OBS, PHONE].iter().any(|host| plan.touched(host, now.saturating_sub(LOG_TIME), now)) {
                true => secs(20),
                false => secs(1),
            };
            let (frames, bytes) = reels.sent_since(now.saturating_sub(LOG_TIME + late));
            let most = bytes + frames * size_of::<Frame>();
            found.demand(Law::Memory, held <= most, || {
                format!("the log of {name} holds {held} bytes, and {most} were sent in its time")
            });
            let (readers, connections) = (log.readers(), readings.open.len());
            found.demand(Law::Leaks, readers <= connections, || {
                format!("the log of {name} calls {readers} readers, and there are {connections} connections")
            });
            if held + largest > plan.log.bytes {
                found.reached(Point::LogFull);
            }
        }
    }

    /// What is left, in words; none if nothing is.
    pub(crate) fn left(&self, readings: &Readings, directory: &Directory, statuses: &[Status]) -> Option<String> {
        let logs = self.0.iter().filter(|log| log.strong_count() > 0).count();
        let live = directory.live().len();
        let rows = statuses
            .iter()
            .filter(|s| s.state != State::Waiting || s.stream.is_some() || s.delivered.unsent > 0)
            .count();
        let (tasks, connections) = (readings.tasks, readings.open.len());
        (tasks + connections + logs + live + rows > 0).then(|| {
            format!("{tasks} tasks, {connections} connections, {logs} logs, {live} streams, {rows} destinations that do not wait")
        })
    }
}
