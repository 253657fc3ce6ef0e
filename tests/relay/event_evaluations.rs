//! Events that carry the answers of the stream's target: complete or not at
//! all, the same as a request would get, and only for SDKs that use them.

use std::net::SocketAddr;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::client::{get, post};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, boolean};
use crate::support::events::Events;
use crate::support::relay::TestRelay;
use crate::support::wait_for;

const BROWSER: &str = "Javascript 1.32.0 Client";

fn start(flags: &[Value]) -> (Configuration, TestRelay) {
    let configuration = Configuration::with_flags(flags);
    let relay = TestRelay::offline(configuration.path(), &["--config-reload=true", "--config-reload-interval=100ms"]);
    (configuration, relay)
}

/// A flag that serves `true` to those on the plan, with flags that must be
/// true first.
fn by_plan(name: &str, plan: &str, prerequisites: &[&str]) -> Value {
    let mut flag = boolean(name, false, 1);
    flag["rules"] = json!([{"ruleId": "r", "priority": 1, "serve": {"variation": "true"}, "clauses": [
        {"id": "c", "attribute": "plan", "op": "equal", "values": [plan], "negate": false}]}]);
    flag["prerequisites"] =
        prerequisites.iter().map(|flag| json!({"feature": flag, "variations": ["true"]})).collect::<Vec<_>>().into();
    flag
}

fn target(identifier: &str, plan: &str) -> Value {
    json!({"identifier": identifier, "attributes": {"plan": plan}})
}

fn header(target: &Value) -> String {
    base64::engine::general_purpose::STANDARD.encode(target.to_string())
}

/// Authenticates as an SDK does that brings its target.
fn authorization(address: SocketAddr, target: &Value) -> String {
    let body = json!({"apiKey": KEY, "target": target}).to_string();
    format!("Bearer {}", post(address, "/client/auth", &[], &body).ok()["authToken"].as_str().unwrap())
}

/// A stream of an SDK whose target is in its token.
fn stream(relay: &TestRelay, sdk: &str, target: &Value) -> Events {
    Events::open(relay.sdk, KEY, &authorization(relay.sdk, target), &[("Harness-SDK-Info", sdk)])
}

/// What a request after the event would get, by flag.
fn requested(relay: &TestRelay, authorization: &str, target: &Value, flags: &[&str]) -> Vec<Value> {
    let path = format!("/client/env/{ENVIRONMENT}/target/{}/evaluations", target["identifier"].as_str().unwrap());
    let all = get(relay.sdk, &path, &[("Authorization", authorization)]).ok();
    let named = |evaluation: &&Value| flags.contains(&evaluation["flag"].as_str().unwrap());
    all.as_array().unwrap().iter().filter(named).cloned().collect()
}

fn evaluations(event: &Value) -> Vec<Value> {
    event["evaluations"].as_array().cloned().unwrap_or_default()
}

#[test]
fn an_event_carries_what_a_request_would_get_for_every_flag_that_depends() {
    let (configuration, relay) = start(&[
        by_plan("a", "pro", &[]),
        by_plan("b", "pro", &["a"]),
        by_plan("c", "pro", &["b"]),
        boolean("z", true, 1),
    ]);
    let (pro, free) = (target("ada", "pro"), target("bob", "free"));
    let mut streams = [stream(&relay, BROWSER, &pro), stream(&relay, "Android 2.2.0 Client", &free)];
    configuration.edit_flag("a", |flag| {
        flag["version"] = json!(2);
        flag["rules"][0]["clauses"][0]["values"] = json!(["free"]);
    });
    for (stream, target) in streams.iter_mut().zip([&pro, &free]) {
        let bearer = authorization(relay.sdk, target);
        let mut events = [stream.next().unwrap(), stream.next().unwrap(), stream.next().unwrap()];
        events.sort_by_key(|event| event["identifier"].to_string());
        for (event, flags) in events.iter().zip([&["a", "b", "c"][..], &["b", "c"], &["c"]]) {
            assert_eq!(evaluations(event), requested(&relay, &bearer, target, flags), "{event}");
            assert_eq!(evaluations(event).len(), flags.len(), "{event}");
            let fields: Vec<&String> = event.as_object().unwrap().keys().collect();
            assert_eq!(fields, ["domain", "environment", "evaluations", "event", "identifier", "version"]);
        }
    }
    // The two differ, so nobody got another's answers.
    assert_ne!(
        requested(&relay, &authorization(relay.sdk, &pro), &pro, &["a"]),
        requested(&relay, &authorization(relay.sdk, &free), &free, &["a"])
    );
}

