//! Preflight: the way to a destination, step by step, each with its time. Nothing is sent that anybody could see, and not even the
//! key is told, unless it is to be published.
//!
//! ```text
//!  name ─► tcp ─► tls ─► handshake ─► connect ─► create_stream ( ─► publish )
//! ```

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::Route;
use crate::destination::{Error, Refusal};
use crate::limits::STEP;
use crate::net::connection::{self, NoSource};
use crate::net::race::race;
use crate::net::tls::Wire;
use crate::net::{Connection, Network};
use crate::rtmp::capabilities::Announce;
use crate::rtmp::client::{ClientSession, Event, Target};
use crate::rtmp::command::Status;
use crate::rtmp::login::Login;
use crate::rtmp::server::Role;
use crate::rtmp::session::{Phase, Session};
use crate::rtmp::url::Url;
use crate::rtmp::{Secret, handshake};
use crate::stream::Name;

/// The stream that is meant where a destination has a place for each of them.
const STREAM: &str = "live/preflight";

/// What we call ourselves.
const AGENT: &str = concat!("FMLE/3.0 (compatible; rtmp-relay/", env!("CARGO_PKG_VERSION"), ")");

/// One thing that has to go well. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The host's addresses.
    Name,
    /// A connection to one of them.
    Tcp,
    /// Who it is, where that is proved.
    Tls,
    /// RTMP's handshake.
    Handshake,
    /// `connect`, with a login where the server wants one.
    Connect,
    /// `createStream`.
    CreateStream,
    /// `publish`, taken back at once.
    Publish,
}

/// A step that went well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Which.
    pub step: Step,
    /// How long it took, in seconds.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
    /// What is worth knowing of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Which.
    pub step: Step,
    /// How long it took, in seconds.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
    /// The error's class, stable.
    pub class: String,
    /// What is wrong.
    pub error: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// How far the way to a destination is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Its name.
    pub destination: String,
    /// Its host and port.
    pub server: String,
    /// What went well, in order.
    pub done: Vec<Done>,
    /// What did not; nothing is tried after it.
    pub failed: Option<Failed>,
}

/// Tries the way to a destination.
pub async fn run<N: Network>(net: &N, route: &Route, publish: bool, random: &mut fastrand::Rng) -> Report {
    let (host, port) = route.url.host();
    let mut report = Report {
        destination: route.name.clone(),
        server: if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") },
        done: Vec::new(),
        failed: None,
    };
    let stream = Name::new(STREAM).expect("a name");
    let captures: Vec<String> = (1..=route.url.captures()).map(|number| number.to_string()).collect();
    let (url, name) = match route.url.resolve(&stream, &captures) {
        Ok(place) => place,
        Err(error) => {
            let error = format!("its URL fits no stream: {error}");
            let advice = "check what stands in braces in the URL and the key";
            let (step, took, class) = (Step::Name, Duration::ZERO, "config".to_owned());
            report.failed = Some(Failed { step, took, class, error, advice });
            return report;
        }
    };
    let mut walk = Walk { net, route, publish, random, report: &mut report, step: Step::Name, since: Instant::now() };
    if let Err(error) = walk.all(url, name).await {
        let (step, took) = (walk.step, walk.since.elapsed());
        let (class, advice) = (error.class().to_string(), error.class().advice());
        report.failed = Some(Failed { step, took, class, error: error.explain(), advice });
    }
    report
}

/// On the way.
struct Walk<'a, N> {
    net: &'a N,
    route: &'a Route,
    publish: bool,
    random: &'a mut fastrand::Rng,
    report: &'a mut Report,
    step: Step,
    since: Instant,
}

