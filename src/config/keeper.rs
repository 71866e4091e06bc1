//! The keeper of the configuration file: the one who writes into it, while it is in use.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::{mpsc, oneshot};

use super::edit::{Edit, Refused};

/// Edits that may wait for it.
const EDITS: usize = 16;

/// A way to the keeper.
#[derive(Debug, Clone)]
pub struct Keeper(mpsc::Sender<Order>);

/// Something to write, and to do.
pub struct Order {
    /// What is to be written.
    pub edit: Edit,
    /// Brings it into force, once it is sure that it can be written. False if that fails: then it is not written.
    pub apply: Pin<Box<dyn Future<Output = bool> + Send>>,
    /// How it went.
    pub answer: oneshot::Sender<Result<(), Refused>>,
}

impl Keeper {
    /// A way to a keeper, and where it hears of edits.
    pub fn new() -> (Keeper, mpsc::Receiver<Order>) {
        let (keeper, orders) = mpsc::channel(EDITS);
        (Keeper(keeper), orders)
    }

    /// Has something written and brought into force. Once the keeper has begun, it goes on, whoever waits.
    pub async fn write(&self, edit: Edit, apply: impl Future<Output = bool> + Send + 'static) -> Result<(), Refused> {
        let (answer, answered) = oneshot::channel();
        let order = Order { edit, apply: Box::pin(apply), answer };
        self.0.send(order).await.map_err(|_| Refused::Ended)?;
        answered.await.map_err(|_| Refused::Ended)?
    }
}
