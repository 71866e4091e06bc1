//! Reels: what the encoders of a world have sent, by encoder session.

use std::time::Duration;

use bytes::Bytes;
use rtmp_relay::flv::Kind;

use crate::peer::Media;

/// What the preamble of one of these sessions costs a log, at most: three short messages.
pub(crate) const PREAMBLE: usize = 1_000;

/// All encoder sessions, in the order they were let in.
#[derive(Debug, Default)]
pub(crate) struct Reels(Vec<Reel>);

/// One encoder session.
#[derive(Debug, Default)]
pub(crate) struct Reel {
    pub(crate) stopped: bool,
    pub(crate) preamble: Vec<Media>,
    pub(crate) frames: Vec<Media>,
    /// Where in `frames` the nth of its kind is.
    video: Vec<usize>,
    audio: Vec<usize>,
    /// The last of its frames that any reader has got.
    pub(crate) reached: Option<usize>,
}

impl Reels {
    /// A new session's number.
    pub(crate) fn begin(&mut self) -> u8 {
        self.0.push(Reel::default());
        u8::try_from(self.0.len() - 1).expect("fewer than 256 sessions of encoders")
    }

    pub(crate) fn add(&mut self, session: u8, media: Media) {
        let reel = &mut self.0[usize::from(session)];
        if media.is_preamble() {
            return reel.preamble.push(media);
        }
        match media.kind {
            Kind::Video => reel.video.push(reel.frames.len()),
            Kind::Audio | Kind::Data => reel.audio.push(reel.frames.len()),
        }
        reel.frames.push(media);
    }

    pub(crate) fn stop(&mut self, session: u8) {
        self.0[usize::from(session)].stopped = true;
    }

    pub(crate) fn reel(&self, session: u8) -> Option<&Reel> {
        self.0.get(usize::from(session))
    }

    pub(crate) fn reel_mut(&mut self, session: u8) -> Option<&mut Reel> {
        self.0.get_mut(usize::from(session))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Session and position of a frame that somebody got; none if nobody sent it so.
    pub(crate) fn find(&self, got: &Media) -> Option<(u8, usize)> {
        let (session, number) = got.label()?;
        let reel = self.reel(session)?;
        let index = if got.kind == Kind::Video { &reel.video } else { &reel.audio };
        let at = *index.get(number as usize)?;
        (reel.frames[at].payload == got.payload).then_some((session, at))
    }

    /// Whether somebody has sent this header or metadata, and for a video header whose it is.
    pub(crate) fn preamble(&self, got: &Bytes, kind: Kind) -> Option<u8> {
        // Players get metadata without `@setDataFrame` in front.
        let same = |sent: &Bytes| sent == got || kind == Kind::Data && sent.ends_with(got);
        let known = |reel: &Reel| reel.preamble.iter().any(|media| media.kind == kind && same(&media.payload));
        self.0.iter().rposition(known).map(|session| session as u8)
    }

    /// How many frames were sent since then, and the bytes of them and of the preambles that go with them.
    pub(crate) fn sent_since(&self, since: Duration) -> (usize, usize) {
        let mut sent = (0, 0);
        for reel in &self.0 {
            let recent = reel.frames.iter().rev().take_while(|media| media.at >= since);
            let (frames, bytes) = recent.fold((0, 0), |(n, bytes), media| (n + 1, bytes + media.payload.len()));
            sent = (sent.0 + frames, sent.1 + bytes + if frames > 0 { PREAMBLE } else { 0 });
        }
        sent
    }
}
