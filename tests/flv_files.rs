//! FLV files of every codec: read and written again, through a log, and through a relay on real sockets.

#![allow(missing_docs, clippy::unwrap_used)]

mod peers;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use peers::{Encoder, Player, Server, until};
use proptest::prelude::*;
use rtmp_relay::flv::file::{self, Reader, Tag};
use rtmp_relay::flv::{self, Kind, Role};
use rtmp_relay::rtmp::{Message, Secret};
use support::recording::fixture;

/// One file of `fixtures/flv`.
struct Film {
    name: String,
    bytes: Vec<u8>,
    tags: Vec<Tag>,
}

/// All of them, in the order of their names.
fn films() -> Vec<Film> {
    let mut paths: Vec<_> = fs::read_dir(fixture("flv")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 14, "{paths:?}");
    let film = |path: std::path::PathBuf| {
        let bytes = fs::read(&path).unwrap();
        Film { name: path.file_stem().unwrap().to_string_lossy().into_owned(), tags: tags(&bytes), bytes }
    };
    paths.into_iter().map(film).collect()
}

fn tags(bytes: &[u8]) -> Vec<Tag> {
    let mut reader = Reader::new();
    reader.push(bytes);
    let tags: Vec<_> = std::iter::from_fn(|| reader.read_tag().unwrap()).collect();
    reader.finish().unwrap();
    tags
}

fn role(tag: &Tag) -> Role {
    flv::classify(tag.kind, &tag.payload).role
}

/// What is on a log as a frame, not in a preamble.
fn is_frame(tag: &Tag) -> bool {
    !matches!(role(tag), Role::Header | Role::Config)
}

/// The frames of a file that a reader is given, from where decoding may start, with times from there.
fn frames(tags: &[Tag]) -> Vec<(Kind, u32, &[u8])> {
    let video = tags.iter().any(|tag| tag.kind == Kind::Video);
    let key = |tag: &&Tag| !video || flv::classify(tag.kind, &tag.payload).key;
    let mut frames = tags.iter().filter(|tag| is_frame(tag)).skip_while(|tag| !key(tag)).peekable();
    let start = frames.peek().unwrap().timestamp;
    frames.map(|tag| (tag.kind, tag.timestamp.saturating_sub(start), &tag.payload[..])).collect()
}

/// Headers and configurations but metadata, sorted: they come before the frames, in an order of their own.
fn preamble(tags: &[Tag]) -> Vec<&[u8]> {
    let mut items: Vec<_> = tags.iter().filter(|tag| !is_frame(tag) && tag.kind != Kind::Data).collect();
    items.sort_by_key(|tag| &tag.payload);
    items.dedup_by_key(|tag| &tag.payload);
    items.into_iter().map(|tag| &tag.payload[..]).collect()
}

#[test]
fn every_codec() {
    let page: String =
        films().iter().map(|film| format!("{}\n{}\n", film.name, support::flv::table(&film.bytes, 12, 2))).collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("every_codec", page));
}

#[test]
fn a_file_that_is_read_and_written_is_the_same_file() {
    for film in films() {
        let kinds = [Kind::Audio, Kind::Video].map(|kind| film.tags.iter().any(|tag| tag.kind == kind));
        let mut written = file::header(kinds[0], kinds[1]).to_vec();
        for tag in &film.tags {
            file::write_tag(tag.kind, tag.timestamp, &tag.payload, &mut written).unwrap();
        }
        assert!(written == film.bytes, "{}", film.name);
    }
}

#[test]
fn a_file_that_goes_through_a_log_is_recorded_with_the_same_tags() {
    for film in films() {
        let recorded = tags(&support::flv::record(film.tags.iter().map(Message::from).collect()));
        assert_eq!((recorded[0].kind, role(&recorded[0])), (Kind::Data, Role::Header), "{}", film.name);
        assert!(frames(&recorded[1..]) == frames(&film.tags), "{}: frames and their times", film.name);
        assert!(preamble(&recorded) == preamble(&film.tags), "{}: headers", film.name);
    }
}

#[tokio::test]
async fn a_file_that_is_published_is_played_with_the_same_tags() {
    let server = Server::start("127.0.0.1:0", &[], None).await;
    for film in films() {
        let name = format!("live/{}", film.name);
        let mut encoder = Encoder::publish(server.address, &name).await.unwrap();
        let mut player = Player::play(server.address, &name).await;
        for tag in &film.tags {
            encoder.send(tag.kind, tag.timestamp, &tag.payload).await;
        }
        encoder.end().await;
        let tag = |(type_id, timestamp, payload): (u8, u32, Vec<u8>)| Tag {
            kind: Kind::from_tag_type(type_id).unwrap(),
            timestamp,
            payload: payload.into(),
        };
        let played: Vec<_> = player.rest().await.into_iter().map(tag).collect();
        assert!(frames(&played) == frames(&film.tags), "{}: frames and their times", film.name);
        assert!(preamble(&played) == preamble(&film.tags), "{}: headers", film.name);
        let metadata = |tags: &[Tag]| tags.iter().find(|tag| tag.kind == Kind::Data).map(|tag| tag.payload.clone());
        assert_eq!(metadata(&played), metadata(&film.tags), "{}: metadata", film.name);
    }
}

