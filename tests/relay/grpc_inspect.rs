//! The second protocol: inspect service, health, reflection, roles.

use ff_relay::proto::inspect::v1::inspect_service_client::InspectServiceClient;
use ff_relay::proto::inspect::v1::{GetEnvironmentRequest, GetServerInfoRequest, ListEnvironmentsRequest, SyncState};
use serde_json::json;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::support::configuration::{Configuration, ENVIRONMENT, golden, key_hash};
use crate::support::relay::TestRelay;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn channel(relay: &TestRelay) -> Channel {
    Channel::from_shared(format!("http://{}", relay.grpc.unwrap())).unwrap().connect().await.unwrap()
}

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

#[test]
fn loopback_may_inspect_when_nobody_has_a_credential() {
    let relay = TestRelay::offline(&golden(), &[]);
    runtime().block_on(async {
        let mut client = InspectServiceClient::new(channel(&relay).await);
        let info = client.get_server_info(GetServerInfoRequest {}).await.unwrap().into_inner();
        assert_eq!((info.mode.as_str(), info.environment_count, info.ready), ("offline", 2, true));
        let environment = client
            .get_environment(GetEnvironmentRequest { environment_id: ENVIRONMENT.into() })
            .await
            .unwrap()
            .into_inner()
            .environment
            .unwrap();
        assert_eq!(environment.sync_state(), SyncState::Synced);
        assert_eq!(environment.counts.unwrap().flags, 11);
        assert_eq!(environment.revision.unwrap().digest.len(), 32);
        let missing = client.get_environment(GetEnvironmentRequest { environment_id: "x".into() }).await.unwrap_err();
        assert_eq!((missing.code(), reason(&missing).as_str()), (Code::NotFound, "ENVIRONMENT_NOT_FOUND"));
        let empty = client.get_environment(GetEnvironmentRequest::default()).await.unwrap_err();
        assert_eq!((empty.code(), reason(&empty).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
        let bad = ListEnvironmentsRequest { page_token: "zz".into(), ..Default::default() };
        assert_eq!(client.list_environments(bad).await.unwrap_err().code(), Code::InvalidArgument);
        let large = GetEnvironmentRequest { environment_id: "x".repeat(100_000) };
        assert_ne!(client.get_environment(large).await.unwrap_err().code(), Code::Unknown);
    });
}

#[test]
fn environments_come_in_pages() {
    let configuration = Configuration::empty();
    for i in 0..130 {
        configuration.write(&format!("e{i:03}"), "auth_config.json", &json!([key_hash(&i.to_string())]));
    }
    let relay = TestRelay::offline(configuration.path(), &[]);
    runtime().block_on(async {
        let mut client = InspectServiceClient::new(channel(&relay).await);
        let (mut seen, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let request = ListEnvironmentsRequest { page_size: 0, page_token };
            let page = client.list_environments(request).await.unwrap().into_inner();
            pages += 1;
            seen.extend(page.environments.into_iter().map(|environment| environment.id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!((pages, seen.len(), seen.is_sorted()), (3, 130, true));
    });
}

#[test]
fn tokens_have_roles_and_health_is_open() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("tokens");
    std::fs::write(&file, "first-inspect,second-inspect\n").unwrap();
    let option = format!("--grpc-inspect-tokens={}", "flag-inspect");
    let relay = TestRelay::offline(&golden(), &[&option, "--grpc-admin-tokens=admin-token"]);
    runtime().block_on(async {
        let channel = channel(&relay).await;
        let mut client = InspectServiceClient::new(channel.clone());
        let missing = client.get_server_info(GetServerInfoRequest {}).await.unwrap_err();
        assert_eq!((missing.code(), reason(&missing).as_str()), (Code::Unauthenticated, "CREDENTIALS_MISSING"));
        let wrong = client.get_server_info(with_token(GetServerInfoRequest {}, "nope")).await.unwrap_err();
        assert_eq!((wrong.code(), reason(&wrong).as_str()), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
        for token in ["flag-inspect", "admin-token"] {
            client.get_server_info(with_token(GetServerInfoRequest {}, token)).await.unwrap();
        }
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
        let request = tonic_health::pb::HealthCheckRequest { service: "ffrelay.inspect.v1.InspectService".into() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status, i32::from(tonic_health::ServingStatus::Serving as u8));
        let unknown = tonic::client::Grpc::new(channel);
        assert_eq!(call_unknown(unknown, "flag-inspect").await.code(), Code::PermissionDenied, "before existence");
    });
}

/// Calls a method that does not exist.
async fn call_unknown(mut grpc: tonic::client::Grpc<Channel>, token: &str) -> Status {
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<GetServerInfoRequest, GetServerInfoRequest>::default();
    let path = "/ffrelay.admin.v1.AdminService/Drain".parse().unwrap();
    grpc.unary(with_token(GetServerInfoRequest {}, token), path, codec).await.unwrap_err()
}

#[test]
fn reflection_lists_the_services() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let relay = TestRelay::offline(&golden(), &[]);
    runtime().block_on(async {
        let mut client = ServerReflectionClient::new(channel(&relay).await);
        let ask = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut answers = client.server_reflection_info(tokio_stream::iter([ask])).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
        let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
        assert!(names.contains(&"ffrelay.inspect.v1.InspectService".to_owned()), "{names:?}");
    });
}
