//! A player: it comes when it is told to, and stays to the end.

use std::future::pending;
use std::time::Duration;

use rtmp_relay::rtmp::client::Event;
use rtmp_relay::rtmp::server::Role;
use tokio::time::sleep;
use tracing::info;

use super::media::{Tape, note};
use super::{Client, Place, Result, Shared};
use crate::trace::Trace;

/// A player: when it comes, and what it gets.
pub(crate) struct Player {
    pub(crate) place: Place,
    pub(crate) after: Duration,
    pub(crate) trace: Trace,
    pub(crate) tape: Shared<Tape>,
}

impl Player {
    pub(crate) async fn run(self) -> turmoil::Result {
        sleep(self.after).await;
        match self.play().await {
            Ok(code) => info!("the stream has ended: {code}"),
            Err(error) => info!("the connection has ended: {error}"),
        }
        pending().await
    }

    async fn play(&self) -> Result<String> {
        let (mut client, _) = Client::open(self.place, Role::Play).await?;
        info!("plays {}", self.place);
        loop {
            match client.event().await? {
                Event::Message(message) => {
                    note(&self.trace, &mut self.tape.borrow_mut(), message.type_id, message.timestamp, &message.payload)
                }
                Event::Ended(status) | Event::Refused(_, status) => return Ok(status.code),
                Event::Started(_) | Event::Reconnect(_) => {}
            }
        }
    }
}
