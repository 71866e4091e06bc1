//! A program that is measured: started, watched, and ended with all that it has started.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A program takes connections within this time, or never.
const STARTS: Duration = Duration::from_secs(20);

/// A running program. Dropped, it is killed.
pub(crate) struct Program {
    child: Child,
}

/// What a program and its children have used so far, and hold now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usage {
    /// Nanoseconds on a processor and times it gave one up, by thread.
    threads: BTreeMap<u32, (u64, u64)>,
    /// KiB of memory.
    pub(crate) rss: u64,
}

impl Usage {
    /// CPU-seconds since `before`. What a thread used that has ended in between is not in it.
    pub(crate) fn cpu_since(&self, before: &Usage) -> f64 {
        self.since(before, |thread| thread.0) as f64 / 1e9
    }

    /// Times that its threads have gone to sleep since `before`.
    pub(crate) fn switches_since(&self, before: &Usage) -> u64 {
        self.since(before, |thread| thread.1)
    }

    fn since(&self, before: &Usage, part: impl Fn(&(u64, u64)) -> u64) -> u64 {
        let of = |usage: &Usage, id| usage.threads.get(id).map_or(0, &part);
        self.threads.keys().map(|id| of(self, id).saturating_sub(of(before, id))).sum()
    }
}

impl Program {
    /// Starts a subject, whose output goes to `log`.
    pub(crate) fn start(command: &Command, log: &Path) -> Result<Program> {
        let file = File::create(log).with_context(|| log.display().to_string())?;
        let mut command = on(command, Processors::AllButTheFirst);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Ok(Program { child: command.spawn().with_context(|| format!("{command:?}"))? })
    }

    /// Starts the load, which is talked to.
    pub(crate) fn talk(command: &Command) -> Result<(Program, Talk)> {
        let mut child = on(command, Processors::TheFirst).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let talk = Talk {
            to: child.stdin.take().context("a pipe")?,
            from: BufReader::new(child.stdout.take().context("a pipe")?),
        };
        Ok((Program { child }, talk))
    }

    /// Starts what keeps the subjects' processors awake, and takes of them only what nobody else wants.
    pub(crate) fn that_keeps_awake() -> Result<Program> {
        let this = std::env::current_exe()?;
        let mut command = Command::new("nice");
        command.args(["-n", "19", "chrt", "--idle", "0"]).arg(this).arg("keep-awake");
        let mut command = on(&command, Processors::AllButTheFirst);
        Ok(Program { child: command.spawn().with_context(|| format!("{command:?}"))? })
    }

    /// Waits until it listens. The kernel is asked: to some a connection is their only client.
    pub(crate) fn awaits(mut self, address: SocketAddr) -> Result<Program> {
        let began = Instant::now();
        let suffix = format!(":{:04X}", address.port());
        let listens = |row: &str| {
            let mut words = row.split_whitespace().skip(1);
            words.next().is_some_and(|local| local.ends_with(&suffix)) && words.nth(1) == Some("0A")
        };
        while !fs::read_to_string("/proc/net/tcp")?.lines().any(listens) {
            if let Some(status) = self.child.try_wait()? {
                bail!("it has ended: {status}");
            }
            if began.elapsed() > STARTS {
                bail!("nothing listens at {address}");
            }
            sleep(Duration::from_millis(5));
        }
        Ok(self)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it and its children have used.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for process in tree(self.id()) {
            let rss = status(&format!("/proc/{process}/status"), "VmRSS:").unwrap_or(0);
            usage.rss += rss;
            for thread in numbers(&format!("/proc/{process}/task")) {
                let folder = format!("/proc/{process}/task/{thread}");
                let ran = fs::read_to_string(format!("{folder}/schedstat")).unwrap_or_default();
                let ran = ran.split(' ').next().and_then(|ran| ran.parse().ok()).unwrap_or(0);
                let slept = status(&format!("{folder}/status"), "voluntary_ctxt_switches:").unwrap_or(0);
                usage.threads.insert(thread, (ran, slept));
            }
        }
        usage
    }
}

/// Where a program may run. Whether a sender and its receiver share a processor would decide more than anything they do: with one
/// destination a send costs twice as much to a processor that sleeps. So they never do.
enum Processors {
    TheFirst,
    AllButTheFirst,
}

/// The same command, kept to these processors where there are several.
fn on(command: &Command, processors: Processors) -> Command {
    let all = std::thread::available_parallelism().map_or(1, NonZero::get);
    let list = match processors {
        Processors::TheFirst => "0".to_owned(),
        Processors::AllButTheFirst => format!("{}-{}", 1.min(all - 1), all - 1),
    };
    let mut pinned = Command::new("taskset");
    pinned.args(["--cpu-list", &list]).arg(command.get_program()).args(command.get_args());
    pinned
}

impl Drop for Program {
    fn drop(&mut self) {
        // Its children first: whoever loses its parent is nobody's any more.
        for process in tree(self.id()).into_iter().rev().filter(|process| *process != self.id()) {
            let _ = Command::new("kill").args(["-KILL", &process.to_string()]).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Uses up all processors that this process may use, for as long as it has the same parent.
pub(crate) fn keep_awake() {
    let parent = parent_id();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while parent_id() == parent {
                    (0..1_000_000).for_each(|number| _ = black_box(number));
                }
            });
        }
    });
}

/// Lines to and from a program.
pub(crate) struct Talk {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Talk {
    /// Says a line.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.to, "{line}")?)
    }

    /// Hears the next line.
    pub(crate) fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            bail!("it has ended");
        }
        Ok(line.trim_end().to_owned())
    }
}

/// A process and its descendants, parents first.
fn tree(root: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = numbers("/proc")
        .into_iter()
        .filter_map(|process| Some((process, status(&format!("/proc/{process}/status"), "PPid:")? as u32)))
        .collect();
    let mut tree = vec![root];
    let mut at = 0;
    while at < tree.len() {
        let parent = tree[at];
        tree.extend(all.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process));
        at += 1;
    }
    tree
}

fn numbers(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn status(path: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
}

/// What the whole machine has done: seconds by all processors together, in all and with nothing to do, and those that the
/// hypervisor gave to somebody else. What only keeps a processor awake is nothing to do, and has its own column: it is nice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    all: f64,
    idle: f64,
    stolen: f64,
}

impl Machine {
    /// Now.
    pub(crate) fn look() -> Result<Machine> {
        let text = fs::read_to_string("/proc/stat")?;
        let ticks: Vec<f64> =
            text.lines().next().context("no processors")?.split_whitespace().skip(1).flat_map(str::parse).collect();
        Ok(Machine {
            all: ticks.iter().take(8).sum::<f64>() / 100.0,
            idle: (ticks[1] + ticks[3] + ticks[4]) / 100.0,
            stolen: ticks[7] / 100.0,
        })
    }

    /// Seconds since `before`: busy, idle, stolen.
    pub(crate) fn since(&self, before: &Machine) -> (f64, f64, f64) {
        let (idle, stolen) = (self.idle - before.idle, self.stolen - before.stolen);
        (self.all - before.all - idle - stolen, idle, stolen)
    }
}

/// A port of this machine that is free now.
pub(crate) fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
