//! What the tests of the protocol share.
//!
//! | module | noun |
//! |---|---|
//! | [`recording`] | what a real program sent, and how it was cut |
//! | [`chunks`] | a second reader and writer of chunks, which share no line with the product's |
//! | [`hex`] | bytes as text |
//! | [`server`] | a session whose owner accepts everything |
//! | [`dialogue`] | both sides of a connection as a page to read |
//! | [`onward`] | what readers of a stream are sent |
//! | [`flv`] | what a recording of it would be, and a table of its tags |

// Every test is a crate of its own and uses its part of this.
#![allow(dead_code)]

pub(crate) mod chunks;
pub(crate) mod dialogue;
pub(crate) mod flv;
pub(crate) mod hex;
pub(crate) mod onward;
pub(crate) mod recording;
pub(crate) mod server;
