//! The connection to Harness, and what is sent there.

use std::path::PathBuf;
use std::time::Duration;

use super::super::secret::Secret;
use super::super::settings::Settings;

/// Options of the upstream client. Base URLs have no slash at their end.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// Authentication and registration.
    pub client_service: String,
    /// Flags, segments and the stream.
    pub sdk_base_url: String,
    /// Key hashes and targets.
    pub admin_service: String,
    /// SDK metrics.
    pub metric_service: String,
    /// Whether to follow the upstream stream.
    pub flag_stream_enabled: bool,
    /// Polling while the stream is down.
    pub flag_poll_interval: Duration,
    /// Polling of targets; `None` is off.
    pub target_poll_duration: Option<Duration>,
    /// Whether SDK targets are registered upstream.
    pub forward_targets: bool,
    /// Time between full fetches.
    pub resync_interval: Duration,
    /// Time between readings of the key hashes.
    pub key_refresh_interval: Duration,
    /// Time to connect, to Harness or a peer.
    pub connect_timeout: Duration,
    /// Time for one request, to Harness or a peer.
    pub request_timeout: Duration,
    /// Extra roots (PEM), for upstream, Redis and peers.
    pub ca_bundle: Option<PathBuf>,
    /// Proxies on the way out.
    pub proxies: OutboundProxies,
}

/// `HTTPS_PROXY` and its kin; URLs are secrets because they may hold a password.
#[derive(Debug, Clone)]
pub struct OutboundProxies {
    /// For `https` addresses.
    pub https: Option<Secret>,
    /// For `http` addresses.
    pub http: Option<Secret>,
    /// Hosts reached directly.
    pub exceptions: Vec<String>,
}

/// Options of SDK metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageConfig {
    /// Time between sendings; `None` is off.
    pub metric_post_duration: Option<Duration>,
    /// Distinct aggregation keys in memory.
    pub metrics_max_keys: usize,
}

impl UpstreamConfig {
    pub(in super::super) fn from_settings(settings: &Settings) -> Self {
        let url = |flag| settings.text(flag).unwrap_or_default();
        Self {
            client_service: url("client-service"),
            sdk_base_url: url("sdk-base-url"),
            admin_service: url("admin-service"),
            metric_service: url("metric-service"),
            flag_stream_enabled: settings.flag("flag-stream-enabled"),
            flag_poll_interval: settings.duration("flag-poll-interval"),
            target_poll_duration: settings.optional_duration("target-poll-duration"),
            forward_targets: settings.flag("forward-targets"),
            resync_interval: settings.duration("resync-interval"),
            key_refresh_interval: settings.duration("key-refresh-interval"),
            connect_timeout: settings.duration("connect-timeout"),
            request_timeout: settings.duration("request-timeout"),
            ca_bundle: settings.path("ca-bundle"),
            proxies: OutboundProxies {
                https: settings.secret("https-proxy"),
                http: settings.secret("http-proxy"),
                exceptions: settings.list("no-proxy"),
            },
        }
    }
}

impl UsageConfig {
    pub(in super::super) fn from_settings(settings: &Settings) -> Self {
        Self {
            metric_post_duration: settings.optional_duration("metric-post-duration"),
            metrics_max_keys: settings.count("metrics-max-keys"),
        }
    }
}
