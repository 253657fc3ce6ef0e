//! A standard client that is not ours: grpcio, without stubs, by reflection.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::configuration::{ENVIRONMENT, OTHER, golden};
use crate::support::grpc::TOKENS;
use crate::support::relay::TestRelay;

/// Runs the driver; `None`, said aloud, on a machine that lacks it.
fn drive(relay: &TestRelay, token: &str, arguments: &[&str]) -> Option<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let prepared = std::env::var_os("SDK_TESTS_DIR").map_or_else(|| root.join("target/sdk-tests"), PathBuf::from);
    let python = prepared.join("grpc_python/bin/python");
    if !python.exists() {
        let missing = format!("{} is missing, tests/run prepares it", python.display());
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("{missing}");
        return None;
    }
    let output = Command::new(python)
        .arg(root.join("tests/sdk/grpc_python/driver.py"))
        .args([&relay.grpc.unwrap().to_string(), token])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn grpcio_finds_the_services_by_reflection_and_calls_them() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let Some(said) = drive(&relay, "inspect-token", &["inspect", ENVIRONMENT, "bool-prereq", "alice"]) else { return };
    let services = said["services"].as_array().unwrap();
    assert!(services.contains(&json!("ffrelay.inspect.v1.InspectService")), "{services:?}");
    assert!(!services.contains(&json!("ffrelay.admin.v1.AdminService")), "{services:?}");
    assert_eq!(said["environments"], json!([ENVIRONMENT, OTHER]));
    assert_eq!((&said["flag"]["kind"], &said["flag"]["servedVersion"]), (&json!("boolean"), &json!("2")));
    assert_eq!(said["flag_json"]["feature"], "bool-prereq");
    assert_eq!(said["explanation"]["reason"], "REASON_DEFAULT_VARIATION");
    assert_eq!(said["explanation"]["prerequisites"][0]["outcome"], "PREREQUISITE_OUTCOME_MET");
    assert_eq!((&said["explanation"]["value"], &said["missing"]), (&json!("true"), &json!("NOT_FOUND")));
}

#[test]
fn grpcio_exports_and_checks_what_it_got() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let Some(said) = drive(&relay, "sync-token", &["export"]) else { return };
    assert_eq!(said["environments"], json!([ENVIRONMENT, OTHER]));
    assert!(said["bytes"].as_u64().unwrap() > 0 && said["sha256"].as_str().unwrap().len() == 64, "{said}");
}
