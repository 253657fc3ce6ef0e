//! TLS of every listener: certificates and the CA of client certificates are
//! read again when their files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
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
    client_ca: Option<Arc<ClientCa>>,
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn load(files: &TlsFiles) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(read(files)?);
        Ok(Arc::new(Certificate { files: files.clone(), current, client_ca: None }))
    }

    /// Reads both files, and the CA that clients' certificates must come
    /// from. A client without one is let in: it may have a token.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn load_with_client_ca(files: &TlsFiles, client_ca: Option<&Path>) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(read(files)?);
        let client_ca = client_ca.map(ClientCa::load).transpose()?;
        Ok(Arc::new(Certificate { files: files.clone(), current, client_ca }))
    }

    /// An acceptor that offers these protocols, in order of preference.
    ///
    /// # Errors
    /// The library refuses its own defaults: never seen.
    pub fn acceptor(self: &Arc<Self>, protocols: &[&[u8]]) -> Result<TlsAcceptor, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?;
        let builder = match &self.client_ca {
            Some(ca) => builder.with_client_cert_verifier(Arc::<ClientCa>::clone(ca) as Arc<dyn ClientCertVerifier>),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::<Certificate>::clone(self) as Arc<dyn ResolvesServerCert>);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if self.client_ca.is_some() {
            // A resumed session is not verified again: an expired certificate
            // would go on being good.
            config.send_tls13_tickets = 0;
        } else {
            // Held by the clients, so any number of them can come back fast.
            config.ticketer = aws_lc_rs::Ticketer::new()?;
            config.send_tls13_tickets = 1;
        }
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
            self.read_again();
            seen = stamps;
        }
    }

    fn read_again(&self) {
        match read(&self.files) {
            Ok(key) => {
                self.current.store(Arc::new(key));
                tracing::info!(cert = %self.files.cert.display(), "the TLS certificate was read again");
            }
            Err(error) => tracing::error!(%error, "the new TLS certificate is not usable; the one before is shown"),
        }
        let Some(ca) = &self.client_ca else { return };
        match verifier(&ca.path) {
            Ok(verifier) => {
                ca.current.store(Arc::new(verifier));
                tracing::info!(ca = %ca.path.display(), "the CA of client certificates was read again");
            }
            Err(error) => tracing::error!(%error, "the new CA of client certificates is not usable; the one before is"),
        }
    }

    fn stamps(&self) -> [Option<SystemTime>; 3] {
        let stamp = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let ca = self.client_ca.as_ref().and_then(|ca| stamp(&ca.path));
        [stamp(&self.files.cert), stamp(&self.files.key), ca]
    }
}

/// Who signs clients' certificates now.
#[derive(Debug)]
struct ClientCa {
    path: PathBuf,
    current: ArcSwap<Arc<dyn ClientCertVerifier>>,
}

impl ClientCa {
    fn load(path: &Path) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(ClientCa { path: path.to_owned(), current: ArcSwap::from_pointee(verifier(path)?) }))
    }
}

fn verifier(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let file = |what: String| TlsError::File { path: path.display().to_string(), what };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| file(error.to_string()))? {
        let certificate = certificate.map_err(|error| file(error.to_string()))?;
        roots.add(certificate).map_err(|error| file(error.to_string()))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|error| file(error.to_string()))
}

impl ClientCertVerifier for ClientCa {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: they could not change, and clients have one certificate.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.current.load().verify_client_cert(certificate, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().supported_verify_schemes()
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
