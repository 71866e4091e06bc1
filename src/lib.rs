//! A multi-destination RTMP relay: an encoder publishes one stream, everybody else reads it.
//!
//! **A stream is a bounded log of immutable frames; every reader is a cursor on that log.** Players, destinations and
//! recordings differ in where they start and what they do with a frame, and in nothing else. The publisher appends and waits
//! for nobody.
//!
//! ```text
//!  OBS ─► net::Stream ─► Connection<ServerSession> ─► Publication ▒ LOG ▒ Cursor ─► Connection<ClientSession> ─► YouTube
//!          the door       chunks → message             the log       message → chunks          the door
//!          net            rtmp · inbound · ingest      stream        feed · player · destination · recorder
//! ```
//!
//! From the encoder's byte to the platform's byte: `net::connection` reads into the session's buffer; `rtmp::chunk::reader`
//! puts one message's payload together, the only copy; `ingest` asks `flv` what it is, puts headers and metadata into the
//! preamble and everything else on the log, with the chunk header that all sessions share written in front of it; the log
//! wakes its readers, and waking a connection that is level writes to its socket there and then, one vectored write for all
//! that one read brought.
//!
//! | module | noun |
//! |---|---|
//! | [`rtmp`], [`flv`] | the protocol and the payloads, without sockets, clocks or tasks |
//! | [`stream`] | log, cursor, preamble, publication, directory |
//! | [`net`] | the doors: listeners, streams, TLS around them, connections |
//! | [`feed`] | a cursor in the chunks of one session |
//! | [`film`] | frames as the bytes of an FLV file |
//! | [`gate`] | who may publish and play |
//! | [`inbound`], [`ingest`], [`player`] | connections made to us |
//! | [`destination`] | connections we make, again and again |
//! | [`recorder`] | FLV files |
//! | [`viewer`] | the same bytes, sent as they come to be, for browsers |
//! | [`journal`], [`hook`] | what has happened, and who is told |
//! | [`relay`] | all of them together |
//! | [`api`] | the same over HTTP, while it runs |
//! | [`preflight`] | the way to a destination, tried before the show |
//! | [`platforms`], [`guard`] | what is known of YouTube and the others, and how a stream fits it |
//! | [`config`], [`origin`], [`limits`] | what it is told and by whom, and what it allows |
//!
//! # A relay in your program
//!
//! It listens from `bind` on and serves while it runs. Encoders connect to it, or the program publishes by itself, as here;
//! `examples/embed.rs` has a destination and a reader too. `rtmp` can be used by itself: see [`rtmp::ServerSession`].
//!
//! ```
//! use rtmp_relay::flv::{Kind, file::Tag};
//! use rtmp_relay::ingest::Ingest;
//! use rtmp_relay::net::tcp::Tcp;
//! use rtmp_relay::stream::{Hops, Name};
//! use rtmp_relay::{CancellationToken, Config, Relay, Rng, config};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config { listen: config::listen("127.0.0.1:0")?, ..Config::default() };
//! let relay = Relay::bind(Tcp, config, Rng::new()).await?;
//! println!("players find it at rtmp://{}/live/show", relay.address());
//! let directory = relay.directory().clone();
//! let stop = CancellationToken::new();
//! let serving = tokio::spawn(relay.run(stop.clone()));
//!
//! let name = Name::new("live/show").ok_or("no stream name")?;
//! let mut encoder = Ingest::new(directory.publish(name, Hops::default())?);
//! let key_frame = Tag { kind: Kind::Video, timestamp: 0, payload: b"\x17\x01\0\0\0picture"[..].into() };
//! encoder.message((&key_frame).into());
//! encoder.announce();
//! assert_eq!(directory.live().len(), 1);
//! encoder.end();
//! assert_eq!(directory.live().len(), 0);
//!
//! stop.cancel();
//! serving.await?;
//! # Ok(())
//! # }
//! ```

#[macro_use]
pub mod mutants;

pub mod api;
pub mod backoff;
pub mod causes;
pub mod cli;
pub mod config;
pub mod destination;
pub mod feed;
pub mod film;
pub mod flv;
pub mod gate;
pub mod guard;
pub mod hook;
pub mod inbound;
pub mod ingest;
pub mod journal;
pub mod limits;
pub mod net;
pub mod origin;
pub mod platforms;
pub mod player;
pub mod preflight;
pub mod recorder;
pub mod relay;
pub mod rtmp;
pub mod stream;
pub mod viewer;

pub use config::Config;
// What a relay is given at its start, so that nobody needs these crates for that alone.
pub use fastrand::Rng;
pub use relay::Relay;
pub use tokio_util::sync::CancellationToken;
