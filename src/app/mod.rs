//! The composition root: the only place that makes the store and hands out
//! its halves, and knows every part.

mod admin_port;
mod announce;
mod facts;
mod generate;
mod harness;
mod limits;
mod offline;
mod origin;
mod own_source;
mod ports;
mod redis;
mod secret;
mod serve;

pub use generate::GenerateError;
pub use serve::{Outcome, Relay, generate_offline_config};

use crate::snapshot::report::Problems;
use crate::store::durable::DurableError;
use crate::tls::TlsError;

/// Why the relay did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration directory or archive cannot be served.
    #[error("{0}")]
    Configuration(#[from] Problems),
    #[error("the data directory cannot be used: {0}")]
    Durable(#[from] DurableError),
    #[error("what was imported cannot be served: {0}")]
    Import(#[from] crate::source::pause::ResumeError),
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The options make no client for Harness.
    #[error("Harness: {0}")]
    Upstream(#[from] crate::source::harness::client::ClientError),
    #[error("peer-address: {0}")]
    Peer(#[from] crate::source::peer::channel::LinkError),
    #[error("what is stored of the leader cannot be served: {0}")]
    Restore(#[from] crate::source::peer::known::RestoreError),
    #[error("gRPC: {0}")]
    Grpc(#[from] crate::grpc::server::GrpcError),
    #[error("port {port} cannot be listened on: {source}")]
    Listen { port: u16, source: std::io::Error },
    #[error("redis-address: {0}")]
    Link(#[from] crate::source::redis::link::LinkError),
    /// Redis can be reached, and cannot be used.
    #[error("{0}")]
    Redis(String),
}

impl StartError {
    /// 64 where the operator's configuration is wrong, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Configuration(_)
            | StartError::Tls(_)
            | StartError::Grpc(crate::grpc::server::GrpcError::Tls(_))
            | StartError::Upstream(_)
            | StartError::Peer(_)
            | StartError::Link(_)
            | StartError::Redis(_) => crate::config::EXIT_USAGE,
            StartError::Durable(_)
            | StartError::Restore(_)
            | StartError::Import(_)
            | StartError::Grpc(_)
            | StartError::Listen { .. } => 1,
        }
    }
}
