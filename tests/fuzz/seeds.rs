//! What the fuzzers start from: the fixtures, and what the encoder of each format writes.

#![allow(dead_code, unreachable_pub)] // each user takes its part

use std::fs;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use rtmp_relay::rtmp::amf0::Amf0;

/// No longer than this: fuzzers are slow with long ones.
const LONGEST: usize = 8_192;
/// C0, C1 and C2, or S0, S1 and S2.
const HANDSHAKE: usize = 1 + 2 * 1536;

/// For each target, by name.
pub fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let fixtures = [env!("CARGO_MANIFEST_DIR"), "fixtures"].iter().collect::<PathBuf>();
    let fixtures =
        if fixtures.is_dir() { fixtures } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures") };
    let (clients, servers) = (files(&fixtures, ".c2s.bin"), files(&fixtures, ".s2c.bin"));
    let malformed: Vec<Vec<u8>> = files(&fixtures.join("malformed"), ".hex").iter().map(|text| hex(text)).collect();
    let behind = |first: u8, from: usize, of: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let long = of.iter().filter(|bytes| bytes.len() > from);
        long.map(|bytes| [&[first], &bytes[from..bytes.len().min(from + LONGEST)]].concat()).collect()
    };
    let shaken = |first: u8, of: &[Vec<u8>]| behind(first, HANDSHAKE, of);
    let amf0 = [
        "0200 07 636f6e6e656374 00 3ff0000000000000 03 0003 617070 02 0004 6c697665 0000 09",
        "08 00000001 0001 61 05 0000 09 0a 00000002 01 01 06 0b 0000000000000000 0000",
        "10 0001 63 0001 61 07 0000 0000 09 0c 00000001 61 0f 00000001 62 11 0a",
    ];
    vec![
        ("handshake", [behind(0, 0, &clients), behind(9, 0, &servers), behind(0, 0, &malformed)].concat()),
        ("chunks", [shaken(0, &clients), shaken(60, &servers), shaken(0, &malformed)].concat()),
        ("amf0", [amf0.iter().map(|text| hex(text.as_bytes())).collect(), vec![every_value()]].concat()),
        ("server", [shaken(1, &clients), behind(0, 0, &clients), behind(0, 0, &malformed), messages()].concat()),
        ("client", [shaken(1, &servers), shaken(0x81, &servers), messages()].concat()),
        ("flv", behind(100, 0, &files(&fixtures.join("flv"), ".flv"))),
    ]
}

/// Messages as `targets::heard` takes them, behind every beginning.
fn messages() -> Vec<Vec<u8>> {
    let control =
        [&[4, 0, 0, 0, 6][..], &[0, 6, 0, 0, 0, 7], &[5, 0, 0, 0, 4], &[0, 0, 8, 0], &[1, 0, 0, 0, 4, 0, 0, 1, 0]];
    let media =
        [&[8, 1, 0, 1, 4][..], b"\xaf\x00\x11\x90", &[9, 1, 0, 1, 6], b"\x17\x01\0\0\0k", &[22, 1, 0, 2, 3], b"abc"];
    let command = [&[20, 0, 0, 0, 24][..], &hex(b"02 000c 6372656174655374 7265616d 00 4000000000000000")].concat();
    (0..=4).map(|step| [&[0x40 | step][..], &control.concat(), &command, &media.concat()].concat()).collect()
}

/// One of each type that can be written.
fn every_value() -> Vec<u8> {
    let mut out = BytesMut::new();
    for value in
        [Amf0::Number(-1.5), "text".into(), Amf0::Null, Amf0::object([("a", Amf0::object([("b", Amf0::Null)]))])]
    {
        value.write(&mut out);
    }
    out.to_vec()
}

/// Contents of all files below a folder whose names end so, in order.
fn files(folder: &Path, end: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).map(|all| all.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
    paths.sort();
    let below = paths.iter().flat_map(|path| match path.is_dir() {
        true => files(path, end),
        false if path.to_string_lossy().ends_with(end) => fs::read(path).into_iter().collect(),
        false => Vec::new(),
    });
    below.collect()
}

/// Bytes from text in hexadecimal, with notes behind `#`.
fn hex(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let digits: Vec<u32> = text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap_or_default().chars())
        .filter_map(|c| c.to_digit(16))
        .collect();
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}
