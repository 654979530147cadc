//! The server's side of TLS: a certificate that can be exchanged while connections are open.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use thiserror::Error;

use crate::authority::Pair;

/// Why a certificate cannot be served.
#[derive(Debug, Error)]
pub(crate) enum CertificateError {
    /// Not PEM.
    #[error("the Secret leakhound-tls holds no readable {what}: delete it, and the operator makes a new one")]
    Pem {
        what: &'static str,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The key does not fit.
    #[error("the certificate and the key in the Secret leakhound-tls do not fit each other")]
    Mismatch(#[source] rustls::Error),
}

/// The certificate that is being served; none until the first one was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServedCertificate(Arc<RwLock<Option<Arc<CertifiedKey>>>>);

impl ServedCertificate {
    /// Serves `pair` from now on; connections that are open keep what they have.
    pub(crate) fn replace(&self, pair: &Pair) -> Result<(), CertificateError> {
        let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| CertificateError::Pem { what: "certificate", source })?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())
            .map_err(|source| CertificateError::Pem { what: "key", source })?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(CertificateError::Mismatch)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
        Ok(())
    }

    /// Whether there is one.
    pub(crate) fn is_there(&self) -> bool {
        self.current().is_some()
    }

    /// The server's configuration; follows every [`ServedCertificate::replace`].
    pub(crate) fn config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for ServedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}
