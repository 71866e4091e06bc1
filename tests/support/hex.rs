//! Bytes as text that can be reviewed: `03 00*1536 "connect" # C0, C1, a word`.

use sha2::{Digest, Sha256};

/// Reads hexadecimal digits, `"text"`, repeats (`ab*307`), and comments from `#` to the end of a line.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    text.lines().flat_map(line).collect()
}

fn line(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (token, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a closing quote"),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        match rest.starts_with('"') {
            true => bytes.extend_from_slice(token.as_bytes()),
            false => bytes.extend(repeated(token)),
        }
        rest = after.trim_start();
    }
    bytes
}

fn repeated(token: &str) -> Vec<u8> {
    let (digits, times) = token.split_once('*').unwrap_or((token, "1"));
    assert!(digits.len() % 2 == 0, "whole bytes: {token}");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or_else(|_| panic!("hexadecimal: {token}"));
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    bytes.repeat(times.parse().expect("how many times"))
}

/// Writes bytes so that `hex` reads them, runs of one byte as `ab*307`.
pub(crate) fn runs(bytes: &[u8]) -> String {
    let run = |run: &[u8]| match run.len() {
        1 => format!("{:02x}", run[0]),
        n => format!("{:02x}*{n}", run[0]),
    };
    bytes.chunk_by(|a, b| a == b).map(run).collect::<Vec<_>>().join(" ")
}

/// The first eight digits of the SHA-256 of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
