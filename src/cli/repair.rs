//! `repair`: recordings that a crash has left.

use anyhow::{Result, bail};

use super::{Repair, print};
use crate::recorder::{Repaired, repair};

pub(super) fn run(files: Repair) -> Result<()> {
    let mut failed = 0;
    for file in files.files {
        match repair(&file) {
            Ok(Repaired { path, changed: false, tags, duration, .. }) => {
                print(&format!("{}: {tags} tags, {:.1} s, nothing to repair", path.display(), duration.as_secs_f64()))?;
            }
            Ok(Repaired { path, tags, duration, cut, .. }) => {
                let seconds = duration.as_secs_f64();
                print(&format!("{}: {tags} tags, {seconds:.1} s, repaired; {cut} bytes cut off", path.display()))?;
            }
            Err(error) => {
                failed += 1;
                eprintln!("{}: {error}", file.display());
            }
        }
    }
    if failed > 0 {
        bail!("{failed} not repaired");
    }
    Ok(())
}