#[tokio::test]
async fn a_file_that_is_published_is_recorded_to_disk_with_the_same_tags() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("127.0.0.1:0", &[], Some(folder.path())).await;
    let (films, mut encoders) = (films(), Vec::new());
    for film in &films {
        let mut encoder = Encoder::publish(server.address, &format!("live/{}", film.name)).await.unwrap();
        for tag in &film.tags {
            encoder.send(tag.kind, tag.timestamp, &tag.payload).await;
        }
        encoders.push(encoder);
    }
    let files = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    until("every recording has begun", || files().len() == films.len()).await;
    for encoder in encoders {
        encoder.end().await;
    }
    server.end().await;
    for film in &films {
        let fingerprint = Secret::from(film.name.clone()).fingerprint();
        let file = files().into_iter().find(|file| file.to_string_lossy().contains(&fingerprint)).unwrap();
        let recorded = tags(&fs::read(file).unwrap());
        assert!(frames(&recorded[1..]) == frames(&film.tags), "{}: frames and their times", film.name);
        assert!(preamble(&recorded) == preamble(&film.tags), "{}: headers", film.name);
    }
}

#[tokio::test]
async fn interop_65_and_interop_76_one_who_comes_late_has_every_codecs_headers_before_the_first_frame() {
    let server = Server::start("127.0.0.1:0", &[], None).await;
    for film in films() {
        let name = format!("live/{}", film.name);
        let mut encoder = Encoder::publish(server.address, &name).await.unwrap();
        let mut witness = Player::play(server.address, &name).await;
        for tag in &film.tags {
            encoder.send(tag.kind, tag.timestamp, &tag.payload).await;
        }
        // Once somebody has the last frame, everything is on the log.
        for _ in frames(&film.tags) {
            while !witness.next().await.as_ref().is_some_and(|message| is_frame(&tag(message))) {}
        }
        let mut late = Player::play(server.address, &name).await;
        let mut got = Vec::new();
        while !got.last().is_some_and(is_frame) {
            got.push(tag(&late.next().await.unwrap()));
        }
        assert!(preamble(&got) == in_force(&film.tags), "{}: headers", film.name);
        let first = got.last().unwrap();
        let audio_only = film.tags.iter().all(|tag| tag.kind != Kind::Video);
        assert!(audio_only || flv::classify(first.kind, &first.payload).key, "{}: a key frame", film.name);
        encoder.end().await;
    }
}

/// The preamble at the end of a file, sorted: of each kind of header the last one. FLAC's is written again when all is known.
fn in_force(tags: &[Tag]) -> Vec<&[u8]> {
    let headers = tags.iter().filter(|tag| !is_frame(tag) && tag.kind != Kind::Data);
    let place = |tag: &Tag| {
        (tag.kind, format!("{:?}", role(tag)), format!("{:?}", flv::classify(tag.kind, &tag.payload).tracks))
    };
    let last: BTreeMap<_, _> = headers.map(|tag| (place(tag), &tag.payload[..])).collect();
    let mut last: Vec<_> = last.into_values().collect();
    last.sort();
    last
}

/// A message of audio, video or data as a tag.
fn tag(message: &Message) -> Tag {
    let payload = message.payload.to_vec().into();
    Tag { kind: message.media().unwrap(), timestamp: message.timestamp, payload }
}

#[test]
fn interop_84_a_tail_of_zeros_is_no_tag() {
    for film in films() {
        let mut reader = Reader::new();
        reader.push(&film.bytes);
        reader.push(&[0; 4096]);
        let read: Vec<_> = std::iter::from_fn(|| reader.read_tag().unwrap()).collect();
        assert!(read == film.tags, "{}", film.name);
    }
}

/// The small ones: all but the clip of the demo.
static SMALL: LazyLock<Vec<Film>> =
    LazyLock::new(|| films().into_iter().filter(|film| film.bytes.len() < 20_000).collect());

proptest! {
    #[test]
    fn a_file_cut_into_any_pieces_is_the_same_file(
        which in any::<prop::sample::Index>(),
        pieces in prop::collection::vec(1usize..2_000, 0..40),
    ) {
        let film = which.get(&SMALL);
        let (mut reader, mut read, mut rest) = (Reader::new(), Vec::new(), &film.bytes[..]);
        for piece in pieces.into_iter().chain([usize::MAX]) {
            let (bytes, later) = rest.split_at(piece.min(rest.len()));
            reader.push(bytes);
            rest = later;
            while let Some(tag) = reader.read_tag().unwrap() {
                read.push(tag);
            }
        }
        prop_assert!(read == film.tags, "{}", film.name);
        prop_assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_file_that_ends_anywhere_has_its_whole_tags(which in any::<prop::sample::Index>(), end in any::<prop::sample::Index>()) {
        let film = which.get(&SMALL);
        let mut reader = Reader::new();
        reader.push(&film.bytes[..end.index(film.bytes.len())]);
        let read: Vec<_> = std::iter::from_fn(|| reader.read_tag().unwrap()).collect();
        let mut at = 13;
        let whole = film.tags.iter().take_while(|tag| {
            at += 11 + tag.payload.len();
            let is_whole = at <= end.index(film.bytes.len());
            at += 4;
            is_whole
        });
        prop_assert!(read.iter().eq(whole), "{} of {}", read.len(), film.name);
    }
}
