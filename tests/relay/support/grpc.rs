//! What tests of the admin port share: a channel, tokens, reasons.

use std::future::Future;

use ff_relay::proto::inspect::v1::GetEnvironmentRequest;
use ff_relay::proto::inspect::v1::inspect_service_client::InspectServiceClient;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use super::relay::TestRelay;

/// Runs a future on a thread of its own.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub async fn channel(relay: &TestRelay) -> Channel {
    Channel::from_shared(format!("http://{}", relay.grpc.unwrap())).unwrap().connect().await.unwrap()
}

/// A request with a bearer token.
pub fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// The reason of the error table.
pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// How many targets of SDKs an environment knows; `token` may be "".
pub fn stored_targets(relay: &TestRelay, environment: &str, token: &str) -> u64 {
    wait(async {
        let mut client = InspectServiceClient::new(channel(relay).await);
        let request = GetEnvironmentRequest { environment_id: environment.into() };
        let request = if token.is_empty() { Request::new(request) } else { with_token(request, token) };
        let environment = client.get_environment(request).await.unwrap().into_inner().environment.unwrap();
        environment.counts.unwrap().stored_targets
    })
}
