//! The programs in `examples/` do what they say.

#![allow(missing_docs, unreachable_pub)]

#[path = "../examples/embed.rs"]
mod embed;
#[path = "../examples/session.rs"]
mod session;

#[test]
fn a_relay_can_be_embedded() {
    embed::main().expect("it runs to its end");
}

#[test]
fn a_session_can_be_driven_with_bytes() {
    session::main().expect("it runs to its end");
}
