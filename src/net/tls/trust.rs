//! Whom we believe that a server is who it says.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme, crypto,
};
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, TlsStream};

use super::error::{Error, Verdict};
use super::{Clock, Fingerprint, Wire, provider};
use crate::limits::STEP;
use crate::net::Network;

/// Whose word is taken for who a server is. It can be narrowed and widened, and not be done without. Clones share the sessions
/// that servers let us resume.
#[derive(Clone)]
pub struct Trust(Arc<Inner>);

struct Inner {
    whom: Whom,
    config: OnceLock<Arc<ClientConfig>>,
}

#[derive(PartialEq, Eq)]
enum Whom {
    /// The authorities of this machine's store, and these.
    System(Vec<CertificateDer<'static>>),
    /// These authorities.
    Authorities(Vec<CertificateDer<'static>>),
    /// The holder of this certificate's key, whatever else the certificate says: name, issuer and days are not looked at.
    Pinned(Fingerprint),
}

/// What is wrong with a file of authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Unusable {
    #[error("there is no certificate in it (PEM: -----BEGIN CERTIFICATE-----)")]
    Empty,
    #[error("certificate {0} in it is broken")]
    Broken(usize),
}

impl Default for Trust {
    fn default() -> Self {
        Trust::whom(Whom::System(Vec::new()))
    }
}

impl Trust {
    fn whom(whom: Whom) -> Self {
        Trust(Arc::new(Inner { whom, config: OnceLock::new() }))
    }

    /// The machine's own authorities, and those in `pem`.
    pub fn also(pem: &[u8]) -> Result<Self, Unusable> {
        authorities(pem).map(Whom::System).map(Trust::whom)
    }

    /// The authorities in `pem`, and no others.
    pub fn only(pem: &[u8]) -> Result<Self, Unusable> {
        authorities(pem).map(Whom::Authorities).map(Trust::whom)
    }

    /// One certificate, and no authority.
    pub fn pinned(fingerprint: Fingerprint) -> Self {
        Trust::whom(Whom::Pinned(fingerprint))
    }

    /// Begins TLS with the server that `stream` leads to, which has to prove that it is `host`.
    pub async fn connect<N: Network>(&self, net: &N, stream: N::Stream, host: &str) -> Result<Wire<N::Stream>, Error> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Error::NoName)?;
        let connector = TlsConnector::from(self.config(net).await?);
        let met = timeout(STEP, connector.connect(name, stream)).await.map_err(|_| Error::TimedOut)?;
        Ok(Wire::Tls(Box::new(TlsStream::Client(met.map_err(Error::of)?))))
    }

    /// Made once. The machine's store is read when it is first needed.
    async fn config<N: Network>(&self, net: &N) -> Result<Arc<ClientConfig>, Error> {
        if let Some(config) = self.0.config.get() {
            return Ok(config.clone());
        }
        let verifier: Arc<dyn ServerCertVerifier> = match &self.0.whom {
            Whom::System(besides) => judge(with_system(besides).await?)?,
            Whom::Authorities(authorities) => judge(store(authorities))?,
            Whom::Pinned(fingerprint) => Arc::new(Pinned(*fingerprint)),
        };
        let config = ClientConfig::builder_with_details(provider(), Arc::new(Clock(net.clone())))
            .with_safe_default_protocol_versions()
            .map_err(Error::Failed)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(self.0.config.get_or_init(|| Arc::new(config)).clone())
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.0.whom == other.0.whom
    }
}

impl Eq for Trust {}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.whom {
            Whom::System(besides) => write!(f, "the machine's authorities and {} more", besides.len()),
            Whom::Authorities(authorities) => write!(f, "{} authorities", authorities.len()),
            Whom::Pinned(fingerprint) => write!(f, "pinned {fingerprint}"),
        }
    }
}

/// The certificates in a PEM file, each of which could be an authority's.
fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let mut authorities = Vec::new();
    for (at, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let certificate = certificate.map_err(|_| Unusable::Broken(at + 1))?;
        RootCertStore::empty().add(certificate.clone()).map_err(|_| Unusable::Broken(at + 1))?;
        authorities.push(certificate);
    }
    if authorities.is_empty() { Err(Unusable::Empty) } else { Ok(authorities) }
}

fn store(authorities: &[CertificateDer<'static>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(authorities.iter().cloned());
    store
}

/// A machine's store has hundreds of files, and some of them may be broken.
async fn with_system(besides: &[CertificateDer<'static>]) -> Result<RootCertStore, Error> {
    let read = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    let found = read.map_err(|_| Error::NoAuthorities(None))?;
    let mut store = store(besides);
    store.add_parsable_certificates(found.certs);
    if store.is_empty() { Err(Error::NoAuthorities(found.errors.into_iter().next())) } else { Ok(store) }
}

fn judge(store: RootCertStore) -> Result<Arc<Judge>, Error> {
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider()).build();
    built.map(|judge| Arc::new(Judge(judge))).map_err(|_| Error::NoAuthorities(None))
}

/// Asks authorities, and tells those who are their own from those whom nobody knows.
#[derive(Debug)]
struct Judge(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError::{BadSignature, Other, UnknownIssuer};
        match self.0.verify_server_cert(certificate, between, name, ocsp, now) {
            // `Other`: an authority's own certificate used as a server's, as `openssl req -x509` makes it.
            Err(rustls::Error::InvalidCertificate(UnknownIssuer | Other(_))) if is_self_signed(certificate) => {
                Err(verdict(Verdict::SelfSigned(Fingerprint::of(certificate))))
            }
            // A private authority that has been made anew mostly has its old name.
            Err(rustls::Error::InvalidCertificate(BadSignature)) => Err(verdict(Verdict::WrongIssuer)),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Knows one certificate. Whoever shows it has to sign with its key, as ever.
#[derive(Debug)]
struct Pinned(Fingerprint);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match Fingerprint::of(certificate) {
            shown if shown == self.0 => Ok(ServerCertVerified::assertion()),
            other => Err(verdict(Verdict::Unpinned(other))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

fn algorithms() -> crypto::WebPkiSupportedAlgorithms {
    provider().signature_verification_algorithms
}

fn verdict(verdict: Verdict) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(verdict))).into()
}

fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate).is_ok_and(|read| read.issuer() == read.subject())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_no_authority() {
        let block = |text: &str| format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        for (pem, unusable) in [
            (String::new(), Unusable::Empty),
            ("# nothing".to_owned(), Unusable::Empty),
            (block("AAAA"), Unusable::Broken(1)),
            (block("!"), Unusable::Broken(1)),
        ] {
            assert_eq!(Trust::only(pem.as_bytes()), Err(unusable), "{pem}");
            assert_eq!(Trust::also(pem.as_bytes()), Err(unusable), "{pem}");
        }
    }
}
