//! Limits of calls, control of the process, and its end.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use ff_relay::app::Outcome;
use ff_relay::proto::admin::v1::admin_service_client::AdminServiceClient;
use ff_relay::proto::admin::v1::{DrainRequest, LogLevel, SetLogLevelRequest};
use ff_relay::proto::inspect::v1::inspect_service_client::InspectServiceClient;
use ff_relay::proto::inspect::v1::{GetEnvironmentRequest, GetServerInfoRequest};
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::relay_process::RelayProcess;
use crate::support::configuration::golden;
use crate::support::grpc::{TOKENS, channel, fault, reason, runtime, with_token};
use crate::support::relay::TestRelay;
use crate::support::wait_for;

#[test]
fn drain_answers_then_ends_everything_at_once() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    runtime().block_on(async {
        let channel = channel(&relay).await;
        let mut health = HealthClient::new(channel.clone());
        for service in ["", "ffrelay.inspect.v1.InspectService", "ffrelay.admin.v1.AdminService"] {
            let check = HealthCheckRequest { service: service.into() };
            assert_eq!(health.check(check).await.unwrap().into_inner().status(), ServingStatus::Serving, "{service}");
        }
        let watched = HealthCheckRequest { service: "ffrelay.snapshot.v1.SnapshotService".into() };
        let mut watch = health.watch(watched).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

        let mut admin = AdminServiceClient::new(channel);
        let began = Instant::now();
        admin.drain(with_token(DrainRequest {}, "admin-token")).await.unwrap();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        let ended = watch.message().await.unwrap_err();
        assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unavailable, "DRAINING"));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    });
    assert_eq!(relay.ended(), Outcome::Drained);
}

#[test]
fn a_stopping_relay_does_not_wait_for_streams() {
    let mut relay = TestRelay::offline(&golden(), &[]);
    runtime().block_on(async {
        let mut health = HealthClient::new(channel(&relay).await);
        let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
        watch.message().await.unwrap();
        relay.begin_stop();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        assert_eq!(reason(&watch.message().await.unwrap_err()), "DRAINING");
    });
    assert_eq!(relay.stop(), Outcome::Drained);
}

#[test]
fn messages_are_bounded_and_must_be_messages() {
    let relay = TestRelay::offline(&golden(), &[]);
    runtime().block_on(async {
        let channel = channel(&relay).await;
        let mut client = InspectServiceClient::new(channel.clone());
        let large = GetEnvironmentRequest { environment_id: "x".repeat(100_000) };
        let large = fault(client.get_environment(large).await);
        assert_eq!(large, (Code::ResourceExhausted, "LIMIT_EXCEEDED".into()));
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.unwrap();
        // Another message with another type in its first field.
        let codec = tonic_prost::ProstCodec::<u64, ()>::default();
        let path = "/ffrelay.inspect.v1.InspectService/GetEnvironment".parse().unwrap();
        let unread = grpc.unary(Request::new(7), path, codec).await;
        assert_eq!(fault(unread), (Code::InvalidArgument, "INVALID_FIELD".into()));
        client.get_server_info(GetServerInfoRequest {}).await.unwrap();
    });
}

#[test]
fn a_calls_own_time_limit_holds() {
    let relay = TestRelay::offline(&golden(), &[]);
    runtime().block_on(async {
        let mut health = HealthClient::new(channel(&relay).await);
        let mut request = Request::new(HealthCheckRequest::default());
        request.set_timeout(Duration::from_millis(300));
        let mut watch = health.watch(request).await.unwrap().into_inner();
        assert!(watch.message().await.unwrap().is_some());
        let ended = watch.message().await.unwrap_err();
        assert_eq!((ended.code(), reason(&ended).as_str()), (Code::DeadlineExceeded, "REQUEST_TIMEOUT"));
    });
}

#[test]
fn the_log_level_changes_and_what_is_changed_is_logged() {
    let binary = OsString::from(env!("CARGO_BIN_EXE_ff-relay"));
    let mut arguments = vec![
        OsString::from("--offline"),
        "--listen-address=127.0.0.1".into(),
        "--grpc-address=127.0.0.1:0".into(),
        "--log-format=json".into(),
        format!("--config-dir={}", golden().display()).into(),
    ];
    arguments.extend(TOKENS.map(OsString::from));
    let relay = RelayProcess::start(&binary, &arguments);
    let address = wait_for("the gRPC port in the log", || {
        let log = relay.log();
        let (_, rest) = log.split_once("\"grpc\":\"")?;
        rest.split('"').next().map(str::to_owned)
    });
    let lines = |text: &str| relay.log().lines().filter(|line| line.contains(text)).count();
    runtime().block_on(async {
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut admin = AdminServiceClient::new(channel.clone());
        let mut set = async |level: LogLevel, seconds: Option<i64>| {
            let duration = seconds.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
            let request = SetLogLevelRequest { level: level.into(), duration };
            admin.set_log_level(with_token(request, "admin-token")).await.map(|answer| answer.into_inner().previous())
        };
        assert_eq!(fault(set(LogLevel::Unspecified, None).await).1, "INVALID_FIELD");
        assert_eq!(fault(set(LogLevel::Debug, Some(-1)).await).1, "INVALID_FIELD");
        assert_eq!(set(LogLevel::Debug, Some(1)).await.unwrap(), LogLevel::Info);
        let ended = || (lines("the log level is what it was before") == 1).then_some(());
        wait_for("the end of a passing level", ended);
        assert_eq!(set(LogLevel::Error, None).await.unwrap(), LogLevel::Info);
        // Whatever the level is, refusals and changes are logged.
        let mut inspect = InspectServiceClient::new(channel);
        inspect.get_server_info(with_token(GetServerInfoRequest {}, "guessed")).await.unwrap_err();
    });
    wait_for("the audit log", || {
        (lines("AdminService/SetLogLevel") == 4 && lines("gRPC call refused") == 1).then_some(())
    });
    let log = relay.log();
    let line = log.lines().rfind(|line| line.contains("SetLogLevel")).unwrap();
    assert!(line.contains("\"caller\":\"token:admin\"") && line.contains("\"outcome\":\"Ok\""), "{line}");
    assert!(line.contains("\"peer\":\"127.0.0.1:"), "{line}");
    assert!(log.contains("\"outcome\":\"InvalidArgument\""), "{log}");
    assert!(!log.contains("admin-token") && !log.contains("guessed"), "a token in the log");
}
