//! HTTPS: the certificate is read again when its files change.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::TlsFiles;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Files that are no certificate and key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {what}; give a PEM file")]
    File { path: String, what: String },
    #[error("the certificate {cert} and the key {key} do not belong together: {what}")]
    Mismatch { cert: String, key: String, what: String },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The certificate that is shown now.
#[derive(Debug)]
pub struct Certificate {
    files: TlsFiles,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn load(files: &TlsFiles) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(read(files)?);
        Ok(Arc::new(Certificate { files: files.clone(), current }))
    }

    /// An acceptor that offers these protocols, in order of preference.
    ///
    /// # Errors
    /// The library refuses its own defaults: never seen.
    pub fn acceptor(self: &Arc<Self>, protocols: &[&[u8]]) -> Result<TlsAcceptor, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Certificate>::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        // Every idle stream would pay for larger ones.
        config.max_early_data_size = 0;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Looks at the files until told to stop.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut seen = self.stamps();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => return,
            }
            let stamps = self.stamps();
            if stamps == seen {
                continue;
            }
            match read(&self.files) {
                Ok(key) => {
                    self.current.store(Arc::new(key));
                    tracing::info!(cert = %self.files.cert.display(), "the TLS certificate was read again");
                }
                Err(error) => tracing::error!(%error, "the new TLS certificate is not usable; the one before is shown"),
            }
            seen = stamps;
        }
    }

    fn stamps(&self) -> [Option<SystemTime>; 2] {
        let stamp = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        [stamp(&self.files.cert), stamp(&self.files.key)]
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let file = |path: &Path, what: String| TlsError::File { path: path.display().to_string(), what };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&files.cert).map_err(|error| file(&files.cert, error.to_string()))?.collect();
    let chain = chain.map_err(|error| file(&files.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(file(&files.cert, "it holds no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| file(&files.key, error.to_string()))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| TlsError::Mismatch {
        cert: files.cert.display().to_string(),
        key: files.key.display().to_string(),
        what: error.to_string(),
    })
}
