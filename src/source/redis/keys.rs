//! Names of everything that is kept in Redis: the relay's own under one
//! prefix, and those of the Go proxies beside them (`redis.md`).
//!
//! What one script touches together has one hash tag, so that it lies in one
//! slot of a cluster.

use crate::snapshot::content::{EnvironmentId, KeyHash};
use crate::snapshot::item::{ItemKey, ItemKind};

/// The relay's own keys.
pub mod own {
    use super::EnvironmentId;

    /// Every key of the relay begins so; no key of a Go proxy does.
    pub const PREFIX: &str = "ffrelay:";
    /// Hash: environment id → `live` or `gone`.
    pub const ENVIRONMENTS: &str = "ffrelay:environments";
    /// Hash with a time to live: who may write.
    pub const LEASE: &str = "ffrelay:{lease}";
    /// Counts leases.
    pub const LEASE_TOKEN: &str = "ffrelay:{lease}:token";
    /// Stream: what changed, questions and answers between relays.
    pub const BUS: &str = "ffrelay:{bus}";
    /// Stream: up to which entry of the bus each relay has come.
    pub const ACKS: &str = "ffrelay:{bus}:acks";
    /// Streams: targets that SDKs brought, small and large ones.
    pub const TARGETS: &str = "ffrelay:{bus}:targets";
    pub const LARGE_TARGETS: &str = "ffrelay:{bus}:large-targets";
    /// Stream: batches of SDK metrics on their way to the primary.
    pub const USAGE: &str = "ffrelay:{usage}";
    /// The secret that signs SDK tokens.
    pub const AUTH_SECRET: &str = "ffrelay:{auth}:secret";
    /// Set: secrets that verify tokens, too.
    pub const AUTH_SECRETS: &str = "ffrelay:{auth}:earlier-secrets";
    /// JSON array: the sources that imports have paused.
    pub const PAUSED: &str = "ffrelay:paused";
    /// Up to where `stream:sdk_metrics` was read.
    pub const GO_USAGE_POSITION: &str = "ffrelay:go-usage-position";

    /// Hash: one environment's truth.
    #[must_use]
    pub fn truth(environment: &EnvironmentId) -> String {
        format!("{PREFIX}{{{environment}}}:truth")
    }

    /// What became of a batch of SDK metrics.
    #[must_use]
    pub fn batch(id: impl std::fmt::Display) -> String {
        format!("{USAGE}:batch:{id}")
    }
}

/// The keys of the Go proxies.
pub mod go {
    use super::{EnvironmentId, ItemKey, ItemKind, KeyHash};

    /// Stream: change events, primary → replicas.
    pub const EVENTS: &str = "proxy:sse_events";
    /// Stream: the upstream stream is up or down, primary → replicas.
    pub const CONTROL: &str = "proxy:primary_to_replica_control_events";
    /// Stream: SDK metrics, replicas → primary.
    pub const USAGE: &str = "stream:sdk_metrics";
    /// State of the upstream stream.
    pub const STREAM_HEALTH: &str = "ffproxy_saas_stream_health";
    /// The one field of every stream entry.
    pub const FIELD: &str = "event";
    /// One more field of entries that a relay wrote: Go proxies read only
    /// theirs, and relays tell a Go primary's work from their own.
    pub const OURS: &str = "ffrelay";

    /// The list of all items of one kind.
    #[must_use]
    pub fn list(environment: &EnvironmentId, kind: ItemKind) -> String {
        match kind {
            ItemKind::Flag => format!("env-{environment}-feature-configs"),
            ItemKind::Segment => format!("env-{environment}-segments"),
            ItemKind::Target => format!("env-{environment}-target-configs"),
        }
    }

    /// SHA-256 of that list's text; there is none for targets.
    #[must_use]
    pub fn latest(environment: &EnvironmentId, kind: ItemKind) -> String {
        format!("{}-latest", list(environment, kind))
    }

    /// Before the identifier of a single item.
    #[must_use]
    pub fn item_prefix(environment: &EnvironmentId, kind: ItemKind) -> String {
        match kind {
            ItemKind::Flag => format!("env-{environment}-feature-config-"),
            ItemKind::Segment => format!("env-{environment}-segment-"),
            ItemKind::Target => format!("env-{environment}-target-config-"),
        }
    }

    /// One item.
    #[must_use]
    pub fn item(environment: &EnvironmentId, key: &ItemKey) -> String {
        format!("{}{}", item_prefix(environment, key.kind), key.identifier)
    }

    /// Before the hash of an SDK key.
    pub const AUTH_KEY_PREFIX: &str = "auth-key-";

    /// Which environment an SDK key leads to.
    #[must_use]
    pub fn auth_key(hash: &KeyHash) -> String {
        format!("{AUTH_KEY_PREFIX}{hash}")
    }

    /// The names of all [`auth_key`]s of an environment.
    #[must_use]
    pub fn api_configs(environment: &EnvironmentId) -> String {
        format!("env-{environment}-api-configs")
    }
}
