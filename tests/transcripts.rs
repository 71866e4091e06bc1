//! Recordings of real programs, heard by our sessions: every page in `snapshots/` says what one connection was about.
//!
//! A publisher has three pages. Its dialogue: what was said and answered. Its chunks: how its first messages were cut. Its
//! recording: what an FLV file of it holds. A player has the first two.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;

use rtmp_relay::net::connection;
use rtmp_relay::rtmp::session::Session;
use support::chunks::{self, Chunks};
use support::dialogue;
use support::flv;
use support::hex::hex;
use support::recording::{HANDSHAKE, Recording, fixture};
use support::server;

#[test]
fn obs_29_publishes() {
    publishes("obs/29-publish", "obs_29_publish");
}

#[test]
fn ffmpeg_5_1_publishes() {
    publishes("ffmpeg/5.1-publish", "ffmpeg_5_1_publish");
}

#[test]
fn ffmpeg_7_0_publishes_hevc() {
    publishes("ffmpeg/7.0-publish-hevc", "ffmpeg_7_0_publish_hevc");
}

#[test]
fn ffmpeg_9_0_publishes_hevc() {
    publishes("ffmpeg/9.0-publish-hevc", "ffmpeg_9_0_publish_hevc");
}

#[test]
fn ffmpeg_9_0_publishes_av1_and_opus() {
    publishes("ffmpeg/9.0-publish-av1-opus", "ffmpeg_9_0_publish_av1_opus");
}

#[test]
fn ffmpeg_9_0_publishes_vp9_and_opus() {
    publishes("ffmpeg/9.0-publish-vp9-opus", "ffmpeg_9_0_publish_vp9_opus");
}

#[test]
fn ffmpeg_9_0_publishes_two_tracks_of_each_kind() {
    publishes("ffmpeg/9.0-publish-multitrack", "ffmpeg_9_0_publish_multitrack");
}

#[test]
fn ffmpeg_9_0_publishes_with_a_list_of_its_codecs() {
    publishes("ffmpeg/9.0-publish-fourcclist", "ffmpeg_9_0_publish_fourcclist");
}

#[test]
fn gstreamer_1_22_publishes() {
    publishes("gst/1.22-publish", "gst_1_22_publish");
}

#[test]
fn librtmp_publishes() {
    publishes("gst/1.22-publish-librtmp", "librtmp_publish");
}

#[test]
fn vlc_3_0_publishes() {
    publishes("vlc/3.0-publish", "vlc_3_0_publish");
}

#[test]
fn mpv_0_35_publishes() {
    publishes("mpv/0.35-publish", "mpv_0_35_publish");
}

#[test]
fn ffplay_5_1_plays() {
    plays("ffmpeg/5.1-play", "ffplay_5_1_play");
}

#[test]
fn gstreamer_1_22_plays() {
    plays("gst/1.22-play", "gst_1_22_play");
}

#[test]
fn vlc_3_0_plays() {
    plays("vlc/3.0-play", "vlc_3_0_play");
}

#[test]
fn ffmpeg_9_0_plays_hevc() {
    plays("ffmpeg/9.0-play-hevc", "ffmpeg_9_0_play_hevc");
}

#[test]
fn ffmpeg_9_0_plays_vp9_and_opus() {
    plays("ffmpeg/9.0-play-vp9-opus", "ffmpeg_9_0_play_vp9_opus");
}

#[test]
fn mpv_0_35_plays() {
    plays("mpv/0.35-play", "mpv_0_35_play");
}

#[test]
fn rtmpdump_2_4_plays() {
    plays("rtmpdump/2.4-play", "rtmpdump_2_4_play");
}

#[test]
fn interop_34_our_client_publishes_to_nginx_rtmp_1_2_2() {
    // What nginx answered ffmpeg it would have answered us: the calls that want an answer have the same ids.
    page("nginx_rtmp_1_2_2_dialogue", &dialogue::of_our_client(&Recording::answers("ffmpeg/5.1-publish")));
}

#[test]
fn what_is_no_rtmp_is_refused_with_its_reason() {
    let mut files: Vec<_> = fs::read_dir(fixture("malformed")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let lines: Vec<_> = files
        .iter()
        .map(|file| {
            let bytes = hex(&fs::read_to_string(file).unwrap());
            let name = file.file_stem().unwrap().to_str().unwrap();
            assert_eq!(ending(&bytes, 1), ending(&bytes, usize::MAX), "{name}: it does not matter how it arrives");
            format!("{name:<44} → {}", ending(&bytes, 1))
        })
        .collect();
    assert!(lines.len() >= 10, "{lines:?}");
    page("malformed", &(lines.join("\n") + "\n"));
}

fn publishes(recording: &str, name: &str) {
    let recording = Recording::load(recording);
    let dialogue = dialogue(&recording, name);

    let media: Vec<_> = dialogue.said.iter().filter(|said| [8, 9, 18].contains(&said.type_id)).collect();
    assert_eq!(dialogue.handed.len(), media.len(), "every message of the publisher is handed on");
    for (ours, theirs) in dialogue.handed.iter().zip(media) {
        assert_eq!((ours.timestamp, ours.type_id, ours.stream), (theirs.time, theirs.type_id, theirs.msid));
        assert!(ours.payload[..] == theirs.payload, "the payload at {} ms", theirs.time);
    }
    let file = flv::record(dialogue.handed);
    page(&format!("{name}_recording"), &flv::table(&file, 30, 5));
}

fn plays(recording: &str, name: &str) {
    let dialogue = dialogue(&Recording::load(recording), name);
    assert!(dialogue.handed.is_empty(), "a player sends no media");
}

/// The two pages that every client has, and the laws that hold for all of them.
fn dialogue(recording: &Recording, name: &str) -> dialogue::Dialogue {
    let dialogue = dialogue::with(recording);
    page(&format!("{name}_dialogue"), &dialogue.page);
    page(&format!("{name}_chunks"), &chunks::table(Chunks::new(&recording.bytes, HANDSHAKE), 60));

    // nginx-rtmp closes on chunk stream ids from 32 on, others from 64 on.
    let ours: BTreeSet<_> = Chunks::new(&dialogue.replies, 0).map(|chunk| chunk.csid).collect();
    assert!(ours.iter().all(|csid| (2..32).contains(csid)), "{ours:?}");
    dialogue
}

/// How a connection of which this is every byte ends, as it is logged.
fn ending(bytes: &[u8], piece: usize) -> String {
    let mut session = server::session();
    for piece in bytes.chunks(piece) {
        if let Err(source) = server::hear(&mut session, piece, &mut Vec::new()) {
            let phase = session.phase();
            return format!("{}: {source}", connection::Error::Protocol { phase, source: source.clone() });
        }
    }
    connection::Error::Closed { phase: session.phase() }.to_string()
}

fn page(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
