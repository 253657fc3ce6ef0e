//! The one builder of HTTP clients for everything upstream.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, NoProxy, Proxy};

use crate::config::UpstreamConfig;

/// Name and version as upstream sees them.
const AGENT: &str = concat!("ff-relay/", env!("CARGO_PKG_VERSION"));
const SDK_INFO: &str = concat!("ff-relay ", env!("CARGO_PKG_VERSION"));

/// A stream that shows no sign of life for this long is dead.
pub const STREAM_SILENCE: Duration = Duration::from_secs(30);

/// Connections idle for longer are not used for SDK metrics: a request on a
/// connection that the server closes meanwhile is one whose outcome nobody
/// knows.
const METRICS_IDLE: Duration = Duration::from_secs(5);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("ca-bundle {path}: {reason}")]
    CaBundle { path: String, reason: String },
    #[error("{option} is no usable proxy URL")]
    Proxy { option: &'static str },
    #[error("the HTTP client cannot be made: {0}")]
    Build(String),
}

/// The clients, which differ in how long they wait.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Requests that are answered and over.
    pub calls: Client,
    pub streams: Client,
    pub metrics: Client,
}

impl Clients {
    /// Makes them.
    ///
    /// # Errors
    /// The CA bundle or a proxy address cannot be used.
    pub fn new(config: &UpstreamConfig) -> Result<Self, ClientError> {
        let build =
            |builder: reqwest::ClientBuilder| builder.build().map_err(|error| ClientError::Build(error.to_string()));
        Ok(Clients {
            calls: build(builder(config)?.read_timeout(config.request_timeout))?,
            streams: build(builder(config)?.no_gzip().read_timeout(STREAM_SILENCE))?,
            metrics: build(builder(config)?.read_timeout(config.request_timeout).pool_idle_timeout(METRICS_IDLE))?,
        })
    }
}

fn builder(config: &UpstreamConfig) -> Result<reqwest::ClientBuilder, ClientError> {
    let mut headers = HeaderMap::new();
    headers.insert("harness-sdk-info", HeaderValue::from_static(SDK_INFO));
    let mut builder = Client::builder()
        .user_agent(AGENT)
        .default_headers(headers)
        .connect_timeout(config.connect_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(20))
        // A redirect could carry a token elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // Proxies come from the options, which have read the environment.
        .no_proxy();
    let exceptions = NoProxy::from_string(&config.proxies.exceptions.join(","));
    for (option, url) in [("https-proxy", &config.proxies.https), ("http-proxy", &config.proxies.http)] {
        let Some(url) = url else { continue };
        let url =
            if url.expose().contains("://") { url.expose().to_owned() } else { format!("http://{}", url.expose()) };
        let proxy = if option == "https-proxy" { Proxy::https(url) } else { Proxy::http(url) };
        let proxy = proxy.map_err(|_| ClientError::Proxy { option })?;
        builder = builder.proxy(proxy.no_proxy(exceptions.clone()));
    }
    if let Some(path) = &config.ca_bundle {
        let failed = |reason: String| ClientError::CaBundle { path: path.display().to_string(), reason };
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let roots =
            Certificate::from_pem_bundle(&pem).map_err(|_| failed("it holds no PEM certificates".to_owned()))?;
        if roots.is_empty() {
            return Err(failed("it holds no PEM certificates".to_owned()));
        }
        builder = builder.tls_certs_merge(roots);
    }
    Ok(builder)
}
