//! A soak's viewer: it plays, comes back when the stream ends, and leaves when the world does.

use std::future::pending;
use std::time::Duration;

use rtmp_relay::rtmp::client::Event;
use rtmp_relay::rtmp::server::Role;
use tokio::time::{sleep, timeout};
use tracing::info;

use crate::peer::{Client, Place, Result, Session, Shared, Tape, note};
use crate::trace::Trace;

/// A player.
#[derive(Clone)]
pub(crate) struct Viewer {
    pub(crate) place: &'static str,
    pub(crate) after: Duration,
    pub(crate) sessions: Shared<Vec<Session>>,
    pub(crate) over: Shared<bool>,
    pub(crate) trace: Trace,
}

impl Viewer {
    pub(crate) async fn run(self) -> turmoil::Result {
        sleep(self.after).await;
        while !*self.over.borrow() {
            match self.play().await {
                Ok(why) => info!("the stream has ended: {why}"),
                Err(error) => info!("playing has ended: {error}"),
            }
            if let Some(last) = self.sessions.borrow_mut().last_mut() {
                last.closed.get_or_insert(self.trace.now());
            }
            sleep(Duration::from_millis(700)).await;
        }
        pending().await
    }

    async fn play(&self) -> Result<String> {
        let opened = self.trace.now();
        let (mut client, _) = Client::open(Place(self.place), Role::Play).await?;
        let began = Some(self.trace.now());
        let session =
            Session { opened, closed: None, began, commands: Vec::new(), tape: Tape::new(), cut_short: false };
        self.sessions.borrow_mut().push(session);
        loop {
            let event = match timeout(Duration::from_secs(1), client.event()).await {
                Ok(event) => event?,
                Err(_) if *self.over.borrow() => return Ok("it has seen enough".to_owned()),
                Err(_) => continue,
            };
            match event {
                Event::Message(message) => {
                    let mut sessions = self.sessions.borrow_mut();
                    let tape = &mut sessions.last_mut().expect("its own").tape;
                    note(&self.trace, tape, message.type_id, message.timestamp, &message.payload);
                }
                Event::Ended(status) | Event::Refused(_, status) => return Ok(status.code),
                Event::Started(_) | Event::Reconnect(_) => {}
            }
        }
    }
}
