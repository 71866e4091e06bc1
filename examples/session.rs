//! The protocol without a network: the bytes of a real encoder, and what the server's end makes of them.
//!
//!     cargo run --example session

use std::error::Error;

use rtmp_relay::rtmp::server::Event;
use rtmp_relay::rtmp::session::{Output, Session};
use rtmp_relay::rtmp::{ServerSession, handshake};

/// Tells what comes of one recorded connection.
pub fn main() -> Result<(), Box<dyn Error>> {
    let recording = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/obs/29-publish.c2s.bin"))?;

    let mut session = ServerSession::new(handshake::random(1));
    let (mut messages, mut answered) = (0, 0);
    // A socket would hand the bytes over in pieces like these.
    for bytes in recording.chunks(1460) {
        session.input().extend_from_slice(bytes);
        while let Some(output) = session.poll()? {
            match output {
                Output::Transmit(bytes) => answered += bytes.len(),
                Output::Event(Event::Request(request)) => {
                    // The name is a key to many servers: it prints as a fingerprint.
                    println!("{} asks to {:?} {}", request.agent, request.role, request.name);
                    session.accept(request);
                }
                Output::Event(Event::Message(message)) => {
                    messages += 1;
                    if messages <= 5 {
                        println!(
                            "type {:>2} at {:>4} ms: {} bytes",
                            message.type_id,
                            message.timestamp,
                            message.payload.len()
                        );
                    }
                }
                Output::Event(Event::Stopped) => println!("it has stopped"),
            }
        }
    }
    println!("{messages} messages; {answered} bytes answered; now {}", session.phase());
    Ok(())
}
