//! Which certificates of servers are trusted.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::LinkError;

/// The system's roots and those of the bundle, as PEM: the library takes
/// given roots in the place of the system's, not beside them.
pub(super) fn pem(ca_bundle: Option<&Path>) -> Result<Vec<u8>, LinkError> {
    let system = rustls_native_certs::load_native_certs();
    // The library reads them at every connection and gives up at the first
    // error: better said once, at the start.
    if let Some(error) = system.errors.first() {
        return Err(LinkError::Roots { reason: error.to_string() });
    }
    let mut pem = String::new();
    for certificate in &system.certs {
        // An odd one among the system's is of no use, but no reason to stop.
        if RootCertStore::empty().add(certificate.clone()).is_ok() {
            push(&mut pem, certificate);
        }
    }
    if let Some(path) = ca_bundle {
        for certificate in bundle(path)? {
            push(&mut pem, &certificate);
        }
    }
    Ok(pem.into_bytes())
}

fn bundle(path: &Path) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    let failed = |reason: String| LinkError::CaBundle { path: path.display().to_string(), reason };
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() {
        return Err(failed("it holds no PEM certificates".to_owned()));
    }
    for certificate in &certificates {
        RootCertStore::empty().add(certificate.clone()).map_err(|error| failed(error.to_string()))?;
    }
    Ok(certificates)
}

fn push(pem: &mut String, certificate: &CertificateDer<'_>) {
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    let encoded = STANDARD.encode(certificate);
    for line in encoded.as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
}
