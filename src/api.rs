//! The HTTP API: what a relay shows of itself, and what it can be told while it runs.
//!
//! ```text
//!  caller ─► listener ─► connection ─► may it call? ─► route ─► Desk ─┬─► snapshots: board, directory, visitors
//!                          a task         Callers                     └─► orders: Control
//! ```
//! It owns nothing of the relay: it reads snapshots, which wait for nobody, and gives orders, which the relay carries out one
//! after the other. Whatever becomes of a call, no stream knows of it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::api::{LISTEN, Listen};
use crate::config::keeper::Keeper;
use crate::limits::{ACCEPT_REST, API_CALL, API_CONNECTIONS, API_HEAD_BYTES, STALL};
use crate::net::{Listener, Network};
use crate::relay::Relay;
use crate::viewer::Door;

mod answer;
mod call;
mod callers;
mod changes;
mod config;
mod desk;
mod destinations;
mod document;
mod events;
mod flv;
mod journal;
mod metrics;
mod page;
mod platforms;
pub mod problem;
mod recordings;
mod sessions;
mod status;
mod streams;

use call::Named;
use desk::Desk;

/// An API that listens and does not answer yet.
#[derive(Debug)]
pub struct Api<N: Network> {
    net: N,
    listener: N::Listener,
    address: SocketAddr,
    /// Its usual address is somebody else's.
    moved: bool,
    desk: Arc<Desk>,
    routes: Router,
    tasks: JoinSet<()>,
}

/// Why there is no API.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for the API on {address}")]
pub struct Error {
    address: SocketAddr,
    source: io::Error,
}

impl<N: Network> Api<N> {
    /// Listens as the relay's configuration says; none if that is nowhere. What is to outlive the relay goes to the keeper of its
    /// configuration file, if it has one.
    pub async fn bind(net: N, relay: &Relay<N>, keeper: Option<Keeper>) -> Result<Option<Self>, Error> {
        let (listener, moved) = match relay.present().load().api.listen {
            Listen::Off => return Ok(None),
            Listen::At(address) => (listen(&net, address).await?, false),
            Listen::Usual => match listen(&net, LISTEN).await {
                Ok(listener) => (listener, false),
                Err(_) => (listen(&net, (Ipv4Addr::LOCALHOST, 0).into()).await?, true),
            },
        };
        let address = listener.local_addr().map_err(|source| Error { address: LISTEN, source })?;
        let clock = net.clone();
        let desk = Arc::new(Desk::new(relay, keeper, address, move || clock.time_of_day()));
        let (directory, visitors) = (relay.directory().clone(), relay.visitors().clone());
        let door = Door::new(directory, visitors, relay.gate().clone(), relay.journal().clone());
        let routes = router(desk.clone(), Arc::new(door));
        Ok(Some(Api { net, listener, address, moved, desk, routes, tasks: JoinSet::new() }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether that is not where it usually does, since somebody else was there.
    pub fn moved(&self) -> bool {
        self.moved
    }

    /// Answers until it is dropped. From `stopping` on it says that the relay is not ready.
    pub async fn run(mut self, stopping: CancellationToken) {
        let mut rest: Option<Instant> = None;
        self.desk.stopping.set(stopping).expect("an API runs once");
        loop {
            let free = rest.is_none() && self.tasks.len() < API_CONNECTIONS;
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next() => report(ended),
                () = sleep_until(rest.unwrap_or_else(Instant::now)), if rest.is_some() => rest = None,
                accepted = self.listener.accept(), if free => match accepted {
                    Ok((stream, peer)) => self.serve(stream, peer),
                    Err(error) => {
                        warn!("cannot accept a connection to the API: {error}");
                        rest = Some(Instant::now() + ACCEPT_REST);
                    }
                },
            }
        }
    }

    fn serve(&mut self, stream: N::Stream, peer: SocketAddr) {
        let routes = TowerToHyperService::new(self.routes.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(flv::Peer(peer));
            routes.call(request)
        });
        // Whoever is sent something and takes none of it for so long is gone.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(STALL));
        let mut http = http1::Builder::new();
        // The time of day is not hyper's to tell: a simulated relay has its own.
        http.timer(TokioTimer::new()).header_read_timeout(API_CALL).auto_date_header(false);
        let connection = http.max_buf_size(API_HEAD_BYTES).serve_connection(TokioIo::new(Box::pin(stream)), service);
        self.net.spawn(&mut self.tasks, async move {
            if let Err(error) = connection.await {
                debug!(%peer, "a connection to the API has ended: {error}");
            }
        });
    }
}

async fn listen<N: Network>(net: &N, address: SocketAddr) -> Result<N::Listener, Error> {
    net.listen(address).await.map_err(|source| Error { address, source })
}

/// The end of a task. A panic is a bug; it has ended that one connection and nothing else.
fn report(ended: Result<(), JoinError>) {
    if let Err(failed) = ended
        && failed.is_panic()
    {
        error!("a call of the API has panicked: {failed}");
    }
}

/// Every route, and with it its place in the document.
fn documented() -> OpenApiRouter<Arc<Desk>> {
    OpenApiRouter::with_openapi(document::Document::openapi())
        .routes(routes!(status::alive))
        .routes(routes!(status::ready))
        .routes(routes!(metrics::metrics))
        .routes(routes!(document::document))
        .routes(routes!(events::events))
        .routes(routes!(journal::journal))
        .routes(routes!(status::status))
        .routes(routes!(streams::all))
        .routes(routes!(streams::one))
        .routes(routes!(destinations::all, changes::add))
        .routes(routes!(destinations::one, changes::change, changes::remove))
        .routes(routes!(changes::enable))
        .routes(routes!(changes::disable))
        .routes(routes!(changes::retry))
        .routes(routes!(sessions::all))
        .routes(routes!(sessions::kick))
        .routes(routes!(recordings::all, recordings::record))
        .routes(routes!(recordings::stop))
        .routes(routes!(platforms::all))
        .routes(routes!(config::effective))
}

/// The routes behind the question who may call; what is none of them may be a stream.
fn router<N: Network>(desk: Arc<Desk>, door: Arc<Door<N>>) -> Router {
    let viewers = {
        let desk = desk.clone();
        any(move |Named(path): Named, request: Request<Body>| flv::watch(desk, door, path, request))
    };
    documented()
        .split_for_parts()
        .0
        .merge(page::routes())
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn_with_state(desk.clone(), callers::check))
        .route("/{*path}", viewers.layer(from_fn_with_state(desk.clone(), callers::check_viewer)))
        .with_state(desk)
}

/// The OpenAPI document.
pub fn openapi() -> String {
    document::finished(documented().into_openapi())
}
