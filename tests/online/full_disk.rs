//! SDK metrics when the data directory takes no more: they are sent all the same, health says so, and nobody else is told that
//! they are kept.

use std::ffi::{OsStr, OsString};
use std::net::TcpListener;

use ff_relay::proto::usage::v1::usage_service_client::UsageServiceClient;
use ff_relay::proto::usage::v1::{ReportUsageRequest, UsageBatch};
use serde_json::{Value, json};
use tonic::Code;

use crate::fake_harness::{Fault, Route};
use crate::relay_process::RelayProcess;
use crate::setup::{Sdk, health, one_environment};
use crate::support::configuration::{ENVIRONMENT, KEY};
use crate::support::grpc::{channel_to, fault, wait, with_token};
use crate::support::wait_for;
use crate::usage::{SOON, arrives, row};

#[test]
fn a_journal_that_cannot_be_written_stops_nobody_and_is_not_called_kept() {
    let fake = one_environment();
    let data = tempfile::tempdir().unwrap();
    let grpc = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
    let mut options = fake.api_key_options(&[KEY]);
    options.extend([
        format!("--data-dir={}", data.path().display()),
        format!("--grpc-address={grpc}"),
        "--grpc-admin-tokens=admin-token".to_owned(),
        SOON.to_owned(),
    ]);
    let shell = ["-c", "ulimit -f 64; exec \"$@\"", "limited", env!("CARGO_BIN_EXE_ff-relay")].map(str::to_owned);
    let arguments: Vec<OsString> = shell.into_iter().chain(options).map(OsString::from).collect();
    let relay = RelayProcess::start(OsStr::new("bash"), &arguments);
    let sdk = Sdk::connect(relay.address(), KEY, ENVIRONMENT);
    assert_eq!(health(relay.address())["cacheStatus"], "healthy");

    let refusing = fake.fail(Route::Metrics).with(Fault::status(503));
    let rows: Vec<Value> = (0..900).map(|i| row(&format!("a flag with a long name {i}"), "pat", 1)).collect();
    sdk.report(&rows);
    wait_for("health to say it", || (health(relay.address())["cacheStatus"] == "unhealthy").then_some(()));
    assert_eq!(sdk.version("a"), 1);
    let batch = UsageBatch {
        id: vec![7; 16],
        environment_id: ENVIRONMENT.to_owned(),
        body: json!({"metricsData": [row("of a follower", "pat", 3)]}).to_string().into_bytes(),
    };
    let report = || ReportUsageRequest { batches: vec![batch.clone()], ..ReportUsageRequest::default() };
    let answer = || {
        wait(async {
            let mut client = UsageServiceClient::new(channel_to(grpc).await);
            client.report_usage(with_token(report(), "admin-token")).await
        })
    };
    // Whoever has it keeps it, and sends it again.
    assert_eq!(fault(answer()), (Code::ResourceExhausted, "PERSIST_FAILED".into()));

    fake.clear(&refusing);
    arrives(&fake, "a flag with a long name 0", 1);
    arrives(&fake, "a flag with a long name 899", 1);
    arrives(&fake, "of a follower", 3);
    wait_for("the journal to be small enough again", || {
        (health(relay.address())["cacheStatus"] == "healthy").then_some(())
    });
    assert!(answer().is_ok());
    sdk.used("a", 1);
    arrives(&fake, "a", 1);
    assert_eq!(fake.counted(ENVIRONMENT, "of a follower"), 3, "it was the same batch");
    assert!(relay.stop().success());
}
