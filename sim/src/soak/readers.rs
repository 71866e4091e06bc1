//! Prefix and Isolation: what servers and players get, message by message.

use std::collections::BTreeMap;
use std::time::Duration;

use rtmp_relay::flv::Kind;
use rtmp_relay::stream::log::Limits;

use super::findings::Findings;
use super::law::Law;
use super::plan::{OBS, PHONE, Plan, RELAY};
use super::point::Point;
use super::reel::Reels;
use crate::peer::{Media, Session};
use crate::{ms, secs};

/// Two ways through the network of 30 ms and a tick each, and three ticks.
const WAY: Duration = ms(2 * (30 + 10) + 3 * 10);

/// All sessions of all readers, as far as they have been looked at.
#[derive(Debug, Default)]
pub(crate) struct Readers(BTreeMap<(&'static str, usize), Reader>);

/// One session of a server, or of a player.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Messages looked at.
    read: usize,
    header: Option<u8>,
    /// Metadata, video header and audio header that have come since the session began, or the encoder's did.
    given: [bool; 3],
    last: Option<(u8, usize)>,
    /// From the encoder's clock to this session's.
    offset: Option<u32>,
    /// The session's time at the key frame it went on with.
    start: u32,
    reached: [u32; 3],
    /// Frames that are missing between two that came.
    missing: u64,
    /// Where it left one encoder's session for the next.
    crossings: Vec<Crossing>,
}

/// From one encoder's session, after this frame, to another's, at that one.
#[derive(Debug, Clone, Copy)]
struct Crossing {
    from: (u8, usize),
    to: (u8, usize),
}

impl Crossing {
    /// Frames between the two that somebody got.
    fn missing(&self, reels: &Reels) -> usize {
        let reached = |session| reels.reel(session).and_then(|reel| reel.reached).map_or(0, |at| at + 1);
        let between: usize = (self.from.0 + 1..self.to.0).map(reached).sum();
        reached(self.from.0) - (self.from.1 + 1) + between + self.to.1
    }
}

impl Readers {
    /// Frames that are missing between the first and the last that a session got.
    pub(crate) fn missing(&self, host: &'static str, session: usize, reels: &Reels) -> u64 {
        self.0.get(&(host, session)).map_or(0, |reader| {
            let crossed: usize = reader.crossings.iter().map(|crossing| crossing.missing(reels)).sum();
            reader.missing + crossed as u64
        })
    }

    /// Looks at what is new. Only the last two sessions of a host can have anything.
    pub(crate) fn look(
        &mut self,
        host: &'static str,
        sessions: &[Session],
        plan: &Plan,
        reels: &mut Reels,
        found: &mut Findings,
    ) {
        for (number, session) in sessions.iter().enumerate().skip(sessions.len().saturating_sub(3)) {
            let reader = self.0.entry((host, number)).or_default();
            let named = plan.names(host);
            while let Some(media) = session.tape.get(reader.read) {
                reader.read += 1;
                let before = (found.broken.is_some(), reader.last);
                match media.is_preamble() {
                    true => reader.header(media, reels, found),
                    false => reader.frame(media, named, plan, reels, found),
                }
                if let Some((law, what)) = found.broken.take() {
                    let what = if before.0 { what } else { format!("{host}, connection {}: {what}", number + 1) };
                    found.broken = Some((law, what));
                    return;
                }
                if before.1.is_none()
                    && number > 0
                    && let Some((of, at)) = reader.last
                    && let Some(began) = session.began
                {
                    let sent = reels.reel(of).map_or(began, |reel| reel.frames[at].at);
                    if sent < began {
                        found.reached(Point::JoinsHeldGop);
                    } else if at > 0 {
                        found.reached(Point::WaitsForKey);
                    }
                }
                if let Some(at) = reader.last
                    && !media.is_preamble()
                    && !named
                {
                    on_time(host, session, media, at, plan, reels, found);
                }
            }
        }
    }

    /// Isolation: what was sent a while ago has come, to who is there and not named.
    pub(crate) fn nothing_is_kept_back(
        &self,
        now: Duration,
        host: &'static str,
        sessions: &[Session],
        plan: &Plan,
        reels: &Reels,
        found: &mut Findings,
    ) {
        let touched = |encoder| plan.touched(encoder, now.saturating_sub(secs(2)), now);
        if plan.names(host) || [OBS, PHONE, RELAY].into_iter().any(touched) {
            return;
        }
        let Some((number, session)) = sessions.iter().enumerate().next_back() else { return };
        let last = self.0.get(&(host, number)).and_then(|reader| reader.last);
        let (Some((of, at)), None) = (last, session.closed) else { return };
        let next = reels.reel(of).and_then(|reel| reel.frames.get(at + 1)).filter(|next| {
            let due = next.at.max(session.began.unwrap_or(session.opened) + ms(400)) + WAY;
            due < now
        });
        if let Some(next) = next {
            found.broken(Law::Isolation, format!("{host}: {next:?} was sent at {:?} and has not come", next.at));
        }
    }

    /// At the end it is known how far every encoder's session has come; who went on to the next must have had all of it.
    pub(crate) fn crossed(&self, plan: &Plan, reels: &Reels, found: &mut Findings) {
        for ((host, number), reader) in self.0.iter().filter(|((host, _), _)| !plan.names(host)) {
            for crossing in &reader.crossings {
                let missing = crossing.missing(reels);
                found.demand(Law::Isolation, missing == 0, || {
                    format!("{host}, connection {}: {missing} frames are missing in {crossing:?}", number + 1)
                });
            }
        }
    }
}

/// Isolation: who is not named gets nothing late.
fn on_time(
    host: &str,
    session: &Session,
    media: &Media,
    (of, at): (u8, usize),
    plan: &Plan,
    reels: &Reels,
    found: &mut Findings,
) {
    let Some(sent) = reels.reel(of).map(|reel| reel.frames[at].at) else { return };
    let joined = session.began.unwrap_or(session.opened) + ms(100);
    let excused = sent < joined || [OBS, PHONE].iter().any(|encoder| plan.touched(encoder, sent, media.at));
    let took = media.at - sent;
    found.demand(Law::Isolation, excused || took <= WAY, || format!("{host}: {media:?} was under way for {took:?}"));
}

impl Reader {
    fn header(&mut self, media: &Media, reels: &Reels, found: &mut Findings) {
        let Some(session) = reels.preamble(&media.payload, media.kind) else {
            return found.broken(Law::Prefix, format!("nobody has sent {media:?}"));
        };
        self.given[series(media.kind)] = true;
        if media.kind == Kind::Video {
            self.header = Some(session);
        }
        self.time(media, found);
    }

    fn time(&mut self, media: &Media, found: &mut Findings) {
        let reached = &mut self.reached[series(media.kind)];
        let step = media.time.wrapping_sub(*reached).cast_signed();
        let before = std::mem::replace(reached, media.time);
        found.demand(Law::Prefix, step >= 0, || format!("time goes back from {before} ms to {media:?}"));
    }

    fn frame(&mut self, media: &Media, named: bool, plan: &Plan, reels: &mut Reels, found: &mut Findings) {
        let Some((session, at)) = reels.find(media) else {
            return found.broken(Law::Prefix, format!("nobody has sent {media:?}"));
        };
        found.demand(Law::Prefix, self.header == Some(session), || {
            format!("{media:?} comes under the header of session {:?}", self.header)
        });
        let last = self.last.replace((session, at));
        let begins = match last {
            None => true,
            Some((of, before)) if of == session => {
                found.demand(Law::Prefix, at > before, || format!("{media:?} comes after frame {before}"));
                let missing = at.saturating_sub(before + 1);
                self.missing += missing as u64;
                // A small log cannot hold what an encoder's link kept back and let go at once, longer than a socket takes it.
                let late = |host: &&str| plan.touched(host, media.at.saturating_sub(secs(1)), media.at);
                let overrun = plan.log.bytes < Limits::default().bytes && [OBS, PHONE].iter().any(late);
                found.demand(Law::Isolation, missing == 0 || named || overrun, || {
                    format!("{missing} frames before {media:?}")
                });
                if missing > 0 {
                    let first = &reels.reel(session).expect("found there").frames[before + 1];
                    found.reached(if first.is_key() { Point::DropAtKey } else { Point::DropElsewhere });
                }
                missing > 0
            }
            Some((of, before)) => {
                found.demand(Law::Prefix, of < session, || format!("{media:?} comes after session {of}"));
                self.crossings.push(Crossing { from: (of, before), to: (session, at) });
                let fresh = self.given == [true; 3];
                found.demand(Law::Prefix, fresh, || format!("{media:?} comes without new headers: {:?}", self.given));
                found.demand(Law::Isolation, at == 0 || named, || format!("goes on with {media:?}, frame {at}"));
                found.reached(Point::Resumed);
                true
            }
        };
        if last.is_none() {
            let all = self.given == [true; 3];
            found.demand(Law::Prefix, all, || format!("{media:?} comes first, after headers {:?}", self.given));
        }
        self.time(media, found);
        let reel = reels.reel_mut(session).expect("found there");
        reel.reached = reel.reached.max(Some(at));
        let original = reel.frames[at].time;
        let follows = last.is_some_and(|(of, _)| of == session);
        if begins {
            found.demand(Law::Prefix, media.is_key(), || format!("it goes on with {media:?}"));
            if last.is_some_and(|(of, _)| of != session) || last.is_none() {
                self.offset = None;
            }
            self.start = media.time;
            self.given = [false; 3];
        }
        let offset = *self.offset.get_or_insert(media.time.wrapping_sub(original));
        let due = original.wrapping_add(offset);
        // Audio that is older than the key frame it follows is stamped with the key frame's time.
        let early = due.wrapping_sub(self.start).cast_signed() < 0;
        let expected = if early { self.start } else { due };
        found.demand(Law::Prefix, media.time == expected, || format!("{media:?} should be at {expected} ms"));
        if follows && plan.picture.clock != 0 {
            let before = reel.frames[at.saturating_sub(1)].time;
            if before > original && before - original > 1 << 31 {
                found.reached(Point::ClockWraps);
            }
            if before < 1 << 31 && original >= 1 << 31 && original - before < 1 << 20 {
                found.reached(Point::ClockTurnsNegative);
            }
        }
    }
}

fn series(kind: Kind) -> usize {
    match kind {
        Kind::Data => 0,
        Kind::Video => 1,
        Kind::Audio => 2,
    }
}

/// Isolation: a session of somebody who is not named ends only with its stream.
pub(crate) fn sessions_end_for_a_reason(host: &str, sessions: &[Session], reasons: &[Duration], found: &mut Findings) {
    let [.., before, after] = sessions else { return };
    let reason = reasons.iter().any(|at| *at + secs(1) >= before.opened && *at <= after.opened + ms(100));
    found.demand(Law::Isolation, reason, || format!("{host}: a new connection while the stream goes on"));
}
