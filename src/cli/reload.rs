//! The configuration file, read again when it or a file with a key or certificate changes, and on SIGHUP.
//!
//! Files are looked at once in a while: that works with editors that replace a file, with mounted secrets, and on network
//! file systems, where being told of changes does not.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;
use tracing::{error, info};

use crate::config::{Config, Loaded, Settings};
use crate::relay::Control;

/// How often the files are looked at. A change is taken up when it has been there twice: then it is written to its end.
const LOOK: Duration = Duration::from_millis(500);

/// What is in force, and where it has come from.
pub(super) struct Reload<'a> {
    pub(super) flags: &'a Settings,
    pub(super) path: Option<&'a Path>,
    pub(super) loaded: Loaded,
    /// File descriptors allow so many visitors.
    pub(super) room: usize,
}

impl Reload<'_> {
    /// Applies every change of the file, for ever.
    pub(super) async fn run(mut self, control: Control) -> Result<Infallible> {
        let mut hangup = signal(SignalKind::hangup()).context("cannot wait for signals")?;
        let mut look = interval(LOOK);
        let mut taken_up = seen(&self.loaded.files).await;
        let mut last = taken_up.clone();
        loop {
            tokio::select! {
                biased;
                _ = hangup.recv() => {
                    taken_up = seen(&self.loaded.files).await;
                    info!("SIGHUP: reading the configuration again");
                    self.again(&control, true).await;
                }
                _ = look.tick() => {
                    let now = seen(&self.loaded.files).await;
                    if now != taken_up && now == last {
                        taken_up.clone_from(&now);
                        self.again(&control, false).await;
                        // It may name other files now.
                        taken_up = seen(&self.loaded.files).await;
                    }
                    last = now;
                }
            }
        }
    }

    /// Reads it again. Where it is broken, nothing changes.
    async fn again(&mut self, control: &Control, asked: bool) {
        let mut loaded = match Config::load(self.flags.clone(), self.path).await {
            Ok(loaded) => loaded,
            Err(problems) => {
                for problem in problems.0 {
                    error!("the configuration is not changed: {problem}");
                }
                return;
            }
        };
        loaded.config.visitors.all = loaded.config.visitors.all.min(self.room);
        if loaded.config == self.loaded.config {
            if asked {
                info!("the configuration is the same");
            }
            self.loaded = loaded;
            return;
        }
        let (before, after) = (self.loaded.config.clone(), loaded.config.clone());
        let follow = move |present: &mut Config| {
            present.follow(&before, after);
            Ok::<_, Infallible>(())
        };
        match control.change(follow).await {
            Ok(changes) => {
                info!("the configuration is changed: {changes}");
                self.loaded = loaded;
            }
            Err(unapplied) => error!("the configuration is not changed: {unapplied}"),
        }
    }
}

/// What tells whether a file has changed.
type Seen = Option<(SystemTime, u64)>;

async fn seen(files: &[PathBuf]) -> Vec<Seen> {
    let mut all = Vec::new();
    for file in files {
        let metadata = tokio::fs::metadata(file).await.ok();
        all.push(metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len()))));
    }
    all
}
