//! A relay whose files may not grow beyond a limit, as on a disk that is
//! full: it says so and goes on as before.

use std::ffi::{OsStr, OsString};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use ff_relay::proto::admin::v1::{ImportOptions, ImportSnapshotResponse};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::archives::packed;
use crate::following::data_dir;
use crate::relay_process::RelayProcess;
use crate::sending::{ADMIN, environments_at, frames, import, send_to};
use crate::support::client::{bearer, get, post};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, boolean, golden};
use crate::support::grpc::fault;
use crate::support::relay::TestRelay;
use crate::support::wait_for;
use crate::unchanged::{State, takes_a_good_one};

const LIMIT_KIB: usize = 256;
const PERSIST_FAILED: (Code, &str) = (Code::ResourceExhausted, "PERSIST_FAILED");

/// A process with golden content, none of whose files may be larger.
struct Limited {
    relay: RelayProcess,
    grpc: SocketAddr,
    data: tempfile::TempDir,
}

impl Limited {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let relay = TestRelay::start(&["--offline", ADMIN, &data_dir(data.path())]).unwrap();
        import(&relay, ImportOptions::default(), &packed(&golden())).unwrap();
        relay.stop();
        let grpc = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
        let limit = format!("ulimit -f {LIMIT_KIB}; exec \"$@\"");
        let (grpc_address, data_dir) = (format!("--grpc-address={grpc}"), data_dir(data.path()));
        let binary = env!("CARGO_BIN_EXE_ff-relay");
        let arguments = ["-c", &limit, "limited", binary, "--offline", ADMIN, &grpc_address, &data_dir];
        let relay = RelayProcess::start(OsStr::new("bash"), &arguments.map(OsString::from));
        let limited = Limited { relay, grpc, data };
        wait_for("the ledgers of this start", || limited.has_written().then_some(()));
        limited
    }

    fn has_written(&self) -> bool {
        environments_at(self.grpc).into_iter().all(|it| {
            let path = self.data.path().join(format!("environments/{}/ledger", it.id));
            let sequence = format!("\"sequence\":{},", it.revision.unwrap().sequence);
            std::fs::read_to_string(path).is_ok_and(|text| text.contains(&sequence))
        })
    }

    fn state(&self) -> State {
        State::of(self.relay.address(), self.grpc, self.data.path())
    }

    fn import(&self, configuration: &Path) -> Result<ImportSnapshotResponse, Status> {
        send_to(self.grpc, frames(ImportOptions::default(), &packed(configuration)))
    }

    fn health(&self) -> Value {
        get(self.relay.address(), "/health", &[]).ok()
    }
}

fn refused(answer: Result<ImportSnapshotResponse, Status>) {
    let (code, reason) = fault(answer);
    assert_eq!((code, reason.as_str()), PERSIST_FAILED);
}

#[test]
fn an_archive_that_cannot_be_received_is_refused() {
    let limited = Limited::start();
    let before = limited.state();
    let large = Configuration::large();
    assert!(packed(large.path()).len() > LIMIT_KIB * 1024);
    for _ in 0..3 {
        refused(limited.import(large.path()));
        before.is_again(limited.relay.address(), limited.grpc, limited.data.path(), "nothing");
    }
    takes_a_good_one(limited.relay.address(), limited.grpc);
    assert!(limited.relay.stop().success());
}

#[test]
fn an_import_that_cannot_be_kept_is_refused() {
    let limited = Limited::start();
    let before = limited.state();
    // The archive is small, and what would be kept of it is not.
    let note = "the same again ".repeat(100);
    let flags: Vec<Value> = (0..400)
        .map(|i| {
            let mut flag = boolean(&format!("f{i}"), true, 1);
            flag["note"] = json!(note);
            flag
        })
        .collect();
    let configuration = Configuration::with_flags(&flags);
    let size = packed(configuration.path()).len();
    assert!(size < LIMIT_KIB * 1024 / 2, "{size}");
    for _ in 0..3 {
        refused(limited.import(configuration.path()));
        before.is_again(limited.relay.address(), limited.grpc, limited.data.path(), "nothing");
    }
    takes_a_good_one(limited.relay.address(), limited.grpc);
    assert!(limited.relay.stop().success());
}

#[test]
fn what_the_persister_cannot_write_shows_in_health_and_stops_nobody() {
    let limited = Limited::start();
    assert_eq!(limited.health()["cacheStatus"], "healthy");
    let stored = || environments_at(limited.grpc)[0].counts.unwrap().stored_targets;
    // Targets are written within a second or two, and these do not fit.
    for i in 0..20 {
        let target = json!({"identifier": format!("t{i}"), "attributes": {"note": "x".repeat(20_000)}});
        post(limited.relay.address(), "/client/auth", &[], &json!({"apiKey": KEY, "target": target}).to_string()).ok();
    }
    wait_for("health to say it", || (limited.health()["cacheStatus"] == "unhealthy").then_some(()));
    assert!(limited.relay.log().contains("the data directory cannot be written"));
    assert!(stored() >= 20);
    let token = bearer(limited.relay.address(), KEY);
    let path = format!("/client/env/{ENVIRONMENT}/feature-configs");
    assert_eq!(get(limited.relay.address(), &path, &[("Authorization", &token)]).status, 200);
    takes_a_good_one(limited.relay.address(), limited.grpc);
    assert!(limited.relay.stop().success());
}
