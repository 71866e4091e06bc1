//! Facts about the relay that are no race: how soon it is there, how large it is, what waiting costs, what each hop adds, which
//! system calls it makes.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cell::Cell;
use crate::load::{Count, Quantiles};
use crate::program::{Program, free};
use crate::run::Load;
use crate::subject::{Running, Subject, beside, command};

/// Times that it is started.
const STARTS: usize = 21;
/// Connections that wait for a stream.
const IDLE: u64 = 1000;
/// How long anything is looked at.
const LOOK: Duration = Duration::from_secs(8);

/// All of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Milliseconds from its start to the first connection it takes: median and longest.
    pub(crate) start: (f64, f64),
    /// Bytes of the program.
    pub(crate) size: u64,
    /// KiB with nobody connected, and KiB for each connection that waits.
    pub(crate) empty: u64,
    pub(crate) idle: f64,
    /// Processors in use while they wait.
    pub(crate) idle_cpu: f64,
    /// How long messages took to a reader behind one, two and three relays.
    pub(crate) hops: Vec<Quantiles>,
    /// System calls for each delivered message, by the number of destinations and the call.
    pub(crate) calls: BTreeMap<usize, BTreeMap<String, f64>>,
}

impl Facts {
    /// Finds them out.
    pub(crate) fn run(folder: &Path) -> Result<()> {
        let mut facts = Facts { size: std::fs::metadata(beside("rtmp-relay"))?.len(), ..Facts::default() };
        let mut starts = (0..STARTS).map(|_| start(folder)).collect::<Result<Vec<_>>>()?;
        starts.sort_by(f64::total_cmp);
        facts.start = (starts[STARTS / 2], starts[STARTS - 1]);
        println!("start-up: {:.1} ms, {:.1} at most; {} bytes", facts.start.0, facts.start.1, facts.size);
        (facts.empty, facts.idle, facts.idle_cpu) = idle(folder)?;
        println!(
            "idle: {} KiB empty, {:.1} KiB a connection, {:.4} processors",
            facts.empty, facts.idle, facts.idle_cpu
        );
        facts.hops = chain(folder)?;
        println!("hops: {:?}", facts.hops);
        for destinations in [5, 20, 100] {
            match calls(destinations, folder) {
                Ok(calls) => {
                    println!("system calls for a message to one of {destinations}: {calls:.3?}");
                    facts.calls.insert(destinations, calls);
                }
                Err(error) => eprintln!("SKIPPED system calls: {error:#}"),
            }
        }
        Ok(std::fs::write(folder.join("facts.json"), serde_json::to_string_pretty(&facts)?)?)
    }
}

/// Milliseconds until it takes a connection.
fn start(folder: &Path) -> Result<f64> {
    let address = free()?;
    let relay = command(&beside("rtmp-relay"), &["serve", "--listen", &address.to_string()]);
    let began = Instant::now();
    let _relay = Program::start(&relay, &folder.join("subject.log"))?;
    while TcpStream::connect(address).is_err() {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(10), "it does not start");
        sleep(Duration::from_micros(100));
    }
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// KiB before anybody comes, KiB for each player without a stream, and processors in use meanwhile.
fn idle(folder: &Path) -> Result<(u64, f64, f64)> {
    let cell = Cell::parse("play-1")?;
    let mut load = Load::with(&["load", "--play", "--idle", &format!("--readers={IDLE}")])?;
    let running = Subject::Relay.start(&cell, load.readers, folder)?;
    sleep(Duration::from_secs(1));
    let before = running.program.usage();
    load.flows(&running)?;
    sleep(Duration::from_secs(3));
    let after = running.program.usage();
    sleep(LOOK);
    let later = running.program.usage();
    let each = (after.rss - before.rss) as f64 / IDLE as f64;
    Ok((before.rss, each, later.cpu_since(&after) / LOOK.as_secs_f64()))
}

/// Three relays, one behind the other, with a reader behind each.
fn chain(folder: &Path) -> Result<Vec<Quantiles>> {
    let mut load = Load::with(&["load", "--readers=3"])?;
    let mut relays: Vec<Program> = Vec::new();
    let mut next: Option<SocketAddr> = None;
    for hop in (1..=3).rev() {
        let address = free()?;
        let reader = format!("rtmp://{}/live/hop{hop}-0", load.readers);
        let onward = next.map(|next| format!("rtmp://{next}/live/s0"));
        let mut relay =
            command(&beside("rtmp-relay"), &["serve", "--listen", &address.to_string(), "--relay-to", &reader]);
        relay.args(onward.iter().flat_map(|onward| ["--relay-to", onward]));
        relays.push(Program::start(&relay, &folder.join(format!("hop{hop}.log")))?.awaits(address)?);
        next = Some(address);
    }
    let publish = next.context("a relay")?;
    let program = relays.pop().context("a relay")?;
    let running = Running { program, publish, play: publish };
    load.flows(&running)?;
    // A destination that was tried before the stream was there begins at the next key frame.
    sleep(Duration::from_secs(4));
    let count = look(&mut load)?;
    (1..=3).map(|hop| count.latency.get(&format!("hop{hop} both")).copied().context("a hop without media")).collect()
}

fn look(load: &mut Load) -> Result<Count> {
    load.talk.say("open")?;
    sleep(LOOK);
    load.talk.say("close")?;
    load.end()
}

/// System calls for each delivered message, by their names.
fn calls(destinations: usize, folder: &Path) -> Result<BTreeMap<String, f64>> {
    let cell = Cell::parse(&format!("push-{destinations}"))?;
    let mut load = Load::start(&cell, false, folder)?;
    let running = Subject::Relay.start(&cell, load.readers, folder)?;
    load.flows(&running)?;
    sleep(Subject::Relay.warm());
    let out = folder.join("strace.txt");
    let mut strace = std::process::Command::new("strace");
    strace.args(["-c", "-f", "-p", &running.program.id().to_string(), "-o"]).arg(&out).stderr(Stdio::null());
    let mut strace = strace.spawn().context("strace, which Debian's package of that name has")?;
    // Until it has taken hold of every thread.
    sleep(Duration::from_secs(1));
    let began = Instant::now();
    load.talk.say("open")?;
    sleep(LOOK);
    load.talk.say("close")?;
    let count = load.end()?;
    command(Path::new("kill"), &["-INT", &strace.id().to_string()]).status()?;
    strace.wait()?;
    // What it has counted before and after is taken for the same work.
    let share = (began.elapsed() + Duration::from_secs(1)).as_secs_f64() / count.seconds;
    let table = std::fs::read_to_string(&out)?;
    let rows = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let calls: f64 = words.get(3)?.parse().ok()?;
        let name = words.last().filter(|name| **name != "total")?;
        Some(((*name).to_owned(), calls / share / count.messages as f64))
    });
    Ok(rows.filter(|(_, calls)| *calls >= 0.0005).collect())
}
