//! The floor: a program that does nothing but send bytes. Every read from a source is one send to each of its sinks, on one thread,
//! without a protocol. Nothing that relays on plain sockets can be cheaper without joining writes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::Result;
use clap::Args;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

/// What is read at once at most, as in the relay.
const READ: usize = 256 << 10;

/// What is sent where.
#[derive(Debug, Clone, Args)]
pub(crate) struct Floor {
    /// Where sources connect to
    #[arg(long)]
    listen: SocketAddr,
    /// Where sinks connect to, all of which get everything
    #[arg(long)]
    players: Option<SocketAddr>,
    /// Where to connect to for each source …
    #[arg(long)]
    to: Option<SocketAddr>,
    /// … and how often
    #[arg(long, default_value_t = 0)]
    times: usize,
}

const SOURCES: u64 = 0;
const PLAYERS: u64 = 1;

impl Floor {
    /// Sends until it is killed.
    pub(crate) fn run(&self) -> Result<()> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let sources = TcpListener::bind(self.listen)?;
        epoll::add(&epoll, &sources, epoll::EventData::new_u64(SOURCES), epoll::EventFlags::IN)?;
        let players = self.players.map(TcpListener::bind).transpose()?;
        if let Some(players) = &players {
            epoll::add(&epoll, players, epoll::EventData::new_u64(PLAYERS), epoll::EventFlags::IN)?;
        }
        let mut streams: BTreeMap<u64, (TcpStream, Vec<TcpStream>)> = BTreeMap::new();
        let mut playing: Vec<TcpStream> = Vec::new();
        let mut buffer = vec![0; READ];
        let mut events = Vec::with_capacity(64);
        for next in PLAYERS + 1.. {
            events.clear();
            epoll::wait(&epoll, spare_capacity(&mut events), None)?;
            for event in &events {
                match event.data.u64() {
                    SOURCES => {
                        let (source, _) = sources.accept()?;
                        epoll::add(&epoll, &source, epoll::EventData::new_u64(next), epoll::EventFlags::IN)?;
                        streams.insert(next, (source, self.sinks()?));
                        // One for each number.
                        break;
                    }
                    PLAYERS => {
                        let player = players.as_ref().map(TcpListener::accept).transpose()?;
                        playing.extend(player.map(|(player, _)| player));
                        playing.last().map(|player| player.set_nodelay(true)).transpose()?;
                    }
                    number => {
                        let Some((source, sinks)) = streams.get_mut(&number) else { continue };
                        let read = source.read(&mut buffer)?;
                        if read == 0 {
                            streams.remove(&number);
                            continue;
                        }
                        for sink in sinks.iter_mut().chain(&mut playing) {
                            sink.write_all(&buffer[..read])?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn sinks(&self) -> Result<Vec<TcpStream>> {
        let Some(to) = self.to else { return Ok(Vec::new()) };
        (0..self.times)
            .map(|_| {
                let sink = TcpStream::connect(to)?;
                sink.set_nodelay(true)?;
                Ok(sink)
            })
            .collect()
    }
}