impl<N: Network> Walk<'_, N> {
    /// The step is taken; the next begins.
    fn done(&mut self, next: Step, detail: String) {
        // A login takes the first steps again: they are told once.
        if self.report.done.iter().all(|done| done.step != self.step) {
            self.report.done.push(Done { step: self.step, took: self.since.elapsed(), detail });
        }
        (self.step, self.since) = (next, Instant::now());
    }

    async fn all(&mut self, mut url: Url, name: Secret) -> Result<(), Error> {
        let mut login = Login::new(&url);
        loop {
            let Some((phase, status)) = self.session(url.clone(), name.clone()).await? else { return Ok(()) };
            let next = if phase == Phase::Connect { login.answer(&status, self.random.u32(..))? } else { None };
            let refused = || Error::Refused(phase, Refusal::at(&url, &name, phase, &status));
            url = next.ok_or_else(refused)?;
        }
    }

    /// The way in one connection; or when the server has said no, and how.
    async fn session(&mut self, url: Url, name: Secret) -> Result<Option<(Phase, Status)>, Error> {
        (self.step, self.since) = (Step::Name, Instant::now());
        let late = |_| Err(io::ErrorKind::TimedOut.into());
        let addresses = timeout(STEP, self.net.lookup(&url.host, url.port)).await.unwrap_or_else(late);
        let addresses = addresses.map_err(Error::Lookup)?;
        self.done(Step::Tcp, list(&addresses));
        let stream = self.tcp(&addresses).await?;
        let stream = if url.tls {
            let wire = self.route.trust.connect(self.net, stream, &url.host).await?;
            self.done(Step::Handshake, "the certificate is good".to_owned());
            wire
        } else {
            Wire::Plain(stream)
        };
        let target = Target {
            role: Role::Publish,
            url,
            name,
            agent: AGENT.to_owned(),
            chunk_size: self.route.settings.chunk_size,
        };
        let session = ClientSession::new(target, &handshake::random(self.random.u64(..))).announcing(Announce::Nothing);
        let session = if self.publish { session } else { session.rehearsing() };
        let mut connection: Connection<_, _, NoSource> = Connection::new(stream, session);
        let answered = self.rtmp(&mut connection).await;
        if let Ok(None) = answered {
            connection.session.finish();
        }
        connection.close_or_abort().await;
        answered
    }

    async fn tcp(&mut self, addresses: &[SocketAddr]) -> Result<N::Stream, Error> {
        let late = |_| Err(io::ErrorKind::TimedOut.into());
        let race = timeout(STEP, race(addresses, |address| self.net.connect(address))).await;
        let (address, stream) = race.unwrap_or_else(late).map_err(Error::Connect)?;
        let next = if self.route.url.tls() { Step::Tls } else { Step::Handshake };
        self.done(next, format!("to {}", address.ip()));
        Ok(stream)
    }

    async fn rtmp(
        &mut self,
        connection: &mut Connection<Wire<N::Stream>, ClientSession, NoSource>,
    ) -> Result<Option<(Phase, Status)>, Error> {
        let mut phase = connection.session.phase();
        let mut deadline = Instant::now() + STEP;
        loop {
            while let Some(event) = connection.event()? {
                match event {
                    Event::Started(_) => {
                        self.done(self.step, String::new());
                        return Ok(None);
                    }
                    Event::Refused(phase, status) => return Ok(Some((phase, status))),
                    Event::Reconnect(Ok(url)) => return Err(Error::Reconnect(Box::new(url))),
                    Event::Reconnect(Err(_)) | Event::Ended(_) | Event::Message(_) => {}
                }
            }
            if connection.session.phase() != phase {
                phase = connection.session.phase();
                deadline = Instant::now() + STEP;
                match phase {
                    Phase::Connect => self.done(Step::Connect, String::new()),
                    Phase::CreateStream => self.done(Step::CreateStream, String::new()),
                    Phase::Request => self.done(Step::Publish, String::new()),
                    Phase::Handshake | Phase::Media | Phase::Closing => {}
                }
            }
            let late = |_| connection::Error::TimedOut { phase };
            timeout_at(deadline, connection.receive()).await.map_err(late)??;
        }
    }
}

/// Addresses of both families.
fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}
