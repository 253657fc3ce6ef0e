//! Clients of the second protocol.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use ff_relay::proto::inspect::v1::GetEnvironmentRequest;
use ff_relay::proto::inspect::v1::inspect_service_client::InspectServiceClient;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::relay::TestRelay;

/// One token for each role.
pub const TOKENS: [&str; 3] =
    ["--grpc-inspect-tokens=inspect-token", "--grpc-sync-tokens=sync-token", "--grpc-admin-tokens=admin-token"];

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub async fn channel(relay: &TestRelay) -> Channel {
    channel_to(relay.grpc.unwrap()).await
}

pub async fn channel_to(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

pub fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// Code and reason of a refusal.
pub fn fault<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.unwrap_err();
    (status.code(), reason(&status))
}

/// Every method of the contract and of the standard services, by path, with
/// whether it has streams.
pub fn methods() -> BTreeMap<String, bool> {
    let sets = [
        ff_relay::proto::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut methods = BTreeMap::new();
    for file in sets.iter().flat_map(|set| FileDescriptorSet::decode(*set).unwrap().file) {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                methods.insert(path, method.client_streaming() || method.server_streaming());
            }
        }
    }
    methods
}

/// Calls any method with one empty message and gives what came first, if
/// anything did within a few seconds.
pub async fn call(channel: &Channel, path: &str, token: &str) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let request = with_token(tokio_stream::iter([()]), token);
    let calling = async {
        let mut answers = grpc.streaming(request, path.parse().unwrap(), codec).await?.into_inner();
        answers.message().await.map(|_| ())
    };
    tokio::time::timeout(Duration::from_secs(5), calling).await.unwrap_or(Ok(()))
}

/// Runs a future on a thread of its own.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

/// How many targets of SDKs an environment knows; `token` may be "".
pub fn stored_targets(relay: &TestRelay, environment: &str, token: &str) -> u64 {
    wait(async {
        let mut client = InspectServiceClient::new(channel(relay).await);
        let request = with_token(GetEnvironmentRequest { environment_id: environment.into() }, token);
        let environment = client.get_environment(request).await.unwrap().into_inner().environment.unwrap();
        environment.counts.unwrap().stored_targets
    })
}
