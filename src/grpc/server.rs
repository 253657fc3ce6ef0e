//! The gRPC listener: services behind the permission boundary.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Layer as _;

use super::access::Access;
use super::admin::Admin;
use super::boundary::{AccessLayer, AccessService};
use super::call::CallService;
use super::download::{DownloadLayer, DownloadService};
use super::inspect::Inspect;
use super::listener::{self, PortLimits};
use super::reflection::ByRole;
use super::snapshot::Snapshots;
use super::usage::FollowersUsage;
use crate::config::GrpcConfig;
use crate::proto::admin::v1::admin_service_server::{AdminServiceServer, SERVICE_NAME as ADMIN};
use crate::proto::inspect::v1::inspect_service_server::{InspectServiceServer, SERVICE_NAME as INSPECT};
use crate::proto::snapshot::v1::snapshot_service_server::{SERVICE_NAME as SNAPSHOT, SnapshotServiceServer};
use crate::proto::usage::v1::usage_service_server::{SERVICE_NAME as USAGE, UsageServiceServer};
use crate::tls::{Certificate, TlsError};

/// Requests of the inspect service are small.
const MAX_INSPECT_BYTES: usize = 64 * 1024;

/// Of the other services: a chunk and a batch of usage fit.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// One flag with its JSON, twice, fits into an answer.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// What health tells of; "" is the relay as a whole.
const HEALTH_NAMES: [&str; 5] = ["", INSPECT, SNAPSHOT, USAGE, ADMIN];

/// Everything that is served.
#[derive(Debug)]
pub struct Services {
    pub inspect: Inspect,
    pub snapshots: Snapshots,
    pub usage: FollowersUsage,
    pub admin: Admin,
}

/// Why the listener cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("the contract's descriptors cannot be read: {0}")]
    Descriptors(#[from] prost::DecodeError),
}

/// A listener with everything it serves.
#[derive(Debug)]
pub struct GrpcServer {
    tcp: TcpListener,
    certificate: Option<Arc<Certificate>>,
    service: AccessService<CallService<DownloadService<Routes>>>,
    health: HealthReporter,
}

impl GrpcServer {
    /// Sets the services up.
    ///
    /// # Errors
    /// A TLS file cannot be used.
    pub async fn new(
        tcp: TcpListener,
        config: &GrpcConfig,
        access: Arc<Access>,
        services: Services,
    ) -> Result<Self, GrpcError> {
        let (health, health_service) = tonic_health::server::health_reporter();
        for name in HEALTH_NAMES {
            health.set_service_status(name, ServingStatus::Serving).await;
        }
        let certificate = match &config.tls {
            Some(files) => Some(Certificate::load_with_client_ca(files, config.client_ca.as_deref())?),
            None => None,
        };
        let Services { inspect, snapshots, usage, admin } = services;
        let archives = Arc::clone(&snapshots.archives);
        let inspect = InspectServiceServer::new(inspect)
            .max_decoding_message_size(MAX_INSPECT_BYTES)
            .max_encoding_message_size(MAX_ANSWER_BYTES);
        let snapshots = SnapshotServiceServer::new(snapshots).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let usage = UsageServiceServer::new(usage).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let admin = AdminServiceServer::new(admin).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let routes = Routes::new(health_service.max_decoding_message_size(MAX_INSPECT_BYTES))
            .add_service(ByRole::new(|seen| Ok(seen.build_v1()?.max_decoding_message_size(MAX_INSPECT_BYTES)))?)
            .add_service(ByRole::new(|seen| Ok(seen.build_v1alpha()?.max_decoding_message_size(MAX_INSPECT_BYTES)))?)
            .add_service(inspect)
            .add_service(snapshots)
            .add_service(usage)
            .add_service(admin)
            .prepare();
        let calls = CallService::new(DownloadLayer { archives }.layer(routes), &super::reflection::ENCODED)?;
        let service = AccessLayer { access }.layer(calls);
        Ok(GrpcServer { tcp, certificate, service, health })
    }

    /// The certificate, whose files somebody has to watch; `None` without
    /// TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<Arc<Certificate>> {
        self.certificate.clone()
    }

    /// Serves until told to stop. Health says so first; open streams are not
    /// waited for, because one that follows never ends.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn run(self, stop: CancellationToken) -> Result<impl Future<Output = ()> + Send + 'static, GrpcError> {
        let tls = self.certificate.map(|certificate| certificate.acceptor(&[b"h2", b"http/1.1"])).transpose()?;
        let health = self.health;
        let last_words = async move {
            for name in HEALTH_NAMES {
                health.set_service_status(name, ServingStatus::NotServing).await;
            }
        };
        Ok(listener::run((self.tcp, PortLimits::default()), tls, self.service, stop, last_words))
    }
}
