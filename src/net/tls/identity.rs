//! Who we are to clients: a certificate and its key, which can be changed while they are shown.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::{Clock, Error, Fingerprint, Wire, provider};
use crate::limits::HANDSHAKE;
use crate::net::{Network, Stream};

/// A certificate, those that vouch for it, and its key.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

/// What is wrong with a certificate or its key. Nothing of the key is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Unusable {
    #[error("there is no certificate in it (PEM: -----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    #[error("the certificate in it is broken")]
    BrokenCertificate,
    #[error("there is no private key in it (PEM, without a password)")]
    NoKey,
    #[error("the private key in it is of no kind that can be used here")]
    BrokenKey,
    #[error("the private key is not the certificate's")]
    Mismatch,
}

impl Unusable {
    /// Whether the key is at fault, and not the certificate.
    pub fn is_about_key(&self) -> bool {
        match self {
            Unusable::NoKey | Unusable::BrokenKey | Unusable::Mismatch => true,
            Unusable::NoCertificate | Unusable::BrokenCertificate => false,
        }
    }
}

impl Identity {
    /// Reads two PEM files: a certificate with those that vouch for it behind it, and its key.
    pub fn new(certificates: &[u8], key: &[u8]) -> Result<Self, Unusable> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.map_err(|_| Unusable::BrokenCertificate)?;
        if chain.is_empty() {
            return Err(Unusable::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Unusable::NoKey)?;
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Unusable::Mismatch,
            rustls::Error::InvalidCertificate(_) => Unusable::BrokenCertificate,
            _ => Unusable::BrokenKey,
        })?;
        Ok(Identity(Arc::new(certified)))
    }
}

/// A certificate has one key: where the certificates are the same, so are the keys.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = self.0.cert.first().map(Fingerprint::of);
        write!(f, "certificate {}", fingerprint.map_or_else(String::new, |fingerprint| fingerprint.to_string()))
    }
}

/// Where clients come in through TLS.
#[derive(Clone)]
pub struct Entrance {
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
}

#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl Entrance {
    /// Shows `identity` to everybody, whatever name they ask for.
    pub fn new<N: Network>(net: &N, identity: Identity) -> Result<Self, Error> {
        let shown = Arc::new(Shown(ArcSwap::new(identity.0)));
        let config = ServerConfig::builder_with_details(provider(), Arc::new(Clock(net.clone())))
            .with_safe_default_protocol_versions()
            .map_err(Error::Failed)?
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        Ok(Entrance { acceptor: Arc::new(config).into(), shown })
    }

    /// Shows another one from now on. Those who are in stay.
    pub fn show(&self, identity: Identity) {
        self.shown.0.store(identity.0);
    }

    /// Begins TLS with a client, which has `limits::HANDSHAKE` for it.
    pub async fn accept<S: Stream>(&self, stream: S) -> Result<Wire<S>, Error> {
        let met = timeout(HANDSHAKE, self.acceptor.accept(stream)).await.map_err(|_| Error::TimedOut)?;
        Ok(Wire::Tls(Box::new(TlsStream::Server(met.map_err(Error::of)?))))
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entrance")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}
