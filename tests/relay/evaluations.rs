//! Every recorded evaluation, asked over HTTP.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::client::{bearer, get};
use crate::support::configuration::{Configuration, KEY, key_hash};
use crate::support::relay::TestRelay;

fn identifier_of(target: &Value) -> &str {
    target["identifier"].as_str().unwrap()
}

#[test]
fn the_recorded_answers_come_over_http() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/evaluation");
    let mut files: Vec<_> = std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let configuration = Configuration::empty();
    let mut cases = Vec::new();
    for file in files {
        let parsed: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for case in parsed["cases"].as_array().unwrap() {
            let id = format!("case-{:04}", cases.len());
            configuration.write(&id, "auth_config.json", &json!([key_hash(&id)]));
            for (name, list) in [("feature_config", "flags"), ("segments", "segments"), ("targets", "targets")] {
                configuration.write(&id, &format!("{name}.json"), &case[list]);
            }
            cases.push((id, case.clone()));
        }
    }
    let relay = TestRelay::offline(configuration.path(), &[]);
    let mut asked = 0;
    for (id, case) in &cases {
        let authorization = bearer(relay.sdk, id);
        let headers = [("Authorization", authorization.as_str())];
        let mut by_target: std::collections::BTreeMap<&str, Vec<&Value>> = std::collections::BTreeMap::new();
        for expect in case["expect"].as_array().unwrap() {
            by_target.entry(expect["target"].as_str().unwrap()).or_default().push(expect);
        }
        let kind_of = |flag: &str| {
            let flags = case["flags"].as_array().unwrap();
            flags.iter().find(|f| f["feature"] == flag).map(|f| f["kind"].as_str().unwrap_or_default().to_owned())
        };
        for (target, expects) in by_target {
            let list = get(relay.sdk, &format!("/client/env/{id}/target/{target}/evaluations"), &headers).ok();
            let list = list.as_array().unwrap();
            let flags: Vec<&str> = list.iter().map(|evaluation| evaluation["flag"].as_str().unwrap()).collect();
            assert!(flags.is_sorted(), "{id}");
            for expect in expects {
                asked += 1;
                let flag = expect["flag"].as_str().unwrap();
                let found = list.iter().find(|evaluation| evaluation["flag"] == flag);
                let name = format!("{id} {}: flag {flag}, target {target}", case["name"]);
                match (expect["variation"].as_str(), found) {
                    (None, None) => {}
                    (None, Some(found)) => panic!("{name}: no answer expected, got {found}"),
                    (Some(variation), Some(found)) => {
                        assert_eq!(found["identifier"], variation, "{name}");
                        let value = expect["value"].as_str().unwrap();
                        let json_kind = kind_of(flag).as_deref() == Some("json");
                        let value = if json_kind { serde_json::to_string(value).unwrap() } else { value.to_owned() };
                        assert_eq!(found["value"], value, "{name}");
                        assert_eq!(found.as_object().unwrap().len(), 4, "{name}");
                    }
                    (Some(_), None) => panic!("{name}: an answer was expected"),
                }
            }
        }
    }
    assert!(asked > 8000, "{asked}");
}

#[test]
fn one_flag_is_answered_or_refused() {
    let configuration = Configuration::golden();
    configuration.edit_flag("text", |flag| flag["defaultServe"] = json!({"variation": "gone"}));
    let relay = TestRelay::offline(configuration.path(), &[]);
    let authorization = bearer(relay.sdk, KEY);
    let ask = |target: &str, flag: &str| {
        let path =
            format!("/client/env/{}/target/{target}/evaluations/{flag}", crate::support::configuration::ENVIRONMENT);
        get(relay.sdk, &path, &[("Authorization", &authorization)])
    };
    assert_eq!(
        ask("alice", "bool-targeted").ok(),
        json!({"flag": "bool-targeted", "identifier": "true", "kind": "boolean", "value": "true"})
    );
    assert_eq!(
        ask("alice", "doc").ok()["value"],
        serde_json::to_string(r#"{"a": [1, 2.50, null], "b": "<&>"}"#).unwrap()
    );
    assert_eq!(ask("alice", "nope").status, 404);
    assert_eq!(ask("alice", "text").status, 404, "a flag without an answer");
    let all = ask("alice", "").ok();
    assert!(all.as_array().unwrap().iter().all(|e| e["flag"] != "text"), "and it is left out of the list");
    assert_eq!(all.as_array().unwrap().len(), 10);
}

#[test]
fn the_header_wins_then_the_stored_target_then_the_configured_one() {
    use base64::Engine as _;
    let configuration = Configuration::golden();
    let relay = TestRelay::offline(configuration.path(), &[]);
    let authorization = bearer(relay.sdk, KEY);
    let path = format!("/client/env/{}/target/dave/evaluations/bool-rule", crate::support::configuration::ENVIRONMENT);
    let ask = |header: &str| {
        let headers = [("Authorization", authorization.as_str()), ("Harness-Target", header)];
        get(relay.sdk, &path, &headers).ok()["value"].as_str().unwrap().to_owned()
    };
    let encode = |target: &Value| base64::engine::general_purpose::STANDARD.encode(target.to_string());
    // Configured: dave@other.org, so the rule does not hold.
    assert_eq!(ask(""), "false");
    for useless in ["undefined", "%%%", &encode(&json!([1])), "e30"] {
        assert_eq!(ask(useless), "false", "{useless}");
    }
    let header = encode(&json!({"identifier": "dave", "attributes": {"email": "d@example.com"}}));
    assert_eq!(ask(&header), "true");
    let target = json!({"identifier": "dave", "name": "Dave", "attributes": {"email": "stored@example.com"}});
    let body = json!({"apiKey": KEY, "target": target}).to_string();
    crate::support::client::post(relay.sdk, "/client/auth", &[], &body).ok();
    assert_eq!(ask(""), "true");
    let header = encode(&json!({"identifier": "dave", "attributes": {"email": "d@other.org"}}));
    assert_eq!(ask(&header), "false");
    assert_eq!(identifier_of(&target), "dave");
    let large = encode(&json!({"identifier": "dave", "attributes": {"x": "y".repeat(300_000)}}));
    let headers = [("Authorization", authorization.as_str()), ("Harness-Target", large.as_str())];
    assert_eq!(get(relay.sdk, &path, &headers).status, 400);
    let fits =
        encode(&json!({"identifier": "dave", "attributes": {"x": "y".repeat(190_000), "email": "a@example.com"}}));
    assert_eq!(ask(&fits), "true");
}
