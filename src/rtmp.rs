//! The protocol, sans IO: bytes in, messages and bytes out. Nothing here owns a socket, a clock, a task or a random source.
//!
//! ```text
//!  bytes ─► handshake ─► chunk::Reader ─► aggregate ─► Message ─► ServerSession · ClientSession ─► Event
//!                        chunk::writer ◄───────────── Message ◄─ command, amf0               └─► login
//! ```

pub mod aggregate;
pub mod amf0;
pub mod capabilities;
pub mod chunk;
pub mod client;
pub mod command;
pub mod control;
pub mod error;
pub mod handshake;
pub mod login;
pub mod message;
pub mod secret;
pub mod server;
pub mod session;
pub mod timestamp;
pub mod url;

pub use capabilities::Capabilities;
pub use client::ClientSession;
pub use error::Error;
pub use message::{Message, Payload};
pub use secret::Secret;
pub use server::ServerSession;
