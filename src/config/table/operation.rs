//! Options of the gRPC listener, logs, metrics and shutdown.

use std::time::Duration;

use super::super::kind::{Kind, LARGEST};
use super::super::option_spec::{Fallback, Group, OptionSpec, Scope};

/// The rows.
pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::new(
        Group::Grpc,
        "grpc-address",
        Kind::Listen,
        Fallback::Text("127.0.0.1:7001"),
        "Where the admin and snapshot API listens, or off. Beyond loopback it needs a token or \
         a client CA.",
    ),
    OptionSpec::new(
        Group::Grpc,
        "grpc-inspect-tokens",
        Kind::Secrets,
        Fallback::None,
        "Tokens that may look. All tokens: several are valid at once; those from a file are read \
         again when it changes.",
    ),
    OptionSpec::new(
        Group::Grpc,
        "grpc-sync-tokens",
        Kind::Secrets,
        Fallback::None,
        "Tokens that may look, export and follow.",
    ),
    OptionSpec::new(Group::Grpc, "grpc-admin-tokens", Kind::Secrets, Fallback::None, "Tokens that may do everything."),
    OptionSpec::new(
        Group::Grpc,
        "grpc-tls-cert",
        Kind::Path,
        Fallback::None,
        "Certificate chain (PEM) of the gRPC listener; with grpc-tls-key.",
    ),
    OptionSpec::new(Group::Grpc, "grpc-tls-key", Kind::Path, Fallback::None, "Private key (PEM) of the gRPC listener."),
    OptionSpec::new(
        Group::Grpc,
        "grpc-client-ca",
        Kind::Path,
        Fallback::None,
        "CA (PEM) of client certificates; needs grpc-tls-cert.",
    ),
    OptionSpec::new(
        Group::Grpc,
        "grpc-client-roles",
        Kind::Roles,
        Fallback::None,
        "Which client certificate has which role: <SAN>=<role>, separated by commas; a role is \
         inspect, sync or admin.",
    ),
    OptionSpec::new(
        Group::Operation,
        "log-level",
        Kind::Level,
        Fallback::Text("INFO"),
        "DEBUG, INFO, WARN or ERROR, in any case.",
    ),
    OptionSpec::new(Group::Operation, "debug", Kind::Bool, Fallback::Text("false"), "Same as log-level=DEBUG."),
    OptionSpec::new(
        Group::Operation,
        "log-format",
        Kind::Format,
        Fallback::Derived("json, text on a terminal"),
        "json or text.",
    ),
    OptionSpec::new(
        Group::Operation,
        "metrics-max-keys",
        Kind::Count { min: 1, max: LARGEST },
        Fallback::Text("200000"),
        "Distinct aggregation keys of SDK metrics held in memory.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Operation,
        "ready-max-staleness",
        Kind::OptionalDuration { min: Duration::from_secs(1) },
        Fallback::Text("off"),
        "Report not ready when configuration is older than this. Beware: it takes every relay \
         out at once when Harness fails.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Operation,
        "shutdown-grace",
        Kind::Duration { min: Duration::ZERO },
        Fallback::Text("10s"),
        "How long draining may take after SIGTERM.",
    ),
];
