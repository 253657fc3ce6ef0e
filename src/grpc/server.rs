//! The gRPC listener: services behind the token layer.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::transport::{Certificate, Identity as TlsIdentity, Server, ServerTlsConfig};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::layer::util::{Identity, Stack};
use tower::{Layer, Service};

use super::access::{Access, Caller};
use super::admin::Admin;
use super::download::{self, DownloadLayer};
use super::inspect::Inspect;
use super::snapshot::Snapshots;
use super::usage::FollowersUsage;
use crate::config::{GrpcConfig, Role};
use crate::proto::admin::v1::admin_service_server::{AdminServiceServer, SERVICE_NAME as ADMIN};
use crate::proto::inspect::v1::inspect_service_server::{InspectServiceServer, SERVICE_NAME as INSPECT};
use crate::proto::snapshot::v1::snapshot_service_server::{SERVICE_NAME as SNAPSHOT, SnapshotServiceServer};
use crate::proto::usage::v1::usage_service_server::{SERVICE_NAME as USAGE, UsageServiceServer};

/// Requests of the inspect service are small.
const MAX_INSPECT_BYTES: usize = 64 * 1024;

/// Of the other services: a chunk and a batch of usage fit.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

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
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("gRPC: {0}")]
    Transport(#[from] tonic::transport::Error),
    #[error("gRPC reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A listener with everything it serves.
pub struct GrpcServer {
    tcp: TcpListener,
    server: tonic::transport::server::Router<Stack<DownloadLayer, Stack<AccessLayer, Identity>>>,
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
        for service in [INSPECT, SNAPSHOT, USAGE, ADMIN] {
            health.set_service_status(service, ServingStatus::Serving).await;
        }
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(crate::proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let mut server = Server::builder()
            .accept_http1(true)
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .http2_keepalive_timeout(Some(Duration::from_secs(20)))
            .http2_max_header_list_size(64 * 1024)
            .max_concurrent_streams(Some(100))
            .max_connection_age(Duration::from_secs(30 * 60))
            .timeout(Duration::from_secs(30));
        if let Some(files) = &config.tls {
            let mut tls = ServerTlsConfig::new().identity(TlsIdentity::from_pem(read(&files.cert)?, read(&files.key)?));
            if let Some(ca) = &config.client_ca {
                tls = tls.client_ca_root(Certificate::from_pem(read(ca)?)).client_auth_optional(true);
            }
            server = server.tls_config(tls)?;
        }
        let Services { inspect, snapshots, usage, admin } = services;
        let archives = Arc::clone(&snapshots.archives);
        let inspect = InspectServiceServer::new(inspect)
            .max_decoding_message_size(MAX_INSPECT_BYTES)
            .max_encoding_message_size(16 * 1024 * 1024);
        let snapshots = SnapshotServiceServer::new(snapshots).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let usage = UsageServiceServer::new(usage).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let admin = AdminServiceServer::new(admin).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let routes = Routes::new(health_service)
            .add_service(reflection)
            .add_service(inspect)
            .add_service(snapshots)
            .add_service(usage)
            .add_service(admin);
        let server = server.layer(AccessLayer { access }).layer(DownloadLayer { archives }).add_routes(routes);
        Ok(GrpcServer { tcp, server, health })
    }

    /// Serves until told to stop. Health says so first; open streams are not
    /// waited for, because one that follows never ends.
    pub async fn run(self, stop: CancellationToken) {
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(self.tcp);
        let drained = stop.clone();
        let health = self.health;
        let told = async move {
            drained.cancelled().await;
            for service in [INSPECT, SNAPSHOT, USAGE, ADMIN] {
                health.set_service_status(service, ServingStatus::NotServing).await;
            }
        };
        let serve = self.server.serve_with_incoming_shutdown(incoming, told);
        let limit = async {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        };
        tokio::select! {
            served = serve => {
                if let Err(error) = served {
                    tracing::error!(%error, "the gRPC listener failed");
                }
            }
            () = limit => {}
        }
    }
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, GrpcError> {
    std::fs::read(path).map_err(|source| GrpcError::File { path: path.display().to_string(), source })
}

/// Decides for every call, before any service sees it.
#[derive(Clone, Debug)]
pub struct AccessLayer {
    access: Arc<Access>,
}

impl<S> Layer<S> for AccessLayer {
    type Service = AccessService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AccessService { inner, access: Arc::clone(&self.access) }
    }
}

/// See [`AccessLayer`].
#[derive(Clone, Debug)]
pub struct AccessService<S> {
    inner: S,
    access: Arc<Access>,
}

/// The role a service needs; `None` for everybody. What is not known needs
/// the highest: permission is decided before existence.
fn needed_role(path: &str) -> Option<Role> {
    let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    match service {
        _ if path.starts_with(download::PREFIX) => Some(Role::Sync),
        "grpc.health.v1.Health" => None,
        "grpc.reflection.v1.ServerReflection" | INSPECT => Some(Role::Inspect),
        SNAPSHOT | USAGE => Some(Role::Sync),
        _ => Some(Role::Admin),
    }
}

impl<S> Service<Request<Body>> for AccessService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let decided = match needed_role(request.uri().path()) {
            None => Ok(None),
            Some(needed) => self.decide(&request, needed).map(Some),
        };
        match decided {
            Ok(caller) => {
                caller.into_iter().for_each(|caller| drop(request.extensions_mut().insert(caller)));
                Box::pin(self.inner.call(request))
            }
            Err(status) => Box::pin(std::future::ready(Ok(status.into_http()))),
        }
    }
}

impl<S> AccessService<S> {
    fn decide(&self, request: &Request<Body>, needed: Role) -> Result<Caller, Status> {
        let (peer, names) = peer_of(request);
        let metadata = MetadataMap::from_headers(credentials(request.headers()));
        let caller = self.access.caller(&metadata, peer, &names);
        let name = caller.as_ref().map_or("unknown", |caller: &Caller| caller.name.as_str()).to_owned();
        let decided = caller.and_then(|caller| Access::permit(&caller, needed).map(|()| caller));
        if let Err(refusal) = &decided {
            let method = request.uri().path();
            tracing::warn!(caller = name, peer = ?peer, method, reason = refusal.message(), "gRPC call refused");
        }
        decided
    }
}

fn credentials(headers: &HeaderMap) -> HeaderMap {
    let sent = headers.get(http::header::AUTHORIZATION).cloned();
    sent.into_iter().map(|value| (http::header::AUTHORIZATION, value)).collect()
}

/// The peer's address, and the names in its certificate.
fn peer_of(request: &Request<Body>) -> (Option<SocketAddr>, Vec<String>) {
    if let Some(info) = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>() {
        let certificates = info.peer_certs();
        let leaf = certificates.as_deref().and_then(|chain| chain.first());
        return (info.get_ref().remote_addr(), leaf.map(|leaf| names_of(leaf)).unwrap_or_default());
    }
    (request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr), Vec::new())
}

/// The subject alternative names of a certificate: DNS names, URIs, mail
/// addresses.
fn names_of(certificate: &[u8]) -> Vec<String> {
    use x509_parser::extensions::GeneralName;
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => Some((*text).to_owned()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(text).collect()
}
