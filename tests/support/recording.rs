//! A recording of a real program: `fixtures/PROGRAM/NAME.c2s.bin`, what it sent from C0 on, `NAME.idx`, how it was cut, and for
//! publishers `NAME.s2c.bin`, what it was answered.

use std::fs;
use std::path::PathBuf;

/// The client's side of one recorded connection.
pub(crate) struct Recording {
    /// Every byte it sent, C0 first.
    pub(crate) bytes: Vec<u8>,
    /// How many bytes each read of the recorder brought.
    pub(crate) reads: Vec<usize>,
    /// How it ended, if the recording says so.
    pub(crate) ending: &'static str,
}

/// C0, C1 and C2.
pub(crate) const HANDSHAKE: usize = 1 + 2 * 1536;

/// A file below `fixtures/`.
pub(crate) fn fixture(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures", path].iter().collect()
}

fn read(name: &str, suffix: &str) -> Vec<u8> {
    fs::read(fixture(&format!("{name}.{suffix}"))).expect("a recording in fixtures/")
}

impl Recording {
    /// Every byte the server sent, S0 first: `fixtures/{name}.s2c.bin`.
    pub(crate) fn answers(name: &str) -> Vec<u8> {
        read(name, "s2c.bin")
    }

    /// Reads `fixtures/{name}.c2s.bin` and its index.
    pub(crate) fn load(name: &str) -> Self {
        let index = String::from_utf8(read(name, "idx")).expect("text");
        let mut recording =
            Recording { bytes: read(name, "c2s.bin"), reads: Vec::new(), ending: "the recording was stopped here" };
        for line in index.lines().filter(|line| line.starts_with("c2s ")) {
            match line.split(' ').nth(2).expect("dir offset length time") {
                "EOF" => recording.ending = "closed",
                "ConnectionResetError" => recording.ending = "reset",
                length => recording.reads.push(length.parse().expect("a length")),
            }
        }
        recording
    }
}
