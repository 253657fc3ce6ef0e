//! Where flags come from.

use std::path::PathBuf;
use std::time::Duration;

use super::super::secret::Secret;
use super::super::settings::Settings;
use super::TlsFiles;

/// The source of flags; `None` of these is an error ([`Problem::NoSource`](super::super::Problem)).
#[derive(Debug, Clone)]
pub enum Mode {
    /// A directory or archive, no outbound connection.
    Offline(Offline),
    /// Harness, one server key per environment.
    ApiKeys(ApiKeys),
    /// Harness, one key for several environments.
    ProxyKey(Secret),
    /// Another relay.
    Peer(Peer),
    /// What a primary keeps in Redis.
    Replica,
}

/// The offline source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offline {
    /// Directory or archive.
    pub path: PathBuf,
    /// Whether somebody named it. Where nobody did and `data-dir` is given, an empty one is no
    /// error: the relay starts empty and takes imports.
    pub path_given: bool,
    /// Whether changes are taken over while running.
    pub reload: bool,
    /// How often to look.
    pub reload_interval: Duration,
    /// Whether it was named by `file-data-source`, so that it must be an archive.
    pub must_be_archive: bool,
}

/// Mode 1.
#[derive(Debug, Clone)]
pub struct ApiKeys {
    /// Server keys, at least one.
    pub keys: Vec<Secret>,
    /// Token of the admin service, for key hashes and targets.
    pub admin_service_token: Option<Secret>,
    /// Account, for the same.
    pub account_identifier: Option<String>,
    /// Organization, for the same.
    pub org_identifier: Option<String>,
}

/// A leader to follow.
#[derive(Debug, Clone)]
pub struct Peer {
    /// `host:port` or `http(s)://host[:port]`, the preferred one first; at least one.
    pub addresses: Vec<String>,
    /// Sync token.
    pub token: Option<Secret>,
    /// Environments to follow; empty is all.
    pub environments: Vec<String>,
    /// Client certificate.
    pub tls: Option<TlsFiles>,
}

impl Mode {
    /// The mode that the options ask for, in the order of precedence of the contract: `offline`
    /// beside anything is offline, a replica ignores keys.
    pub(in super::super) fn from_settings(settings: &Settings) -> Option<Self> {
        if settings.flag("offline") {
            Some(Self::Offline(offline(settings)))
        } else if settings.flag("read-replica") {
            Some(Self::Replica)
        } else if settings.is_given("peer-address") {
            Some(Self::Peer(Peer {
                addresses: settings.list("peer-address"),
                token: settings.secret("peer-token"),
                environments: settings.list("peer-environments"),
                tls: TlsFiles::from_settings(settings, "peer-tls-cert", "peer-tls-key"),
            }))
        } else if let Some(key) = settings.secret("proxy-key") {
            Some(Self::ProxyKey(key))
        } else if settings.is_given("api-keys") {
            Some(Self::ApiKeys(ApiKeys {
                keys: settings.secrets("api-keys"),
                admin_service_token: settings.secret("admin-service-token"),
                account_identifier: settings.text("account-identifier"),
                org_identifier: settings.text("org-identifier"),
            }))
        } else {
            None
        }
    }

    /// The name that logs and health show.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Offline(_) => "offline",
            Self::ApiKeys(_) => "api-keys",
            Self::ProxyKey(_) => "proxy-key",
            Self::Peer(_) => "peer",
            Self::Replica => "read-replica",
        }
    }
}

fn offline(settings: &Settings) -> Offline {
    let archive = settings.is_given("file-data-source");
    Offline {
        path: settings.path("config-dir").unwrap_or_default(),
        path_given: archive || settings.is_given("config-dir"),
        reload: settings.flag("config-reload"),
        reload_interval: settings.duration("config-reload-interval"),
        must_be_archive: archive,
    }
}
