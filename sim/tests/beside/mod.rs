//! A control stream beside a villain: an encoder, a relay, a destination and a player, who must not notice anything; and how much
//! memory the whole world takes meanwhile.

#![allow(dead_code, missing_docs, unreachable_pub)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peak_alloc::PeakAlloc;
use sim::{Act, Answer, Deed, End, World, laws, ms, secs, wire};

/// All that the test's process has allocated.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// One at a time: the heap is everybody's.
static ALONE: Mutex<()> = Mutex::new(());

/// What one villain may cost: what its connection and the simulated network hold, and the control stream's own growth.
pub const HEAP_MAX: usize = 1 << 20;
/// What everybody's memory of the control stream grows by.
pub const HEAP_A_SECOND: usize = 64 << 10;
/// The stream beside the villain, and the place of all it is sent to.
pub const CONTROL: &str = "live/control";
/// The key of the destinations.
pub const KEY: &str = "Nk7canary5Qm";
/// Frames that may be under way.
const UNDER_WAY: usize = 30;

/// Whoever does one thing after the other.
pub trait Does: Sized {
    fn does(self, deed: Deed) -> Self;

    fn says(self, bytes: impl AsRef<[u8]>) -> Self {
        self.does(Deed::Say(bytes.as_ref().to_vec().into()))
    }

    fn hears(self, bytes: impl AsRef<[u8]>) -> Self {
        self.does(Deed::Hear(bytes.as_ref().to_vec().into()))
    }

    fn again(self, bytes: impl AsRef<[u8]>, times: usize) -> Self {
        self.does(Deed::Again(bytes.as_ref().to_vec().into(), times, Duration::ZERO))
    }

    fn drips(self, bytes: impl AsRef<[u8]>, size: usize, pause: Duration) -> Self {
        self.does(Deed::Drip(bytes.as_ref().to_vec().into(), size, pause))
    }
}

/// Waits until no other world runs in this process.
pub fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a case, and adds what went wrong to `failures`.
pub fn judge(failures: &mut String, name: &str, case: impl FnOnce()) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(case));
    std::panic::set_hook(hook);
    if let Err(panic) = judged {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
        let _ = writeln!(failures, "{name}: {text}");
    }
}

/// How much the heap has grown at its peak.
pub struct Heap(usize);

impl Heap {
    pub fn now() -> Self {
        HEAP.reset_peak_usage();
        Heap(HEAP.current_usage())
    }

    pub fn growth(&self) -> usize {
        HEAP.peak_usage().saturating_sub(self.0)
    }
}

/// A world whose control stream begins at once: `relay` sends it to `platform`, `viewer` plays it.
pub fn world(seed: u64, destinations: &[&str]) -> World {
    let control = format!("rtmp://platform/live/{KEY}");
    let urls: Vec<&str> = [control.as_str()].into_iter().chain(destinations.iter().copied()).collect();
    World::seeded(seed)
        .relay("relay", &urls)
        .server("platform", |_| Answer::Accept)
        .encoder("obs", "relay/live/control", &[Act::Thin, Act::Publish(secs(3600))])
        .player("viewer", "relay/live/control", ms(200))
        .villain("guest")
}

/// Nobody has noticed anything, and nobody would who came now.
pub fn nothing_is_lost(world: &mut World) {
    let visitors = world.visitors("relay");
    let heard = |code: &'static [u8]| Deed::Hear(code.into());
    let honest = [wire::hello(), wire::echo(), wire::connect("live"), wire::create_stream(), wire::play("control")];
    let picture = heard(b"\x17\x01\0\0\0");
    let deeds = vec![Deed::Say(honest.concat().into()), heard(b"NetStream.Play.Start"), picture, Deed::Close];
    let guest = world.attack("guest", "relay", deeds);
    // The next key frame is two seconds away at most, and the newest is at hand.
    for _ in 0..100 {
        world.run(ms(10));
        if guest.borrow().ended.is_some() {
            break;
        }
    }
    assert_eq!(guest.borrow().ended, Some(End::Left), "a guest was not served");
    world.run(ms(100));
    assert_eq!(world.visitors("relay"), visitors, "visitors, when the guest has gone");
    let sessions = world.sessions("platform");
    assert_eq!(sessions.len(), 1, "connections of the destination beside it");
    let sent = world.sent("obs");
    let all = sent.iter().filter(|media| !media.is_preamble()).count();
    for got in [&world.played("viewer"), &sessions[0].tape] {
        laws::begins_with_preamble_and_key(got);
        laws::time_never_goes_back(got);
        laws::keeps_pace(&sent, got);
        laws::arrives_within(secs(2), &sent, got);
        let runs = laws::runs(&sent, got);
        assert_eq!(runs.len(), 1, "the control stream was got in pieces: {runs:?}");
        assert!(all - runs[0].end < UNDER_WAY, "of {all} frames {runs:?} were got");
    }
    let status = world.status("relay", "platform");
    assert_eq!((status.attempts, status.dropped), (1, 0), "the destination beside it: {status:?}");
}

/// The key and whatever would move a terminal's cursor are not in the log.
pub fn the_log_is_clean(log: &str) {
    assert!(!log.contains(KEY), "the key is in the log:\n{log}");
    if let Some(line) = log.lines().find(|line| line.chars().any(char::is_control)) {
        panic!("a control character is in the log: {line:?}");
    }
    if let Some(line) = log.lines().find(|line| line.len() > 1024) {
        panic!("a line of {} bytes is in the log: {}", line.len(), &line[..100]);
    }
}

/// `told` is in a line of the log.
pub fn is_told(log: &str, told: &str) {
    assert!(log.contains(told), "the log does not say {told:?}, but:\n{log}");
}

/// How long it takes.
pub fn within(name: &str, took: Duration, from: Duration, to: Duration) {
    assert!((from..=to).contains(&took), "{name} took {took:?}");
}

/// There are at least a hundred cases, and no two of one name.
pub fn are_many<'a>(names: impl Iterator<Item = &'a String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        assert!(seen.insert(name), "twice: {name}");
    }
    assert!(seen.len() >= 100, "{} cases", seen.len());
}
