//! The publisher's side: messages in, frames on the log.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep, timeout_at};
use tracing::{info, warn};

use crate::causes;
use crate::flv::{self, Kind, Role, Tag};
use crate::inbound::visitors::{Pass, Seat};
use crate::inbound::{Admitted, House, Inbound, turn_away};
use crate::journal::{Code, Event as Happened};
use crate::limits::{COMMAND_BYTES, HEADER_WAIT, KEY_FRAME_WAIT, MERGE, PUBLISHER_SILENCE};
use crate::net::Stream;
use crate::net::connection::{Error, Received};
use crate::rtmp::Message;
use crate::rtmp::chunk::DEFAULT_SIZE;
use crate::rtmp::chunk::writer::{self, Lane};
use crate::rtmp::command::{Status, code};
use crate::rtmp::server::Event;
use crate::rtmp::session::Phase;
use crate::rtmp::timestamp::Timeline;
use crate::stream::{Frame, Hops, Publication};

/// What one who is kicked is told, and the journal.
const KICKED: &str = "This session has been ended by the operator";

/// Serves a publisher to its end, if its stream is free. One that is kicked is lost to its stream: another may follow.
pub async fn serve<S: Stream>(admitted: Admitted<S>, house: &House, pass: &Pass) -> Result<(), Error> {
    let Admitted { mut connection, request, name, peer, right } = admitted;
    let hops = Hops::parse(&request.agent);
    let granted = if hops.close_a_circle_at(house.identity) {
        Err(Status::error(code::PUBLISH_LOOP, "This stream has come through this relay before"))
    } else {
        let claimed = house.directory.claim(name, hops, right);
        claimed.map_err(|busy| Status::error(code::PUBLISH_BAD_NAME, &busy.to_string()))
    };
    let publication = match granted {
        Ok(publication) => publication,
        Err(status) => {
            house.visitors.refused(peer, &format_args!("publishing refused: {}", status.description));
            turn_away(connection, request, &status).await;
            return Ok(());
        }
    };
    let seat = pass.sit(request.role, publication.name(), &request.agent);
    connection.session.accept(request);
    let stream = publication.name().clone();
    let resumed = publication.resumed_at().is_some();
    info!(%stream, %peer, resumed, "publishing started");
    let tell = |code| Happened::new(code).stream(&stream).peer(peer.ip());
    house.journal.append(tell(if resumed { Code::PublishResumed } else { Code::PublishStarted }));
    let mut ingest = Ingest::new(publication);
    let replaced = ingest.publication.replaced();
    let ended = tokio::select! {
        biased;
        () = house.stop.cancelled() => {
            connection.session.ask_to_reconnect();
            ingest.publication.end();
            info!(%stream, "publishing stopped");
            house.journal.append(tell(Code::PublishEnded));
            connection.close().await;
            return Ok(());
        }
        () = replaced => {
            info!(%stream, %peer, "publisher replaced by another one");
            house.journal.append(tell(Code::PublishReplaced));
            // It may be there and well: OBS takes this as final, so that two of them do not take turns for ever.
            connection.session.revoke(&Status::error(code::PUBLISH_BAD_NAME, "Another publisher has taken this stream"));
            connection.close_or_abort().await;
            return Ok(());
        }
        () = seat.kicked() => {
            info!(%stream, %peer, "publisher kicked");
            house.journal.append(tell(Code::PublishLost).because(KICKED));
            drop(ingest);
            // OBS takes this as final, and does not come back by itself.
            connection.session.revoke(&Status::error(code::PUBLISH_BAD_NAME, KICKED));
            connection.close_or_abort().await;
            return Ok(());
        }
        ended = ingest.run(&mut connection, &seat) => ended,
    };
    match ended {
        Ok(()) => {
            ingest.publication.end();
            info!(%stream, "publishing stopped");
            house.journal.append(tell(Code::PublishEnded));
            connection.close_second().await;
            Ok(())
        }
        Err(error) => {
            warn!(%stream, "publisher lost");
            house.journal.append(tell(Code::PublishLost).because(causes::in_one_line(&error)));
            Err(error)
        }
    }
}

/// One publisher session's way onto a log.
#[derive(Debug)]
pub struct Ingest {
    publication: Publication,
    timeline: Timeline,
    /// When the first message came, on the stream's time line.
    began: Option<u64>,
    video: Video,
    /// Sound that waits for a picture: its position, and until when.
    waiting: Option<(u64, Instant)>,
    /// Audio and video that go without the header they need, and whether that has been said.
    headerless: [bool; 2],
}

/// What is known of the video of this publisher session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Video {
    /// None has come: every audio frame is a place to start.
    None,
    /// It has, but no key frame. What comes before one nobody can decode.
    AwaitKey,
    /// Key frames have come, or will not.
    Flowing,
}

