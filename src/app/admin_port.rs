//! The admin port put together: what its services read, and who does what
//! they change.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use super::StartError;
use super::ports::local;
use crate::config::{Config, Mode};
use crate::grpc::access::Access;
use crate::grpc::admin::Admin;
use crate::grpc::archives::Archives;
use crate::grpc::import::Imports;
use crate::grpc::inspect::Inspect;
use crate::grpc::server::{GrpcServer, Services};
use crate::grpc::snapshot::Snapshots;
use crate::grpc::sync::Following;
use crate::grpc::usage::FollowersUsage;
use crate::http::listener::bind;
use crate::lifecycle::readiness::Readiness;
use crate::lifecycle::supervisor::Supervisor;
use crate::store::Store;
use crate::store::administration::Administrator;
use crate::store::source_status::SourceStatus;
use crate::telemetry::log_level::LogControl;
use crate::usage::Usage;

/// What the services need of the rest.
pub struct Parts {
    pub store: Store,
    pub readiness: Arc<Readiness>,
    pub status: SourceStatus,
    pub usage: Arc<Usage>,
    pub administrator: Arc<dyn Administrator>,
    pub log: Arc<LogControl>,
    /// Cancelled when an operator wants the process to end.
    pub drain: CancellationToken,
}

/// Listens, if the port is on; gives its address.
///
/// # Errors
/// The port is taken, or a TLS file cannot be used.
pub async fn listen(
    config: &Config,
    parts: Parts,
    listening: &mut Supervisor,
    stop: &CancellationToken,
) -> Result<Option<SocketAddr>, StartError> {
    let Some(address) = config.grpc.address else {
        return Ok(None);
    };
    let tcp = bind(address).map_err(|source| StartError::Listen { port: address.port(), source })?;
    let bound = local(&tcp, address.port())?;
    let access = Access::new(&config.grpc);
    if access.is_open_to_loopback() {
        tracing::info!(
            "gRPC: no credential is configured, so callers on this machine may inspect and nobody may do more; \
             to make a token: head -c 32 /dev/urandom | base64 > admin-token, then GRPC_ADMIN_TOKENS_FILE=admin-token"
        );
    }
    let server = GrpcServer::new(tcp, &config.grpc, Arc::clone(&access), services(config, parts, stop)).await?;
    listening.own("gRPC token files", access.watch(stop.clone()));
    if let Some(certificate) = server.certificate() {
        listening.own("gRPC certificate watch", certificate.watch(stop.clone()));
    }
    listening.own("gRPC port", server.run(stop.clone())?);
    Ok(Some(bound))
}

fn services(config: &Config, parts: Parts, stop: &CancellationToken) -> Services {
    let Parts { store, readiness, status, usage, administrator, log, drain } = parts;
    let fetches = !matches!(config.mode, Mode::Offline(_));
    // Archives in transit lie where there is room for what must outlive the process.
    let place: PathBuf = config.data_dir.clone().unwrap_or_else(std::env::temp_dir);
    Services {
        inspect: Inspect {
            store: store.clone(),
            readiness: Arc::clone(&readiness),
            source: status,
            mode: config.mode.name(),
            started_at: SystemTime::now(),
        },
        snapshots: Snapshots {
            following: Following::new(store.clone(), readiness, Arc::clone(&administrator), stop.clone()),
            archives: Archives::new(store.clone(), config.data_dir.clone(), fetches, stop.clone()),
        },
        usage: FollowersUsage { store: store.clone(), usage },
        admin: Admin { imports: Imports::new(administrator, place, stop.clone()), store, log, drain },
    }
}
