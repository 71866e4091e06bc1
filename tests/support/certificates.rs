//! Certificates, good and bad, from an authority of ours.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, PKCS_ED25519,
};
use rtmp_relay::net::tls::{Fingerprint, Identity};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Somebody who vouches for servers.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate, those that vouch for it behind it, and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Card {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// What is to stand in a certificate, good for a server of these names at first.
pub(crate) fn params(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, format!("certificate of {}", names.join(" ")));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// One whose issuer is itself.
pub(crate) fn self_signed(params: &CertificateParams) -> Card {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    Card { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        Authority(CertifiedIssuer::self_signed(Authority::params(name), key).unwrap())
    }

    /// One below it.
    pub(crate) fn below(&self, name: &str) -> Authority {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        Authority(CertifiedIssuer::signed_by(Authority::params(name), key, &self.0).unwrap())
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn signs(&self, params: &CertificateParams) -> Card {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        Card { chain: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }

    /// A good one.
    pub(crate) fn vouches_for(&self, names: &[&str]) -> Card {
        self.signs(&params(names))
    }
}

impl Card {
    pub(crate) fn identity(&self) -> Identity {
        Identity::new(self.chain.as_bytes(), self.key.as_bytes()).unwrap()
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.chain.as_bytes()).map(|certificate| certificate.unwrap()).collect()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.chain()[0])
    }
}
