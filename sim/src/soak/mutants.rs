//! Mutants: deliberate bugs in the product, each of which a law has to catch.

use std::fmt;

use rtmp_relay::mutants::{Mutant, choose};

use super::{Law, Told, Violation, play, play_twice};

/// How the hunt for one of them went.
#[derive(Debug)]
pub struct Hunted {
    /// The bug.
    pub mutant: Mutant,
    /// The law it was made to break.
    pub law: &'static str,
    /// What it does.
    pub does: &'static str,
    /// What caught it; none if it has survived.
    pub caught: Option<Violation>,
}

/// Hunts those of these names, or all if there are none, each through so many seeds.
pub fn hunt(names: &[String], seeds: u64, told: impl Fn(&Hunted)) -> Vec<Hunted> {
    let wanted = |mutant: &Mutant| names.is_empty() || names.contains(&format!("{mutant:?}"));
    let hunted = Mutant::ALL.iter().filter(|(mutant, ..)| wanted(mutant)).map(|(mutant, law, does)| {
        choose(Some(*mutant));
        let twice = *law == Law::Determinism.to_string();
        let caught = (0..seeds).find_map(|seed| match twice {
            true => play_twice(seed, Told::Story).violation,
            false => play(seed, Told::Nothing).violation,
        });
        choose(None);
        let hunted = Hunted { mutant: *mutant, law, does, caught };
        told(&hunted);
        hunted
    });
    hunted.collect()
}

impl fmt::Display for Hunted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hunted { mutant, law, does, caught } = self;
        match caught {
            Some(caught) => write!(f, "caught    {:18} {law:20} {does}: {caught}", format!("{mutant:?}")),
            None => write!(f, "SURVIVED  {:18} {law:20} {does}", format!("{mutant:?}")),
        }
    }
}