impl Ingest {
    /// The way onto `publication`'s log.
    pub fn new(publication: Publication) -> Self {
        let timeline = publication.resumed_at().map_or_else(Timeline::default, Timeline::starting_at);
        Ingest { publication, timeline, began: None, video: Video::None, waiting: None, headerless: [false; 2] }
    }

    /// Ends the stream.
    pub fn end(self) {
        self.publication.end();
    }

    /// Takes what the publisher sends until it stops (`Ok`) or is lost.
    async fn run<S: Stream>(&mut self, connection: &mut Inbound<S>, seat: &Seat) -> Result<(), Error> {
        // One alarm for the whole session: to set one for each message would cost more than to take it in.
        let silence = sleep(PUBLISHER_SILENCE);
        tokio::pin!(silence);
        loop {
            while let Some(event) = connection.event()? {
                match event {
                    Event::Message(message) => self.message(message),
                    Event::Stopped => {
                        self.announce();
                        return Ok(());
                    }
                    Event::Request(_) => {}
                }
            }
            self.announce();
            self.receive(connection, silence.as_mut()).await?;
            self.publication.touch();
            seat.count(connection.received());
            if mutant!(ReadsSlowly) {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            if mutant!(StopsReading) && self.publication.log().bytes() > 64 << 10 {
                tokio::time::sleep(std::time::Duration::from_secs(10)).await;
            }
        }
    }

    /// Waits for more, and meanwhile lets go of sound that has waited long enough for a picture.
    async fn receive<S: Stream>(
        &mut self,
        connection: &mut Inbound<S>,
        mut silence: Pin<&mut Sleep>,
    ) -> Result<Received, Error> {
        let before = self.waiting.take();
        self.waiting = self.publication.waiting().map(|position| match before {
            Some((known, until)) if known == position => (position, until),
            _ => (position, Instant::now() + MERGE),
        });
        if let Some((_, until)) = self.waiting {
            match timeout_at(until, connection.receive()).await {
                Ok(received) => return received,
                Err(_) => self.publication.release(),
            }
        }
        loop {
            tokio::select! {
                biased;
                received = connection.receive() => return received,
                () = &mut silence => {}
            }
            let due = self.publication.heard() + PUBLISHER_SILENCE;
            if due <= Instant::now() {
                return Err(Error::TimedOut { phase: Phase::Media });
            }
            silence.as_mut().reset(due);
        }
    }

    /// Tells the stream's readers what `message` has added, once for all that came together. Those that let sound wait for a
    /// picture (`merge: audio`) get it with the next one, or when `limits::MERGE` of it is there.
    pub fn announce(&self) {
        self.publication.announce();
    }

    /// Puts a message where it belongs: headers and metadata into the preamble, everything else on the log.
    pub fn message(&mut self, message: Message) {
        let Some(kind) = message.media() else { return };
        let tag = flv::classify(kind, &message.payload);
        for need in flv::needs(kind, &message.payload) {
            self.publication.need(need);
        }
        match tag.role {
            Role::Header | Role::Config if self.publication.preamble().has_room_for(&message.payload) => {
                self.put(kind, &tag, message)
            }
            Role::Header | Role::Config | Role::Frame | Role::End | Role::Command | Role::Empty | Role::Unknown => {
                self.append(kind, &tag, message)
            }
        }
    }

    fn put(&mut self, kind: Kind, tag: &Tag, message: Message) {
        if kind == Kind::Video && self.video == Video::None {
            self.video = Video::AwaitKey;
        }
        let payload = message.payload.into_bytes();
        let payload = match kind {
            Kind::Data if payload.len() > COMMAND_BYTES => return,
            Kind::Data => match flv::metadata(&payload) {
                Some(metadata) => payload.slice_ref(metadata),
                None => return,
            },
            Kind::Audio | Kind::Video => payload,
        };
        self.publication.put(kind, tag, payload);
    }

    fn append(&mut self, kind: Kind, tag: &Tag, message: Message) {
        let key = tag.key;
        let time = self.timeline.place(kind, message.timestamp);
        let waited = time.saturating_sub(*self.began.get_or_insert(time));
        self.miss_header(kind, tag, waited);
        if kind == Kind::Video && key {
            self.video = Video::Flowing;
        } else if kind == Kind::Video && self.video == Video::None {
            self.video = Video::AwaitKey;
        }
        let given_up = self.video == Video::AwaitKey;
        if given_up {
            if waited < KEY_FRAME_WAIT.as_millis() as u64 {
                return;
            }
            warn!(stream = %self.publication.name(), "no key frame in {KEY_FRAME_WAIT:?}: going on without");
            self.video = Video::Flowing;
        }
        self.publication.measure(kind, tag, time, &message.payload);
        let delta = self.publication.log().delta(kind, time);
        let (wire, payload) = writer::shared(Lane::of(kind), delta, message.payload, DEFAULT_SIZE);
        let start = match kind {
            Kind::Video => key || given_up,
            Kind::Audio => self.video == Video::None,
            Kind::Data => false,
        };
        let preamble = self.publication.preamble().clone();
        self.publication.append(Frame { kind, time, delta, payload, wire, start, preamble });
    }

    /// Some hardware has its headers in band only. That is relayed, and said once: most servers show nothing of it.
    fn miss_header(&mut self, kind: Kind, tag: &Tag, waited: u64) {
        let Some(said) = self.headerless.get_mut(kind as usize) else { return };
        let missing = tag.role == Role::Frame && tag.codec.wants_header() && !self.publication.preamble().has(kind);
        if missing && waited >= HEADER_WAIT.as_millis() as u64 && !*said {
            *said = true;
            warn!(stream = %self.publication.name(), "{} without a sequence header", tag.codec);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rtmp::Payload;
    use crate::stream::log::Limits;
    use crate::stream::{Cursor, Directory, Join, Name};

    const AVC: &[u8] = b"\x17\0\0\0\0\x01avcC";
    const AAC: &[u8] = b"\xaf\0\x11\x90";
    const KEY: &[u8] = b"\x17\x01\0\0\0key";
    const INTER: &[u8] = b"\x27\x01\0\0\0inter";
    const SOUND: &[u8] = b"\xaf\x01sound";

    fn publish(messages: &[(u8, u32, &[u8])]) -> (Ingest, Cursor) {
        let name = Name::new("live/a").expect("a name");
        let publication = Directory::new(Limits::default()).publish(name, Hops::default()).expect("free");
        let join = Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX };
        let cursor = Cursor::new(publication.log().clone(), join);
        let mut ingest = Ingest::new(publication);
        for (type_id, timestamp, payload) in messages {
            let payload = Payload::from(*payload);
            ingest.message(Message { timestamp: *timestamp, type_id: *type_id, stream: 1, payload });
        }
        (ingest, cursor)
    }

    /// Frames as `kind time delta`, with a `*` where decoding may start.
    fn frames(cursor: &mut Cursor) -> Vec<String> {
        let mut frames = Vec::new();
        cursor.read(|f, _| {
            frames.push(format!("{:?} {} +{}{}", f.kind, f.time, f.delta, if f.start { " *" } else { "" }));
            true
        });
        frames
    }

    #[test]
    fn nothing_is_let_in_that_nobody_can_decode_and_deltas_are_within_a_kind() {
        let (_ingest, mut cursor) = publish(&[
            (8, 0, AAC),
            (9, 0, AVC),
            (9, 0, INTER),
            (8, 10, SOUND),
            (9, 40, KEY),
            (8, 33, SOUND),
            (9, 80, INTER),
            (8, 56, SOUND),
        ]);
        let expected = ["Video 40 +0 *", "Audio 33 +0", "Video 80 +40", "Audio 56 +23"];
        assert_eq!(frames(&mut cursor), expected);
    }

    #[test]
    fn sound_alone_may_start_anywhere_and_pictures_without_a_key_frame_after_ten_seconds() {
        let (_ingest, mut cursor) = publish(&[(8, 0, AAC), (8, 0, SOUND), (8, 23, SOUND)]);
        assert_eq!(frames(&mut cursor), ["Audio 0 +0 *", "Audio 23 +23 *"]);
        let seconds: Vec<(u8, u32, &[u8])> = (0..13).map(|s| (9, 1000 * s, INTER)).collect();
        let (_ingest, mut cursor) = publish(&seconds);
        assert_eq!(frames(&mut cursor), ["Video 10000 +0 *", "Video 11000 +1000", "Video 12000 +1000"]);
    }

    #[test]
    fn interop_70_media_without_headers_is_relayed_all_the_same_and_said() {
        let sound: Vec<(u8, u32, &[u8])> = (0..8).map(|s| (8, 1000 * s, SOUND)).collect();
        let (ingest, mut cursor) = publish(&sound);
        assert_eq!(frames(&mut cursor).len(), 8);
        assert_eq!(ingest.headerless, [true, false]);
        let with_header = [&[(8, 0, AAC)][..], &sound].concat();
        assert_eq!(publish(&with_header).0.headerless, [false, false]);
        let speex: Vec<(u8, u32, &[u8])> = (0..8).map(|s| (8, 1000 * s, &b"\xb6speex"[..])).collect();
        assert_eq!(publish(&speex).0.headerless, [false, false], "it has none");
        assert_eq!(publish(&sound[..5]).0.headerless, [false, false], "it may come");
    }

    /// What came out, after a key frame, of what went in.
    fn payloads(sent: &[&[u8]]) -> Vec<Vec<u8>> {
        let messages: Vec<(u8, u32, &[u8])> = [AVC, KEY].iter().chain(sent).map(|payload| (9, 0, *payload)).collect();
        let (_ingest, mut cursor) = publish(&messages);
        let mut got = Vec::new();
        cursor.read(|frame, _| {
            got.push(frame.payload.to_vec());
            true
        });
        got.split_off(1)
    }

    #[test]
    fn interop_71_composition_times_are_nobodys_business() {
        let negative = b"\x27\x01\xff\xff\xdeinter";
        let far = b"\x27\x01\x7f\xff\xffinter";
        assert_eq!(payloads(&[negative, far]), [&negative[..], far]);
    }

    #[test]
    fn interop_72_a_picture_to_be_shown_before_it_is_decoded_is_no_reason_to_close() {
        let enhanced = b"\xa1hvc1\x80\0\0inter";
        assert_eq!(payloads(&[enhanced]), [enhanced]);
    }

    #[test]
    fn interop_79_unknown_codecs_and_packet_types_are_passed_on_as_they_are() {
        let unknown: [&[u8]; 5] = [b"\xa1quux\0", b"\x98hvc1\0", b"\x96\xf1quux", b"\x2d\x01\0\0\0x", b"\xff"];
        assert_eq!(payloads(&unknown), unknown);
    }

    #[test]
    fn every_codec_by_four_cc_and_every_form_of_it_passes_untouched() {
        let messages: Vec<(u8, u32, &[u8])> = vec![
            (9, 0, b"\x91avc1\0\0\0key"),
            (9, 40, b"\xa3hvc1inter"),
            (9, 80, b"\xa1av01unit"),
            (9, 120, b"\xa1vp09frame"),
            (9, 160, b"\xa1vp08frame"),
            (8, 0, b"\x91Opuspacket"),
            (8, 20, b"\x91fLaC"),
            (8, 40, b"\x91ac-3frame"),
            (8, 60, b"\x91ec-3frame"),
            (8, 80, b"\x91.mp3frame"),
            (8, 100, b"\x91mp4aframe"),
            // ModEx with a nanosecond offset, ManyTracks, ManyTracksManyCodecs, OneTrack, a sequence end of one track.
            (9, 200, b"\xa7\x02\x07\xa1\x20\x03hvc1inter"),
            (9, 240, b"\xa6\x13avc1\0\0\0\x01a\x01\0\0\x01b"),
            (8, 120, b"\x95\x21Opus\0\0\0\x01amp4a\x01\0\0\x01b"),
            (8, 140, b"\x95\x01mp4a\x01frame"),
            (9, 280, b"\x96\x02avc1\x01"),
        ];
        let (_ingest, mut cursor) = publish(&messages);
        let mut got = Vec::new();
        cursor.read(|frame, _| {
            got.push((frame.kind.tag_type(), frame.payload.to_vec()));
            true
        });
        let sent: Vec<_> = messages.iter().map(|(type_id, _, payload)| (*type_id, payload.to_vec())).collect();
        assert_eq!(got, sent);
    }

    #[test]
    fn headers_of_several_tracks_are_in_force_until_each_has_a_newer_one() {
        let both = b"\x96\x10avc1\0\0\0\x01a\x01\0\0\x01b";
        let second = b"\x96\x00avc1\x01c";
        let first = b"\x17\0\0\0\0d";
        let kept = |sent: &[&[u8]]| -> Vec<Vec<u8>> {
            let messages: Vec<(u8, u32, &[u8])> = sent.iter().map(|payload| (9, 0, *payload)).collect();
            let (ingest, _) = publish(&messages);
            ingest.publication.preamble().since(None).map(|item| item.payload.to_vec()).collect()
        };
        assert_eq!(kept(&[both, second]), [&both[..], second]);
        assert_eq!(kept(&[both, second, first]), [&first[..], second]);
        assert_eq!(kept(&[second, first, both]), [both]);
    }

    #[test]
    fn headers_beyond_the_limit_are_passed_on_and_not_kept() {
        let long = [&b"\x90hvc1"[..], &vec![1; crate::limits::PREAMBLE_BYTES]].concat();
        assert_eq!(payloads(&[&long]), [long]);
    }

    #[test]
    fn headers_and_metadata_are_in_force_and_no_frames() {
        let metadata = b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData\x08\0\0\0\0\0\0\x09";
        let (ingest, mut cursor) =
            publish(&[(18, 0, metadata), (8, 0, AAC), (9, 0, AVC), (8, 0, &AAC[..2]), (8, 0, AAC)]);
        assert_eq!(frames(&mut cursor).len(), 0, "the empty header waits for a key frame like any other sound");
        let preamble = ingest.publication.preamble();
        let items: Vec<_> = preamble.since(None).map(|item| item.payload.clone()).collect();
        assert_eq!(items, [&metadata[16..], AAC, AVC]);
    }
}
