//! A caller of a running relay's HTTP API.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::Api;
use crate::limits::{API_ANSWER_BYTES, STEP};
use crate::net::Network;
use crate::net::race::race;
use crate::net::tcp::Tcp;

/// Where to call, and what to show there.
#[derive(Debug)]
pub(super) struct Caller {
    host: String,
    port: u16,
    authority: String,
    token: Option<String>,
}

impl Caller {
    /// One who calls there.
    pub(super) fn new(api: &Api) -> Result<Self> {
        const LOOKS: &str = "the API's address looks like http://127.0.0.1:9997";
        let uri: Uri = api.api.parse().context(LOOKS)?;
        let authority = uri.authority().context(LOOKS)?;
        if uri.scheme_str().unwrap_or("http") != "http" {
            bail!("{LOOKS}: it speaks HTTP");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let token = api.api_token.as_ref().map(|token| format!("Bearer {}", token.0.expose()));
        Ok(Caller { host, port: authority.port_u16().unwrap_or(80), authority: authority.to_string(), token })
    }

    /// What it answers at this path.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answered = timeout(STEP, self.ask(path)).await;
        let body = answered.with_context(|| format!("{} does not answer", self.authority))??;
        serde_json::from_slice(&body).with_context(|| format!("{} is no API of a relay", self.authority))
    }

    async fn ask(&self, path: &str) -> Result<Bytes> {
        let nobody = || format!("nobody answers at {}: is a relay running, and is this its API?", self.authority);
        let addresses = Tcp.lookup(&self.host, self.port).await.with_context(nobody)?;
        let (_, stream) = race(&addresses, |address| Tcp.connect(address)).await.with_context(nobody)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::get(path).header(HOST, &self.authority);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request.body(Empty::<Bytes>::new()).context("a token is plain text")?;
        let answered = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), API_ANSWER_BYTES).collect().await;
            let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
            Ok::<_, anyhow::Error>((status, body))
        };
        let (status, body) = tokio::select! {
            answered = answered => answered?,
            ended = connection => bail!("the API has closed the connection: {ended:?}"),
        };
        match status.as_u16() {
            200..300 => Ok(body),
            401 => bail!("the API wants its token: set RTMP_RELAY_API_TOKEN"),
            _ => bail!("the API says {status}"),
        }
    }
}
