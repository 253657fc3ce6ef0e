//! Options of the SDK port: the listener, who may ask, streams, evaluation.

use std::time::Duration;

use super::super::kind::{Kind, LARGEST};
use super::super::option_spec::{Fallback, Group, OptionSpec};

const TIMEOUT: Kind = Kind::Duration { min: Duration::from_millis(1) };
const OPTIONAL_TIME: Kind = Kind::OptionalDuration { min: Duration::from_millis(1) };

/// The rows.
pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::new(Group::Listener, "port", Kind::Port, Fallback::Text("7000"), "The port SDKs talk to."),
    OptionSpec::new(
        Group::Listener,
        "listen-address",
        Kind::Ip,
        Fallback::Derived("all interfaces"),
        "The one address on which the SDK port listens.",
    ),
    OptionSpec::new(
        Group::Listener,
        "prometheus-port",
        Kind::Port,
        Fallback::Derived("same as port"),
        "A port of its own for Prometheus metrics.",
    ),
    OptionSpec::new(
        Group::Listener,
        "tls-enabled",
        Kind::Bool,
        Fallback::Text("false"),
        "HTTPS on the SDK port; needs tls-cert and tls-key.",
    ),
    OptionSpec::new(
        Group::Listener,
        "tls-cert",
        Kind::Path,
        Fallback::None,
        "Certificate chain (PEM); read again when it changes.",
    ),
    OptionSpec::new(
        Group::Listener,
        "tls-key",
        Kind::Path,
        Fallback::None,
        "Private key (PEM); read again when it changes.",
    ),
    OptionSpec::new(
        Group::Listener,
        "cors-allowed-origins",
        Kind::List,
        Fallback::Text("*"),
        "Origins from which browsers may call, separated by commas.",
    ),
    OptionSpec::new(
        Group::Listener,
        "header-timeout",
        TIMEOUT,
        Fallback::Text("15s"),
        "How long a client may take to send its request headers.",
    ),
    OptionSpec::new(
        Group::Listener,
        "idle-timeout",
        TIMEOUT,
        Fallback::Text("120s"),
        "How long a connection without a request stays open.",
    ),
    OptionSpec::new(
        Group::Listener,
        "write-timeout",
        TIMEOUT,
        Fallback::Text("30s"),
        "How long a client may take no byte of an answer or stream before it is cut.",
    ),
    OptionSpec::new(
        Group::Listener,
        "max-connections",
        Kind::Limit,
        Fallback::Derived("open-file limit less 512"),
        "Connections served at the same time.",
    ),
    OptionSpec::new(
        Group::Access,
        "auth-secret",
        Kind::Secret,
        Fallback::Derived("from Redis, the keys, data-dir, or random"),
        "Signs the tokens that SDKs get. Relays between which SDKs may switch need the same. \
         Without it: the one in Redis; else one derived from proxy-key or api-keys; else the one \
         kept in data-dir; else random, and running SDKs are refused after a restart.",
    ),
    OptionSpec::new(
        Group::Access,
        "auth-secret-previous",
        Kind::SecretLines,
        Fallback::None,
        "A secret that no longer signs but still verifies, during a rotation. Several: repeat \
         the flag, or one per line.",
    ),
    OptionSpec::new(
        Group::Access,
        "legacy-tokens",
        Kind::Bool,
        Fallback::Text("true"),
        "Accept tokens that the Go proxy v1 made with the same secret; they cannot be revoked.",
    ),
    OptionSpec::new(
        Group::Access,
        "bypass-auth",
        Kind::Bool,
        Fallback::Text("false"),
        "Answer data routes without a token.",
    ),
    OptionSpec::new(
        Group::Access,
        "target-validation",
        Kind::Switch,
        Fallback::Text("on"),
        "Refuse targets with an invalid identifier or name.",
    ),
    OptionSpec::new(
        Group::Access,
        "max-targets",
        Kind::Count { min: 1, max: LARGEST },
        Fallback::Text("100000"),
        "Targets kept per environment; the least recently used go first.",
    ),
    OptionSpec::new(
        Group::Streams,
        "max-streams",
        Kind::Limit,
        Fallback::None,
        "Streams open at the same time; over it, 503 with Retry-After.",
    ),
    OptionSpec::new(
        Group::Streams,
        "max-streams-per-environment",
        Kind::Limit,
        Fallback::None,
        "The same for each environment.",
    ),
    OptionSpec::new(
        Group::Streams,
        "max-stream-age",
        OPTIONAL_TIME,
        Fallback::Text("off"),
        "End streams at this age, with jitter, so that a load balancer can spread them again.",
    ),
    OptionSpec::new(
        Group::Streams,
        "event-repeat",
        OPTIONAL_TIME,
        Fallback::Derived("30s with Redis or peers, else off"),
        "Send each event once more after this time, for SDKs whose next request reached a relay \
         that was behind. Offline replicas that share nothing set it above their copy's delay.",
    ),
    OptionSpec::new(
        Group::Evaluation,
        "and-rules",
        Kind::Bool,
        Fallback::Text("true"),
        "Evaluate group rules whose clauses must all hold (the Go proxy v2's default is false).",
    ),
];
