//! What the fuzzers start from and what they have found worth keeping, through what they fuzz: `just fuzz` looks for more.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

#[path = "fuzz/seeds.rs"]
mod seeds;
#[path = "fuzz/targets.rs"]
mod targets;

/// `fuzz/corpus/TARGET`: inputs, each behind its length in two bytes.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let bytes = fs::read(path).unwrap();
    let mut rest = &bytes[..];
    let mut inputs = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (input, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        inputs.push(input.to_vec());
        rest = after;
    }
    inputs
}

#[test]
fn what_the_fuzzers_start_from_holds() {
    for (target, inputs) in seeds::all() {
        let (_, run) = targets::ALL.into_iter().find(|(name, _)| *name == target).unwrap();
        assert!(inputs.len() >= 4, "{target} has {} seeds", inputs.len());
        inputs.iter().for_each(|input| run(input));
    }
}

#[test]
fn what_the_fuzzers_have_kept_holds() {
    for (target, run) in targets::ALL {
        let inputs = kept(target);
        assert!(inputs.len() >= 20, "{target} has {} inputs", inputs.len());
        inputs.iter().for_each(|input| run(input));
    }
}
