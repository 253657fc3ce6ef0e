//! The connection to another relay, made the same way for following, for
//! usage and for the command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::config::{Secret, TlsFiles};

/// A leader that does not answer a ping within this time is gone.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_WITHIN: Duration = Duration::from_secs(10);

/// How to reach a relay's gRPC port.
#[derive(Clone, Debug)]
pub struct Link {
    /// `host:port`, or with `http://` or `https://` before it.
    pub address: String,
    pub token: Option<Secret>,
    /// Extra roots (PEM).
    pub ca: Option<PathBuf>,
    /// Client certificate.
    pub identity: Option<TlsFiles>,
    /// The name in the relay's certificate, where it is not the host's.
    pub server_name: Option<String>,
    pub connect_timeout: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("{address} is no address of a relay; write host:port, http://host:port or https://host:port")]
    Address { address: String },
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("TLS to {address}: {reason}")]
    Tls { address: String, reason: String },
    #[error("the token cannot be sent: it holds line breaks or other control characters")]
    Token,
    /// Who reports it names the relay.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn connect(&self) -> Result<Channel, LinkError> {
        let endpoint = self.endpoint()?;
        endpoint.connect().await.map_err(|error| LinkError::Unreachable(cause(&error)))
    }

    /// The connection's settings.
    ///
    /// # Errors
    /// The address or a file cannot be used.
    pub fn endpoint(&self) -> Result<Endpoint, LinkError> {
        let with_scheme = if self.address.contains("://") {
            self.address.clone()
        } else if self.uses_tls() {
            format!("https://{}", self.address)
        } else {
            format!("http://{}", self.address)
        };
        let bad = || LinkError::Address { address: self.address.clone() };
        let mut endpoint = Endpoint::from_shared(with_scheme.clone())
            .map_err(|_| bad())?
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WITHIN)
            .keep_alive_while_idle(true)
            .user_agent(concat!("ff-relay/", env!("CARGO_PKG_VERSION")))
            .map_err(|_| bad())?;
        if with_scheme.starts_with("https://") {
            let tls = self.tls()?;
            endpoint = endpoint
                .tls_config(tls)
                .map_err(|error| LinkError::Tls { address: self.address.clone(), reason: cause(&error) })?;
        }
        Ok(endpoint)
    }

    /// True if the token goes to another machine unencrypted.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        let address = self.address.strip_prefix("http://").unwrap_or(&self.address);
        let plain = !address.contains("://") && !self.uses_tls();
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
        let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        plain && !loopback && self.token.is_some()
    }

    /// Without a scheme, what only TLS needs asks for TLS.
    fn uses_tls(&self) -> bool {
        self.identity.is_some() || self.server_name.is_some()
    }

    fn tls(&self) -> Result<ClientTlsConfig, LinkError> {
        let mut tls = ClientTlsConfig::new().with_native_roots();
        if let Some(ca) = &self.ca {
            tls = tls.ca_certificate(Certificate::from_pem(read(ca)?));
        }
        if let Some(identity) = &self.identity {
            tls = tls.identity(Identity::from_pem(read(&identity.cert)?, read(&identity.key)?));
        }
        if let Some(name) = &self.server_name {
            tls = tls.domain_name(name.clone());
        }
        Ok(tls)
    }

    /// The header that goes with every call.
    ///
    /// # Errors
    /// The token is none.
    pub fn credential(&self) -> Result<Option<MetadataValue<Ascii>>, LinkError> {
        let Some(token) = &self.token else { return Ok(None) };
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {}", token.expose().trim()).parse().map_err(|_| LinkError::Token)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// A request with the credential.
    ///
    /// # Errors
    /// The token is none.
    pub fn request<T>(&self, message: T) -> Result<tonic::Request<T>, LinkError> {
        let mut request = tonic::Request::new(message);
        if let Some(credential) = self.credential()? {
            request.metadata_mut().insert("authorization", credential);
        }
        Ok(request)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LinkError> {
    std::fs::read(path).map_err(|source| LinkError::File { path: path.display().to_string(), source })
}

/// The innermost reason: the outer ones only say "transport error".
#[must_use]
pub fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