#[test]
fn the_header_wins_over_the_token() {
    let (configuration, relay) = start(&[by_plan("a", "pro", &[])]);
    let bearer = authorization(relay.sdk, &target("ada", "free"));
    let header = header(&target("ada", "pro"));
    for sdk in [&[("Harness-Target", &*header)][..], &[("Harness-Target", &*header), ("Harness-SDK-Info", BROWSER)]] {
        let mut stream = Events::open(relay.sdk, KEY, &bearer, sdk);
        let version = configuration.read(ENVIRONMENT, "feature_config.json")[0]["version"].as_i64().unwrap();
        configuration.edit_flag("a", |flag| flag["version"] = json!(version + 1));
        let event = stream.next().unwrap();
        assert_eq!(
            event["evaluations"],
            json!([{"flag": "a", "identifier": "true", "kind": "boolean", "value": "true"}])
        );
    }
}

#[test]
fn nobody_else_gets_answers() {
    let (configuration, relay) = start(&[boolean("a", true, 1)]);
    let ada = target("ada", "pro");
    let bearer = authorization(relay.sdk, &ada);
    let header = header(&ada);
    let open = |headers: &[(&str, &str)]| Events::open(relay.sdk, KEY, &bearer, headers);
    let mut streams = [
        open(&[]),
        open(&[("Harness-SDK-Info", "NodeJS 1.8.2 Server")]),
        open(&[("Harness-SDK-Info", "Flutter 2.1.1 Client")]),
        open(&[("Harness-SDK-Info", "Flutter 2.1.1 Client"), ("Harness-Target", &header)]),
        open(&[("Harness-SDK-Info", BROWSER), ("Harness-Target", "not base64!")]),
    ];
    configuration.edit_flag("a", |flag| flag["version"] = json!(2));
    for stream in &mut streams {
        let event = stream.next().unwrap();
        assert_eq!(event.get("evaluations"), None, "{event}");
        assert_eq!(event["version"], 2);
    }
}

#[test]
fn answers_are_complete_or_left_out() {
    let mut empty = boolean("empty", true, 1);
    empty["variations"][0]["value"] = json!("");
    let mut unevaluable = boolean("unevaluable", true, 1);
    unevaluable["prerequisites"] = json!([{"feature": "a", "variations": ["true"]}]);
    unevaluable["defaultServe"] = json!({"variation": "missing"});
    let mut large = boolean("large", true, 1);
    large["variations"][0]["value"] = "x".repeat(49_000).into();
    let (configuration, relay) = start(&[boolean("a", true, 1), boolean("b", true, 1), empty, unevaluable, large]);
    let mut stream = stream(&relay, BROWSER, &target("ada", "pro"));
    let mut change = |flag: &str| {
        configuration.edit_flag(flag, |flag| flag["version"] = json!(flag["version"].as_i64().unwrap() + 1));
        loop {
            let event = stream.next().unwrap();
            if event["identifier"] == flag {
                return event;
            }
        }
    };
    assert_eq!(change("b")["evaluations"].as_array().map(Vec::len), Some(1));
    for flag in ["empty", "large", "a"] {
        assert_eq!(change(flag).get("evaluations"), None, "{flag}");
    }
    // With what stood in the way gone, they come again.
    configuration.edit_flag("unevaluable", |flag| flag["defaultServe"] = json!({"variation": "true"}));
    wait_for("complete answers", || (evaluations(&change("a")).len() == 2).then_some(()));
}

