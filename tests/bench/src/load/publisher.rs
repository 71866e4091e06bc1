//! A publisher: one stream, message by message when each is due.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use rtmp_relay::net::{Connection, Filled, Source};
use rtmp_relay::rtmp::chunk::DEFAULT_SIZE;
use rtmp_relay::rtmp::chunk::writer::{Header, Lane, message};
use rtmp_relay::rtmp::server::Role;
use rtmp_relay::rtmp::session::Session;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::count::Tally;
use super::dialogue;
use super::raw::Raw;
use crate::film::{Film, Stamp, shots};

/// A stream that has been accepted.
pub(super) struct Publisher {
    stream: u16,
    message_stream: u32,
    hand: Hand,
}

/// Begins to publish stream `stream`.
pub(super) async fn connect(raw: bool, server: SocketAddr, stream: u16) -> Result<Publisher> {
    let socket = TcpStream::connect(server).await?;
    socket.set_nodelay(true)?;
    let hand = Hand::default();
    let message_stream = match raw {
        true => {
            hand.drive(Connection::new(socket, Raw::new()));
            1
        }
        false => {
            let mut connection = Connection::new(socket, dialogue::client(Role::Publish, server, stream));
            let message_stream = dialogue::started(&mut connection).await?;
            hand.drive(connection);
            message_stream
        }
    };
    Ok(Publisher { stream, message_stream, hand })
}

impl Publisher {
    /// Publishes until the tally has ended.
    pub(super) async fn run(self, film: Arc<Film>, bulk: bool, tally: Arc<Tally>) {
        let put = |kind, time: Duration, payload: &[u8]| {
            let header = Header::Start { time: time.as_millis() as u32, stream: self.message_stream };
            self.hand.put(message(Lane::of(kind), header, payload, DEFAULT_SIZE));
        };
        for (kind, payload) in &film.headers {
            put(*kind, Duration::ZERO, payload);
        }
        // Streams do not begin at the same instant, nor do their key frames fall together.
        let start = Instant::now() + Duration::from_millis(37) * u32::from(self.stream % 50);
        for (number, shot) in (0_u32..).zip(shots()) {
            let late = match bulk {
                true => {
                    tally.room(self.stream, number).await;
                    Duration::ZERO
                }
                false => tally.due(start + shot.time).await.elapsed(),
            };
            let Some(sent) = tally.publish(self.stream, shot.kind, late) else { break };
            let stamp = Stamp { sent, stream: self.stream, number, of_kind: shot.of_kind };
            put(shot.kind, shot.time, &film.payload(shot, stamp));
        }
        // The stream stays open: what is held of it is to arrive because of its age, not of its end.
        std::future::pending().await
    }
}

/// Messages on their way to one connection.
#[derive(Clone, Default)]
struct Hand(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    messages: VecDeque<Bytes>,
    waker: Option<Waker>,
}

impl Hand {
    /// Sends through `connection` from now on.
    fn drive<P: Session>(&self, mut connection: Connection<TcpStream, P, Hand>) {
        connection.feed(self.clone());
        tokio::spawn(async move {
            loop {
                while let Ok(Some(_)) = connection.event() {}
                if connection.receive().await.is_err() {
                    break;
                }
            }
            eprintln!("load: a publisher's connection has ended");
        });
    }

    /// Sends a message, at once if there is room for it.
    fn put(&self, message: Bytes) {
        let waker = {
            let mut held = self.lock();
            held.messages.push_back(message);
            held.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

impl Source for Hand {
    fn fill(&mut self, _: usize, put: &mut dyn FnMut(Bytes)) -> Filled {
        match self.lock().messages.pop_front() {
            Some(message) => {
                put(message);
                Filled::Some
            }
            None => Filled::Level,
        }
    }

    fn wake(&mut self, waker: Waker) {
        self.lock().waker = Some(waker);
    }
}
