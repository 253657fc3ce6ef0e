//! The way to a relay's admin port: address, token, TLS, and a limit to
//! waiting.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::failure::{Failure, deepest};
use crate::config::{Process, Surroundings as _, parse_duration, split_secrets, without_credentials};
use crate::proto::admin::v1::admin_service_client::AdminServiceClient;
use crate::proto::inspect::v1::inspect_service_client::InspectServiceClient;
use crate::proto::snapshot::v1::snapshot_service_client::SnapshotServiceClient;

/// A page of the largest flags, and the JSON of one of them.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Where a relay listens unless told otherwise.
const DEFAULT_ADDRESS: &str = "127.0.0.1:7001";

/// Which relay, and who asks.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "The relay")]
pub struct Relay {
    /// Its gRPC port: host:port, or a URL with http:// or https://
    /// [variable: FF_RELAY_ADDRESS, default: 127.0.0.1:7001].
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// File that holds a token of the relay. Tokens are never given on the
    /// command line, where others see them [variable: FF_RELAY_TOKEN_FILE].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// CA certificates (PEM) to trust instead of the system's.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Client certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key of the client certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Name that the relay's certificate must have, if not the address's.
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<String>,
    /// How long to wait for an answer.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    timeout: Duration,
}

/// A time as the relay's options have it.
///
/// # Errors
/// It is none.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a time as 500ms, 30s, 5m or 2h".to_owned())
}

/// Runs a command that talks to a relay.
///
/// # Errors
/// What the command says.
pub fn wait<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the runtime cannot be started")?.block_on(command)
}

/// An open way to a relay.
#[derive(Clone, Debug)]
pub struct Session {
    channel: Channel,
    token: Option<MetadataValue<Ascii>>,
    pub timeout: Duration,
    pub address: String,
}

impl Relay {
    /// The same relay options for another address.
    #[must_use]
    pub fn at(&self, address: &str) -> Self {
        Relay { address: Some(address.to_owned()), ..self.clone() }
    }

    /// Connects.
    ///
    /// # Errors
    /// A file that cannot be read, an address that is none, nobody there.
    pub async fn connect(&self) -> anyhow::Result<Session> {
        let tls = self.tls_ca.is_some() || self.tls_cert.is_some() || self.tls_server_name.is_some();
        let address = self.address.clone().or_else(|| variable("FF_RELAY_ADDRESS"));
        let address = address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
        let url = match address.split_once("://") {
            Some(_) => address,
            None => format!("{}://{address}", if tls { "https" } else { "http" }),
        };
        let shown = without_credentials(&url);
        let usage = |why: &str| Failure::Usage(format!("{shown} is no address of a relay: {why}"));
        let mut endpoint = Endpoint::from_shared(url.clone())
            .map_err(|_| usage("write host:port, or http:// or https:// before it"))?
            .connect_timeout(self.timeout)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20))
            .user_agent(concat!("ff-relay/", env!("CARGO_PKG_VERSION")))?;
        if url.starts_with("https://") {
            endpoint = endpoint.tls_config(self.tls()?).map_err(|error| usage(&deepest(Some(&error), "TLS")))?;
        } else if tls {
            return Err(usage("http:// has no TLS; write https://").into());
        }
        let token = self.token()?;
        if token.is_some() && !url.starts_with("https://") && !is_loopback(endpoint.uri()) {
            eprintln!("ff-relay: warning: the token goes to {shown} unencrypted; use https://");
        }
        let connecting = tokio::time::timeout(self.timeout, endpoint.connect());
        let channel = match connecting.await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => return Err(Failure::unreachable(&shown, &deepest(Some(&error), "")).into()),
            Err(_) => return Err(Failure::unreachable(&shown, "no answer in time (--timeout)").into()),
        };
        Ok(Session { channel, token, timeout: self.timeout, address: shown.clone() })
    }

    fn tls(&self) -> anyhow::Result<ClientTlsConfig> {
        let mut tls = match &self.tls_ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        if let Some(name) = &self.tls_server_name {
            tls = tls.domain_name(name);
        }
        Ok(tls)
    }

    fn token(&self) -> anyhow::Result<Option<MetadataValue<Ascii>>> {
        let path = self.token_file.clone().or_else(|| variable("FF_RELAY_TOKEN_FILE").map(PathBuf::from));
        let Some(path) = path else { return Ok(None) };
        let text = String::from_utf8(read(&path)?).unwrap_or_default();
        // The file may be the relay's own, with several.
        let tokens = split_secrets(&text);
        let value = tokens.first().and_then(|token| format!("Bearer {}", token.expose()).parse().ok());
        let Some(mut value) = value else {
            return Err(Failure::Usage(format!("{} holds no token", path.display())).into());
        };
        MetadataValue::set_sensitive(&mut value, true);
        Ok(Some(value))
    }
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    Process.variable(name)?.into_string().ok().filter(|value| !value.is_empty())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

fn is_loopback(uri: &http::Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl Session {
    /// A message with the credential.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }

    /// Waits for an answer, for as long as `--timeout` says.
    ///
    /// # Errors
    /// What the relay says, or that it says nothing.
    pub async fn answer<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answered) => answered.map(Response::into_inner).map_err(|status| Failure::of(&status, &self.address)),
            Err(_) => Err(Failure::unreachable(&self.address, "no answer in time (--timeout)")),
        }
    }

    #[must_use]
    pub fn inspect(&self) -> InspectServiceClient<Channel> {
        InspectServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    #[must_use]
    pub fn snapshots(&self) -> SnapshotServiceClient<Channel> {
        SnapshotServiceClient::new(self.channel.clone())
    }

    /// What the standard health service says of the relay as a whole; `None`
    /// if it says nothing.
    pub async fn is_serving(&self) -> Option<bool> {
        let mut health = HealthClient::new(self.channel.clone());
        let check = health.check(self.request(HealthCheckRequest { service: String::new() }));
        let answer = self.answer(check).await.ok()?;
        Some(answer.status() == ServingStatus::Serving)
    }

    #[must_use]
    pub fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }
}

/// True for what is meant as the address of a relay, not as a file.
#[must_use]
pub fn is_address(text: &str) -> bool {
    if text.contains("://") {
        return true;
    }
    let port = text.rsplit_once(':').map(|(_, port)| port);
    !Path::new(text).exists() && port.is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_files() {
        for (text, expected) in [
            ("http://a", true),
            ("localhost:7001", true),
            ("[::1]:7001", true),
            ("flags.tar.gz", false),
            ("./config", false),
            ("a:b", false),
        ] {
            assert_eq!(is_address(text), expected, "{text}");
        }
    }

    #[test]
    fn loopback_by_any_name() {
        for (uri, expected) in [("http://127.0.0.2:1", true), ("http://[::1]:1", true), ("http://relay:1", false)] {
            assert_eq!(is_loopback(&uri.parse().unwrap()), expected, "{uri}");
        }
    }
}
