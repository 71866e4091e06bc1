//! A handful of the soak's worlds, and for each bug that it has found one that shows it. What a seed draws changes with the
//! generator; the bug stays as a mutant, which says which seed shows it now.

use sim::soak::{Kind, Law, Plan, Told, play, play_twice};

/// No law is broken in the world of this seed.
fn holds(seed: u64) {
    let outcome = play(seed, Told::Nothing);
    if let Some(violation) = outcome.violation {
        let faults: String = outcome.plan.faults.iter().map(|fault| format!("  {fault}\n")).collect();
        panic!("{violation}\n{faults}  cargo run --release -p sim -- replay --seed {seed}");
    }
    assert!(outcome.lasted.as_secs() >= 60 && outcome.plan.faults.len() >= 2, "a world that was worth it");
}

#[test]
fn no_law_is_broken_in_the_first_worlds() {
    (0..4).for_each(holds);
}

/// A stall was counted from the last look and judged at a look, so that it took twelve seconds: mutant `SeenTooLate`.
#[test]
fn a_peer_that_takes_nothing_is_left_within_ten_seconds() {
    holds(1);
}

/// A stream that began anew while its old session was ending had a row of its own, and the old one went away with all
/// it knew: mutant `ForgetsRow`. Before that it had two sessions at once: mutant `TwoAtOnce`.
#[test]
fn a_destination_keeps_its_figures_when_its_stream_begins_anew() {
    holds(51);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let outcome = play_twice(5, Told::Story);
    assert_eq!(outcome.violation, None);
    assert!(outcome.trace.lines().count() > 50, "there is something to compare");
}

#[test]
fn seeds_differ_and_all_kinds_of_fault_are_drawn() {
    let plans: Vec<Plan> = (0..300).map(Plan::drawn).collect();
    for kind in Kind::ALL {
        assert!(plans.iter().any(|plan| plan.faults.iter().any(|fault| fault.kind == kind)), "nobody draws {kind:?}");
    }
    let least = plans.iter().map(|plan| plan.faults.len()).min();
    assert!(least >= Some(2), "some world has only {least:?} faults");
}

#[test]
fn every_law_has_a_sentence_of_its_own() {
    let mut sentences: Vec<&str> = Law::ALL.iter().map(|law| law.sentence()).collect();
    sentences.sort_unstable();
    sentences.dedup();
    assert_eq!(sentences.len(), Law::ALL.len());
}

/// A log of 60,000 bytes, a GOP of five seconds, and an encoder whose link lets go of as much at once: what does not fit is left
/// out, and no law says otherwise.
#[test]
fn a_burst_longer_than_the_log_is_no_fault_of_a_readers() {
    holds(3161);
    holds(3744);
}
