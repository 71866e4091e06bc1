//! What TLS needs, from the files that hold it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::problem::{At, Problem};
use super::value::Listen;
use crate::limits::PEM_BYTES;
use crate::net::tls::{Identity, Trust, trust};

/// Where encoders and players come in through TLS, and whom they meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The address.
    pub listen: SocketAddr,
    /// The certificate and its key.
    pub identity: Identity,
}

/// Why there is nothing from a file. What was read is not repeated: it may be a key.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
enum Error {
    #[error("cannot read {0}: {1}")]
    File(PathBuf, std::io::Error),
    #[error("{0} is larger than {PEM_BYTES} bytes")]
    Large(PathBuf),
}

impl Tls {
    /// All three of them, or none.
    pub(super) async fn read(
        listen: Option<Listen>,
        certificate: Option<At<PathBuf>>,
        key: Option<At<PathBuf>>,
    ) -> Result<Option<Tls>, Problem> {
        let (listen, certificate, key) = match (listen, certificate, key) {
            (None, None, None) => return Ok(None),
            (Some(listen), Some(certificate), Some(key)) => (listen.0, certificate, key),
            (_, certificate, key) => {
                let place = certificate.or(key).and_then(|at| at.place);
                return Err(Problem::at(place, "tls_listen, tls_cert and tls_key are needed together"));
            }
        };
        let chain = pem("tls_cert", &certificate).await?;
        let secret = pem("tls_key", &key).await?;
        let identity = Identity::new(&chain, &secret).map_err(|unusable| {
            let (name, at) = if unusable.is_about_key() { ("tls_key", &key) } else { ("tls_cert", &certificate) };
            Problem::at(at.place, format!("{name} {}: {unusable}", at.value.display()))
        })?;
        Ok(Some(Tls { listen, identity }))
    }
}

/// Authorities from a file.
pub(super) async fn authorities(
    file: &At<PathBuf>,
    read: fn(&[u8]) -> Result<Trust, trust::Unusable>,
) -> Result<Trust, Problem> {
    let pem = pem("ca_file", file).await?;
    read(&pem).map_err(|unusable| Problem::at(file.place, format!("ca_file {}: {unusable}", file.value.display())))
}

async fn pem(name: &str, file: &At<PathBuf>) -> Result<Vec<u8>, Problem> {
    bytes(&file.value).await.map_err(|error| Problem::at(file.place, format!("{name}: {error}")))
}

async fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |error| Error::File(path.to_owned(), error);
    let mut bytes = Vec::new();
    let mut file = File::open(path).await.map_err(failed)?.take(PEM_BYTES + 1);
    file.read_to_end(&mut bytes).await.map_err(failed)?;
    if bytes.len() as u64 > PEM_BYTES { Err(Error::Large(path.to_owned())) } else { Ok(bytes) }
}
