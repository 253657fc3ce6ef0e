//! The admin and snapshot listener.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::super::secret::Secret;
use super::super::settings::Settings;
use super::super::value::Value;
use super::TlsFiles;

/// Options of the gRPC listener.
#[derive(Debug, Clone)]
pub struct GrpcConfig {
    /// Where to listen; `None` is off.
    pub address: Option<SocketAddr>,
    /// Tokens with the role `inspect`.
    pub inspect_tokens: RoleTokens,
    /// Tokens with the role `sync`.
    pub sync_tokens: RoleTokens,
    /// Tokens with the role `admin`.
    pub admin_tokens: RoleTokens,
    /// TLS, if it is on.
    pub tls: Option<TlsFiles>,
    /// CA of client certificates (PEM).
    pub client_ca: Option<PathBuf>,
    /// Subject alternative names of client certificates, and their roles.
    pub client_roles: Vec<(String, Role)>,
}

/// The tokens of one role.
#[derive(Debug, Clone)]
pub struct RoleTokens {
    /// The tokens as read at start; empty if there are none.
    pub tokens: Vec<Secret>,
    /// The file they came from, to be read again when it changes, by
    /// [`split_secrets`](super::super::split_secrets).
    pub file: Option<PathBuf>,
}

/// What a caller may do; each role includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Inspect,
    /// Export and follow.
    Sync,
    /// Import and control.
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inspect => "inspect",
            Self::Sync => "sync",
            Self::Admin => "admin",
        })
    }
}

impl Role {
    /// Reads a role, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "inspect" => Self::Inspect,
            "sync" => Self::Sync,
            "admin" => Self::Admin,
            _ => return None,
        })
    }
}

impl GrpcConfig {
    pub(in super::super) fn from_settings(settings: &Settings) -> Self {
        let tokens = |flag| RoleTokens { tokens: settings.secrets(flag), file: settings.file(flag).map(PathBuf::from) };
        let roles = |value: &Value| match value {
            Value::Roles(roles) => Some(roles.clone()),
            _ => None,
        };
        Self {
            address: settings.listen("grpc-address"),
            inspect_tokens: tokens("grpc-inspect-tokens"),
            sync_tokens: tokens("grpc-sync-tokens"),
            admin_tokens: tokens("grpc-admin-tokens"),
            tls: TlsFiles::from_settings(settings, "grpc-tls-cert", "grpc-tls-key"),
            client_ca: settings.path("grpc-client-ca"),
            client_roles: settings.pick("grpc-client-roles", roles).unwrap_or_default(),
        }
    }
}
