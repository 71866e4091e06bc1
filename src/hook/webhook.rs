//! A webhook: a server that is told what happens, one entry after the other, each until it has said yes.
//!
//! ```text
//! POST /hook HTTP/1.1
//! content-type: application/json
//! webhook-id: 1764254440123456
//! webhook-timestamp: 1764254441
//! webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=
//!
//! {"id":1764254440123456,"at":"2026-11-27T14:40:40.123Z","severity":"info","code":"publish.started","stream":"live/show"}
//! ```

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Trouble;
use super::reader::{Reader, Told};
use super::signature::Key;
use crate::backoff::Backoff;
use crate::causes;
use crate::limits::{WEBHOOK_ANSWERS, WEBHOOK_FIRST, WEBHOOK_MAX};
use crate::net::Network;
use crate::net::http::{self, Target};
use crate::net::tls::Trust;

/// Whom to tell, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where.
    pub server: Target,
    /// Whom we believe to be it, behind https.
    pub trust: Trust,
    /// What it knows us by.
    pub key: Option<Key>,
    /// How long it may take to answer.
    pub timeout: Duration,
}

/// Why somebody could not be told.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Http(#[from] http::Failure),
    #[error("did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("answered with status {}", .0.as_u16())]
    Status(StatusCode),
}

impl Webhook {
    /// Tells what is to be told, to the end.
    pub(super) async fn tell<N: Network>(
        &self,
        net: &N,
        mut reader: Reader,
        mut trouble: Trouble,
        random: fastrand::Rng,
        ending: &CancellationToken,
    ) {
        let mut backoff = Backoff::new(WEBHOOK_FIRST, random);
        while let Some(told) = reader.next().await {
            if self.deliver(net, &told, &mut trouble, &mut backoff, ending).await {
                backoff.reset();
                trouble.worked();
            }
        }
    }

    /// Tells one thing until it is heard. False if it is given up.
    async fn deliver<N: Network>(
        &self,
        net: &N,
        told: &Told,
        trouble: &mut Trouble,
        backoff: &mut Backoff,
        ending: &CancellationToken,
    ) -> bool {
        let mut answers = 0;
        while let Err(failure) = self.post(net, told).await {
            // Without an answer it is tried for ever: what waits is in the journal. A server that has answered may never like
            // this one, and would hear nothing else.
            answers += usize::from(matches!(failure, Failure::Status(_)));
            trouble.failed(&format_args!("the webhook {}", causes::in_one_line(&failure)));
            if answers >= WEBHOOK_ANSWERS || ending.is_cancelled() {
                trouble.gave_up(told);
                return false;
            }
            tokio::select! {
                biased;
                () = ending.cancelled() => {}
                () = sleep(backoff.next(WEBHOOK_MAX)) => {}
            }
        }
        true
    }

    /// Tells it once.
    async fn post<N: Network>(&self, net: &N, told: &Told) -> Result<(), Failure> {
        let now = net.time_of_day().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let request = self.request(told, now);
        let answered = timeout(self.timeout, self.server.post(net, &self.trust, request)).await;
        let status = answered.map_err(|_| Failure::TimedOut(self.timeout))??;
        if status.is_success() { Ok(()) } else { Err(Failure::Status(status)) }
    }

    fn request(&self, told: &Told, now: u64) -> Request<Full<Bytes>> {
        let (id, body) = (told.entry.id, told.json());
        let mut request = self.server.request().header(CONTENT_TYPE, "application/json");
        request = request.header("webhook-id", id).header("webhook-timestamp", now);
        if let Some(key) = &self.key {
            request = request.header("webhook-signature", key.sign(id, now, &body));
        }
        request.body(Full::new(body.into())).expect("a URL that was read, and headers of digits and base64")
    }
}
