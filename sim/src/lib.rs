//! Whole relays on a simulated network: the product as it is, in front of peers that do what a scenario says, with time that
//! passes only when told to, and one seed for all that is random.
//!
//! ```text
//!  tests/chain.rs …  ─►  World  ─►  turmoil: hosts, links, ticks
//!     one scenario a file │  └─► Trace: everybody's log, with simulated time
//!                         ├─► Relay<Turmoil>: the product
//!                         └─► peers: encoders, players, servers
//! ```
//!
//! | module | noun |
//! |---|---|
//! | [`net`] | the simulated network behind the product's doors |
//! | [`peer`] | encoders, players, servers and villains, and what they remember |
//! | [`wire`] | bytes for villains, sound or not |
//! | [`world`] | hosts, links, one seed |
//! | [`event`] | what a script has happen |
//! | [`trace`] | what has happened |
//! | [`laws`] | what has to be so |
//! | [`soak`] | thousands of worlds drawn from seeds, and the laws that watch them |

pub mod event;
pub mod laws;
pub mod net;
pub mod peer;
mod quiet;
pub mod soak;
pub mod trace;
pub mod wire;
pub mod world;

pub use peer::{Act, Answer, Deed, Encounter, End, Media, Session, Tape};
pub use world::{World, ms, secs};

#[cfg(test)]
mod tests {
    /// Without it an unbiased `select!` differs from run to run, and a panic in a task is swallowed. `RUSTFLAGS` in the
    /// environment displaces what `.cargo/config.toml` says.
    #[test]
    fn this_is_built_with_tokio_unstable() {
        if !cfg!(tokio_unstable) {
            panic!("build with --cfg tokio_unstable");
        }
    }
}
