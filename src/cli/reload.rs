//! The configuration file, read again when it or a file with a key or certificate changes, and on SIGHUP; and written, where a
//! change that the API has made is to outlive the relay.
//!
//! Files are looked at once in a while: that works with editors that replace a file, with mounted secrets, and on network
//! file systems, where being told of changes does not.

use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::interval;
use tracing::{error, info};

use crate::config::edit::{Edit, Refused};
use crate::config::keeper::Order;
use crate::config::{Config, Loaded, Problem, Problems, Settings, file};
use crate::origin::Origin;
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
    /// What is to be written into the file.
    pub(super) edits: mpsc::Receiver<Order>,
}

/// A new text of the file, on the disk beside it. Dropped, it is gone.
struct Draft {
    path: PathBuf,
    /// The file whose place it is to take.
    file: PathBuf,
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
                Some(Order { edit, apply, answer }) = self.edits.recv() => {
                    let written = self.write(edit, apply, &control).await;
                    if let Err(refused) = &written {
                        info!("the configuration file is left as it is: {refused}");
                    }
                    taken_up = seen(&self.loaded.files).await;
                    let _ = answer.send(written);
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

    /// Writes an edit into the file and brings it into force, or neither.
    async fn write(&mut self, edit: Edit, apply: impl Future<Output = bool>, control: &Control) -> Result<(), Refused> {
        let path = self.path.ok_or(Refused::NoFile)?;
        let text = tokio::fs::read_to_string(path).await?;
        self.catch_up(path, control).await?;
        let names: Vec<String> = of_the_file(&self.loaded.config).collect();
        let (at, wanted) = after(&edit, names)?;
        let (draft, loaded) = self.draft(path, edit.of(&text, at, &file::environment())?, &wanted).await?;
        if tokio::fs::read_to_string(path).await? != text {
            return Err(io::Error::other("somebody else is writing it").into());
        }
        if apply.await {
            draft.take_place().await.map_err(Refused::Late)?;
            info!("the configuration file is written");
            self.loaded = loaded;
        }
        Ok(())
    }

    /// Brings into force what somebody else has written into the file and nobody has taken up yet.
    async fn catch_up(&mut self, path: &Path, control: &Control) -> Result<(), Refused> {
        let loaded = self.load(Some(path)).await.map_err(|problems| Refused::Broken(first(problems)))?;
        let config = loaded.config.clone();
        if config != self.loaded.config {
            self.follow(loaded, control).await;
        }
        let what = "what is in it cannot be in force";
        if config == self.loaded.config { Ok(()) } else { Err(Refused::Broken(Problem::at(None, what))) }
    }

    /// The text beside the file, and what it says. Who has no name there is called what its host is, and where several share one, the
    /// first of them has no number: one that would have another name now would be another destination, and is given its name.
    async fn draft(&self, path: &Path, mut text: String, names: &[String]) -> Result<(Draft, Loaded), Refused> {
        // Each of them is given its name once at most.
        for _ in 0..=names.len() {
            let draft = Draft::of(path, text.clone()).await?;
            let mut loaded =
                self.load(Some(&draft.path)).await.map_err(|problems| Refused::Unsound(first(problems)))?;
            if let Some(file) = loaded.files.first_mut() {
                *file = path.to_owned();
            }
            let called: Vec<String> = of_the_file(&loaded.config).collect();
            if called == names {
                return Ok((draft, loaded));
            }
            let at = called.iter().zip(names).position(|(called, name)| called != name).ok_or(Refused::Style)?;
            let name = vec![("name".to_owned(), Some(names[at].clone().into()))];
            text = Edit::Change(names[at].clone(), name).of(&text, at, &file::environment())?;
        }
        Err(Refused::Style)
    }

    /// Reads it again. Where it is broken, nothing changes.
    async fn again(&mut self, control: &Control, asked: bool) {
        let loaded = match self.load(self.path).await {
            Ok(loaded) => loaded,
            Err(problems) => {
                for problem in problems.0 {
                    error!("the configuration is not changed: {problem}");
                }
                return;
            }
        };
        if loaded.config == self.loaded.config {
            if asked {
                info!("the configuration is the same");
            }
            self.loaded = loaded;
            return;
        }
        self.follow(loaded, control).await;
    }

    async fn load(&self, path: Option<&Path>) -> Result<Loaded, Problems> {
        let mut loaded = Config::load(self.flags.clone(), path).await?;
        loaded.config.visitors.all = loaded.config.visitors.all.min(self.room);
        Ok(loaded)
    }

    /// Brings what has changed into force.
    async fn follow(&mut self, loaded: Loaded, control: &Control) {
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

/// Which destination of the file an edit is about, and what those of the file are called after it.
fn after(edit: &Edit, mut names: Vec<String>) -> Result<(usize, Vec<String>), Refused> {
    let place = |name: &String| {
        let at = names.iter().position(|known| known == name);
        at.ok_or_else(|| Refused::Elsewhere(name.clone()))
    };
    let at = match edit {
        Edit::Add(_) => names.len(),
        Edit::Change(name, _) | Edit::Remove(name) => place(name)?,
    };
    match edit {
        Edit::Add(written) => names.extend(written.get("name").and_then(|name| name.as_str()).map(str::to_owned)),
        Edit::Change(..) => {}
        Edit::Remove(_) => _ = names.remove(at),
    }
    Ok((at, names))
}

/// The first of them, wherever it is.
fn first(Problems(problems): Problems) -> Problem {
    let first = problems.into_iter().next();
    first.map_or_else(|| Problem::at(None, "it is broken"), |problem| Problem { file: None, ..problem })
}

/// Names of destinations that are in the file, in their order there.
fn of_the_file(config: &Config) -> impl Iterator<Item = String> {
    let routes = config.destinations.iter().filter(|route| route.from == Origin::File);
    routes.map(|route| route.name.clone())
}

impl Draft {
    /// Puts a text beside a file, with the same owner and rights, and onto the disk.
    async fn of(path: &Path, text: String) -> io::Result<Draft> {
        let path = path.to_owned();
        let write = move || {
            // Behind a link, the file that it leads to.
            let file = fs::canonicalize(path)?;
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let draft = Draft { path: file.with_file_name(format!(".{name}.new")), file };
            let old = fs::metadata(&draft.file)?;
            let _ = fs::remove_file(&draft.path);
            let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.path)?;
            new.write_all(text.as_bytes())?;
            let own = new.metadata()?;
            if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
                chown(&draft.path, Some(old.uid()), Some(old.gid()))?;
            }
            new.set_permissions(old.permissions())?;
            new.sync_all()?;
            Ok(draft)
        };
        spawn_blocking(write).await.map_err(io::Error::other)?
    }

    /// Puts it in place of the file.
    async fn take_place(self) -> io::Result<()> {
        let rename = move || {
            fs::rename(&self.path, &self.file)?;
            let folder = self.file.parent().unwrap_or(Path::new("/"));
            File::open(folder)?.sync_all()
        };
        spawn_blocking(rename).await.map_err(io::Error::other)?
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
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
