//! Writes what the fuzzers start from: `seeds FOLDER`, a folder in it for each target.

use std::fs;
use std::io;
use std::path::PathBuf;

#[path = "../seeds.rs"]
mod seeds;

fn main() -> io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).expect("a folder"));
    for (target, inputs) in seeds::all() {
        fs::create_dir_all(folder.join(target))?;
        for (number, input) in inputs.iter().enumerate() {
            fs::write(folder.join(target).join(format!("seed-{number:03}")), input)?;
        }
    }
    Ok(())
}