#[test]
fn a_target_that_somebody_else_uses_differently_is_asked_for() {
    let (configuration, relay) = start(&[by_plan("a", "pro", &[])]);
    let mut first = stream(&relay, BROWSER, &target("ada", "pro"));
    let mut second = stream(&relay, BROWSER, &target("ada", "free"));
    configuration.edit_flag("a", |flag| flag["version"] = json!(2));
    // A request without a header gets the stored target's answer: the second's.
    assert_eq!(first.next().unwrap().get("evaluations"), None);
    assert_eq!(second.next().unwrap()["evaluations"][0]["value"], "false");
}

#[test]
fn groups_deletions_and_new_flags() {
    let mut grouped = boolean("grouped", false, 1);
    grouped["variationToTargetMap"] = json!([{"variation": "true", "targets": [], "targetSegments": ["beta"]}]);
    let (configuration, relay) = start(&[grouped, boolean("other", true, 1)]);
    let group = |included: &[&str]| {
        let included: Vec<_> = included.iter().map(|id| json!({"identifier": id, "name": id})).collect();
        json!([{"identifier": "beta", "name": "beta", "version": 1, "included": included, "excluded": [], "rules": []}])
    };
    let mut stream = stream(&relay, BROWSER, &target("ada", "pro"));
    let mut take = |count: usize| {
        let mut events: Vec<Value> = (0..count).map(|_| stream.next().unwrap()).collect();
        events.sort_by_key(|event| event["domain"].to_string());
        events
    };
    let serves = |value: &str| json!([{"flag": "grouped", "identifier": value, "kind": "boolean", "value": value}]);
    for (segments, value) in [(group(&["ada"]), "true"), (group(&["bob"]), "false"), (json!([]), "false")] {
        configuration.write(ENVIRONMENT, "segments.json", &segments);
        for event in take(2) {
            assert_eq!(event["evaluations"], serves(value), "{event}");
        }
    }
    let all = configuration.read(ENVIRONMENT, "feature_config.json");
    configuration.write(ENVIRONMENT, "feature_config.json", &json!([all[0]]));
    let gone = take(1).remove(0);
    assert_eq!((gone["event"].as_str(), gone.get("evaluations")), (Some("delete"), None));
    configuration.write(ENVIRONMENT, "feature_config.json", &json!([all[0], boolean("new", true, 1)]));
    let new = take(1).remove(0);
    assert_eq!(new["event"], "create");
    assert_eq!(new["evaluations"], json!([{"flag": "new", "identifier": "true", "kind": "boolean", "value": "true"}]));
}

#[test]
fn streams_of_one_target_are_evaluated_for_once() {
    let (configuration, relay) = start(&[boolean("a", true, 1)]);
    let ada = target("ada", "pro");
    let bearer = authorization(relay.sdk, &ada);
    let open = || Events::open(relay.sdk, KEY, &bearer, &[("Harness-SDK-Info", BROWSER)]);
    let mut streams: Vec<Events> = (0..40).map(|_| open()).collect();
    let mut server_side = Events::open(relay.sdk, KEY, &bearer, &[]);
    let metric = |name: &str| {
        let text = get(relay.sdk, "/metrics", &[]).text();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name)).unwrap_or_default();
        line.split(' ').next_back().and_then(|value| value.parse::<f64>().ok()).unwrap()
    };
    assert_eq!(metric("ff_relay_stream_targets").to_string(), "1");
    configuration.edit_flag("a", |flag| flag["version"] = json!(2));
    for stream in &mut streams {
        assert_eq!(evaluations(&stream.next().unwrap()).len(), 1);
    }
    assert_eq!(server_side.next().unwrap().get("evaluations"), None);
    assert_eq!(metric("ff_relay_stream_events_answered_total").to_string(), "40");
    assert_eq!(metric("ff_relay_stream_events_evaluated_total").to_string(), "1");
    drop(streams);
    wait_for("the target to go", || (metric("ff_relay_stream_targets") < 0.5).then_some(()));
}
