//! The SDK port.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::super::secret::Secret;
use super::super::settings::Settings;

/// As with Redis or a leader, see `options.md`.
const REPEAT_WITH_FOLLOWERS: Duration = Duration::from_secs(30);

/// Options of the SDK port: listener, access, streams.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where to listen; `None` is every interface, IPv6 and IPv4 where they exist, as Go's `:port`.
    pub listen_address: Option<IpAddr>,
    /// TCP port; 0 lets the system choose.
    pub port: u16,
    /// A port of its own for metrics; `None` means on `port`.
    pub prometheus_port: Option<u16>,
    /// HTTPS, if it is on.
    pub tls: Option<TlsFiles>,
    /// Origins that browsers may call from; `*` is any.
    pub cors_allowed_origins: Vec<String>,
    /// Time to receive request headers.
    pub header_timeout: Duration,
    /// Time a connection may be without a request.
    pub idle_timeout: Duration,
    /// Time a client may take no byte.
    pub write_timeout: Duration,
    /// Connections at once; `None` means the open-file limit less 512.
    pub max_connections: Option<usize>,
    /// Streams at once; `None` means no limit.
    pub max_streams: Option<usize>,
    /// Streams at once for one environment; `None` means no limit.
    pub max_streams_per_environment: Option<usize>,
    /// Age at which streams are ended, before jitter; `None` means never.
    pub max_stream_age: Option<Duration>,
    /// Delay after which events are sent once more, before jitter; `None` means never.
    pub event_repeat: Option<Duration>,
    /// The same while other relays follow, which nobody knows at the start; `None` where somebody
    /// turned it off.
    pub event_repeat_with_followers: Option<Duration>,
    /// Whether data routes answer without a token.
    pub bypass_auth: bool,
    /// Whether targets with an invalid identifier or name are refused.
    pub target_validation: bool,
    /// Targets kept per environment.
    pub max_targets: usize,
    /// Signs tokens; `None` means that the relay finds one, see the spec.
    pub auth_secret: Option<Secret>,
    /// Secrets that still verify.
    pub auth_secret_previous: Vec<Secret>,
    /// Whether tokens of the Go proxy v1 are accepted.
    pub legacy_tokens: bool,
}

/// A certificate chain and its private key, both PEM files that are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Both files, if both are given; half of a pair is reported elsewhere.
    pub(in super::super) fn from_settings(settings: &Settings, cert: &str, key: &str) -> Option<Self> {
        Some(Self { cert: settings.path(cert)?, key: settings.path(key)? })
    }
}

impl HttpConfig {
    pub(in super::super) fn from_settings(settings: &Settings) -> Self {
        let port = settings.port("port").unwrap_or_default();
        let tls = settings.flag("tls-enabled");
        Self {
            listen_address: settings.ip("listen-address"),
            port,
            prometheus_port: settings.port("prometheus-port").filter(|own| *own != port),
            tls: tls.then(|| TlsFiles::from_settings(settings, "tls-cert", "tls-key")).flatten(),
            cors_allowed_origins: settings.list("cors-allowed-origins"),
            header_timeout: settings.duration("header-timeout"),
            idle_timeout: settings.duration("idle-timeout"),
            write_timeout: settings.duration("write-timeout"),
            max_connections: settings.limit("max-connections"),
            max_streams: settings.limit("max-streams"),
            max_streams_per_environment: settings.limit("max-streams-per-environment"),
            max_stream_age: settings.optional_duration("max-stream-age"),
            event_repeat: settings.optional_duration("event-repeat"),
            event_repeat_with_followers: (!settings.is_given("event-repeat")).then_some(REPEAT_WITH_FOLLOWERS),
            bypass_auth: settings.flag("bypass-auth"),
            target_validation: settings.flag("target-validation"),
            max_targets: settings.count("max-targets"),
            auth_secret: settings.secret("auth-secret"),
            auth_secret_previous: settings.secrets("auth-secret-previous"),
            legacy_tokens: settings.flag("legacy-tokens"),
        }
    }
}
