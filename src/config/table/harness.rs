//! Options of Harness as source.

use std::time::Duration;

use super::super::kind::Kind;
use super::super::option_spec::{Fallback, Group, OptionSpec, Scope, Variable};

const POLLING: Kind = Kind::Duration { min: Duration::from_millis(100) };
const OPTIONAL_POLLING: Kind = Kind::OptionalDuration { min: Duration::from_millis(100) };

/// The rows.
pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::new(
        Group::Harness,
        "api-keys",
        Kind::Secrets,
        Fallback::None,
        "Server SDK keys, one per environment. Not with proxy-key.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "admin-service-token",
        Kind::Secret,
        Fallback::None,
        "With api-keys: reads key hashes and targets from the admin service.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "account-identifier",
        Kind::Text,
        Fallback::None,
        "With api-keys: the Harness account.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "org-identifier",
        Kind::Text,
        Fallback::None,
        "With api-keys: the Harness organization.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "proxy-key",
        Kind::Secret,
        Fallback::None,
        "One key for every environment it was given. Not with api-keys.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "admin-service",
        Kind::Url,
        Fallback::Text("https://app.harness.io/gateway/cf"),
        "Base URL of the admin service.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "client-service",
        Kind::Url,
        Fallback::Text("https://config.ff.harness.io/api/1.0"),
        "Base URL of the client service.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "sdk-base-url",
        Kind::Url,
        Fallback::Derived("same as client-service (https://config.ff.harness.io/api/1.0)"),
        "Base URL for flags and the stream.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "metric-service",
        Kind::Url,
        Fallback::Derived("same as sdk-events-url"),
        "Base URL for SDK metrics.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "sdk-events-url",
        Kind::Url,
        Fallback::Text("https://events.ff.harness.io/api/1.0"),
        "Older name of metric-service, used when that is not given.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "flag-stream-enabled",
        Kind::Bool,
        Fallback::Text("true"),
        "Follow the upstream stream; otherwise poll.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "flag-poll-interval",
        POLLING,
        Fallback::Text("60s"),
        "How often flags are polled while the stream is down.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "target-poll-duration",
        OPTIONAL_POLLING,
        Fallback::Text("0"),
        "How often targets are polled; 0 is off.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "metric-post-duration",
        OPTIONAL_POLLING,
        Fallback::Text("60s"),
        "How often SDK metrics are sent upstream; 0 is off.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "forward-targets",
        Kind::Bool,
        Fallback::Derived("true, false with proxy-key"),
        "Register upstream the targets that SDKs bring.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "resync-interval",
        POLLING,
        Fallback::Text("600s"),
        "How often everything is fetched again, to heal what was lost unnoticed.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "key-refresh-interval",
        POLLING,
        Fallback::Text("60s"),
        "How often key hashes are read again.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "connect-timeout",
        Kind::Duration { min: Duration::from_millis(1) },
        Fallback::Text("5s"),
        "Connecting to Harness or another relay.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "request-timeout",
        Kind::Duration { min: Duration::from_millis(1) },
        Fallback::Text("30s"),
        "One request to Harness or another relay.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Harness,
        "ca-bundle",
        Kind::Path,
        Fallback::Derived("system roots"),
        "Extra roots (PEM) for Harness, Redis and other relays.",
    )
    .scope(Scope::OnlineOrRedis),
    OptionSpec::new(
        Group::Harness,
        "https-proxy",
        Kind::Secret,
        Fallback::None,
        "Proxy for connections to https addresses, as a URL.",
    )
    .scope(Scope::Online)
    .variable(Variable::EitherCase),
    OptionSpec::new(
        Group::Harness,
        "http-proxy",
        Kind::Secret,
        Fallback::None,
        "Proxy for connections to http addresses, as a URL.",
    )
    .scope(Scope::Online)
    .variable(Variable::EitherCase),
    OptionSpec::new(Group::Harness, "no-proxy", Kind::List, Fallback::None, "Hosts reached without a proxy.")
        .scope(Scope::Online)
        .variable(Variable::EitherCase),
];
