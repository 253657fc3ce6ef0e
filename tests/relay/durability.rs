//! What outlives the process: versions, secrets, targets, sequences.

use serde_json::{Value, json};

use crate::support::client::{bearer, get, post};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, boolean, key_hash};
use crate::support::events::Events;
use crate::support::relay::TestRelay;
use crate::support::wait_for;

struct Place {
    configuration: Configuration,
    data: tempfile::TempDir,
}

impl Place {
    fn new(flags: &[Value]) -> Self {
        Place { configuration: Configuration::with_flags(flags), data: tempfile::tempdir().unwrap() }
    }

    fn relay(&self) -> TestRelay {
        let data = format!("--data-dir={}", self.data.path().display());
        TestRelay::offline(
            self.configuration.path(),
            &[&data, "--config-reload=true", "--config-reload-interval=100ms"],
        )
    }
}

fn version(relay: &TestRelay, flag: &str) -> i64 {
    let path = format!("/client/env/{ENVIRONMENT}/feature-configs/{flag}");
    get(relay.sdk, &path, &[("Authorization", &bearer(relay.sdk, KEY))]).ok()["version"].as_i64().unwrap()
}

#[test]
fn versions_go_on_rising_over_a_restart() {
    let place = Place::new(&[boolean("a", true, 5), boolean("b", true, 1)]);
    let relay = place.relay();
    let mut stream = Events::open(relay.sdk, KEY, &bearer(relay.sdk, KEY), &[]);
    place.configuration.edit_flag("a", |flag| flag["state"] = json!("off"));
    let event = stream.next().unwrap();
    let raised = event["version"].as_i64().unwrap();
    assert!(raised > 1_000_000, "raised by the clock: {event}");
    assert_eq!(version(&relay, "a"), raised);
    drop(relay);
    let relay = place.relay();
    assert_eq!(version(&relay, "a"), raised, "the same content keeps its version");
    drop(relay);
    place.configuration.edit_flag("a", |flag| flag["state"] = json!("on"));
    let relay = place.relay();
    assert!(version(&relay, "a") > raised, "changed while the relay was down, with an old version");
    assert_eq!(version(&relay, "b"), 1);
}

#[test]
fn tokens_and_targets_survive_a_restart() {
    let place = Place::new(&[]);
    let mut flag = boolean("rule", false, 1);
    flag["rules"] = json!([{"ruleId": "r", "priority": 1, "serve": {"variation": "true"},
        "clauses": [{"attribute": "plan", "op": "equal", "values": ["pro"], "negate": false}]}]);
    place.configuration.write(ENVIRONMENT, "feature_config.json", &json!([flag]));
    let relay = place.relay();
    let target = json!({"identifier": "pat", "name": "Pat", "attributes": {"plan": "pro", "x": "y".repeat(4000)}});
    let answer = post(relay.sdk, "/client/auth", &[], &json!({"apiKey": KEY, "target": target}).to_string()).ok();
    let authorization = format!("Bearer {}", answer["authToken"].as_str().unwrap());
    let path = format!("/client/env/{ENVIRONMENT}/target/pat/evaluations/rule");
    let ask = |relay: &TestRelay| get(relay.sdk, &path, &[("Authorization", &authorization)]).ok()["value"].clone();
    assert_eq!(ask(&relay), "true");
    drop(relay);
    let relay = place.relay();
    assert_eq!(ask(&relay), "true", "the token is still good and the target still known");
}

#[test]
fn nothing_is_readable_by_others_and_one_process_has_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new(&[boolean("a", true, 1)]);
    let relay = place.relay();
    bearer(relay.sdk, KEY);
    let second =
        TestRelay::try_offline(place.configuration.path(), &[&format!("--data-dir={}", place.data.path().display())]);
    assert!(second.is_err_and(|error| error.to_string().contains("another process")));
    let ledger = place.data.path().join(format!("environments/{ENVIRONMENT}/ledger"));
    wait_for("the ledger", || ledger.exists().then_some(()));
    for file in [ledger, place.data.path().join("secret"), place.data.path().join("life")] {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn a_damaged_ledger_is_set_aside_and_never_stops_the_start() {
    let place = Place::new(&[boolean("a", true, 5)]);
    let relay = place.relay();
    bearer(relay.sdk, KEY);
    drop(relay);
    let ledger = place.data.path().join(format!("environments/{ENVIRONMENT}/ledger"));
    std::fs::write(&ledger, "half").unwrap();
    let relay = place.relay();
    assert_eq!(version(&relay, "a"), 5);
    assert!(ledger.with_extension("damaged").exists());
}

#[test]
fn sequences_jump_after_a_crash() {
    let place = Place::new(&[boolean("a", true, 1)]);
    let revision = |relay: &TestRelay| {
        let health = get(relay.sdk, "/health", &[]).ok();
        health["environments"][0]["sequence"].as_u64().unwrap()
    };
    let relay = place.relay();
    assert_eq!(revision(&relay), 1);
    drop(relay);
    let relay = place.relay();
    assert_eq!(revision(&relay), 2, "a new life, ended in order");
    drop(relay);
    // As a killed process leaves it.
    std::fs::remove_file(place.data.path().join("life")).unwrap();
    let relay = place.relay();
    assert!(revision(&relay) > 1000, "what the dead process may have given out is not given out again");
}

#[test]
fn starts_empty_without_a_directory_and_is_not_ready() {
    let data = tempfile::tempdir().unwrap();
    let option = format!("--data-dir={}", data.path().display());
    if std::path::Path::new("/config").exists() {
        eprintln!("/config exists on this machine, so the default directory cannot be empty");
        return;
    }
    let relay = TestRelay::start(&["--offline", &option]).unwrap();
    assert_eq!(get(relay.sdk, "/readyz", &[]).status, 503);
    assert_eq!(get(relay.sdk, "/livez", &[]).status, 200);
    assert_eq!(get(relay.sdk, "/health", &[]).ok()["environments"], json!([]));
    let _ = key_hash(KEY);
}
