//! Whose connection a call came on.

use std::net::SocketAddr;
use std::sync::Arc;

/// The other end of a connection, noted in each of its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// The names in its certificate, which a known CA has signed; none
    /// without a certificate.
    pub names: Arc<[String]>,
}

/// The subject alternative names of a certificate: DNS names, URIs, mail
/// addresses.
#[must_use]
pub fn names_of(certificate: &[u8]) -> Vec<String> {
    use x509_parser::extensions::GeneralName;
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => Some((*text).to_owned()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(text).collect()
}
