//! Options of what relays share: another relay as source, Redis.

use std::time::Duration;

use super::super::kind::{Kind, LARGEST};
use super::super::option_spec::{Fallback, Group, OptionSpec, Scope, Variable};

/// The rows.
pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::new(
        Group::Peers,
        "peer-address",
        Kind::Endpoints,
        Fallback::None,
        "Follow another relay: its gRPC address, several in order of preference. Not with api-keys or proxy-key.",
    )
    .scope(Scope::Online),
    OptionSpec::new(Group::Peers, "peer-token", Kind::Secret, Fallback::None, "Sync token of that relay.")
        .scope(Scope::Online),
    OptionSpec::new(
        Group::Peers,
        "peer-environments",
        Kind::List,
        Fallback::Derived("all"),
        "Ids of the environments to follow.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Peers,
        "peer-tls-cert",
        Kind::Path,
        Fallback::None,
        "Client certificate (PEM) shown to that relay; with peer-tls-key.",
    )
    .scope(Scope::Online),
    OptionSpec::new(Group::Peers, "peer-tls-key", Kind::Path, Fallback::None, "Its private key (PEM).")
        .scope(Scope::Online),
    OptionSpec::new(
        Group::Redis,
        "redis-address",
        Kind::Redis,
        Fallback::None,
        "host:port, redis:// or rediss:// (TLS); a list names the seeds of a cluster, or the \
         sentinels.",
    )
    .scope(Scope::OnlineOrRedis),
    OptionSpec::new(Group::Redis, "redis-username", Kind::Text, Fallback::None, "User name.")
        .scope(Scope::OnlineOrRedis),
    OptionSpec::new(Group::Redis, "redis-password", Kind::Secret, Fallback::None, "Password.")
        .scope(Scope::OnlineOrRedis),
    OptionSpec::new(
        Group::Redis,
        "redis-db",
        Kind::Count { min: 0, max: LARGEST },
        Fallback::Text("0"),
        "Database number.",
    )
    .scope(Scope::OnlineOrRedis),
    OptionSpec::new(
        Group::Redis,
        "redis-pool-size",
        Kind::Limit,
        Fallback::Derived("10 per core"),
        "Connections at the same time, at most; the relay shares one for most of its calls and opens up to 6.",
    )
    .scope(Scope::OnlineOrRedis),
    OptionSpec::new(
        Group::Redis,
        "redis-sentinel-master",
        Kind::Text,
        Fallback::None,
        "The master's name; redis-address then lists sentinels.",
    )
    .scope(Scope::OnlineOrRedis),
    OptionSpec::new(
        Group::Redis,
        "redis-lease",
        Kind::Duration { min: Duration::from_secs(1) },
        Fallback::Text("10s"),
        "How long a writer that fell silent keeps the right to write.",
    )
    .scope(Scope::OnlineOrRedis),
    OptionSpec::new(
        Group::Redis,
        "read-replica",
        Kind::Bool,
        Fallback::Text("false"),
        "Serve what a primary keeps in Redis, without talking to Harness for flags.",
    )
    .scope(Scope::Online),
    OptionSpec::new(
        Group::Redis,
        "metrics-stream-max-len",
        Kind::Count { min: 1, max: LARGEST },
        Fallback::Text("1000"),
        "Batches of SDK metrics that wait in Redis; relays keep further ones in memory.",
    )
    .scope(Scope::OnlineOrRedis),
    OptionSpec::new(
        Group::Redis,
        "metrics-stream-read-concurrency",
        Kind::Count { min: 1, max: 1024 },
        Fallback::Text("10"),
        "Batches of other relays that the primary sends to Harness at the same time.",
    )
    .scope(Scope::OnlineOrRedis)
    .variable(Variable::Named("METRIC_STREAM_READ_CONCURRENCY")),
    OptionSpec::new(
        Group::Redis,
        "offline-redis",
        Kind::Bool,
        Fallback::Text("false"),
        "With offline: write the served configuration to Redis for replicas.",
    )
    .scope(Scope::Always),
];
