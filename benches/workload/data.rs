//! Configuration of any size, the same on every machine: flags of every kind
//! of rule in turn, and the segments they use.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Segments of an environment.
pub const SEGMENTS: usize = 50;

/// The id of the environment with this number.
pub fn environment(number: usize) -> String {
    format!("bench-{number:04}")
}

/// The SDK key of the environment with this number.
pub fn sdk_key(number: usize) -> String {
    format!("bench-key-{number}")
}

/// A target with attributes that the rules look at.
pub fn target() -> Value {
    json!({
        "identifier": "user_4711", "name": "Somebody",
        "attributes": {
            "plan": "enterprise", "email": "somebody@example.com", "country": "CH", "age": 42, "beta": true,
            "version": "4.17.2", "groups": ["staff", "testers"],
        },
    })
}

pub fn flags(environment: &str, count: usize) -> Vec<Value> {
    (0..count).map(|at| flag(environment, at)).collect()
}

pub fn segments(environment: &str, count: usize) -> Vec<Value> {
    (0..count).map(|at| segment(environment, at)).collect()
}

/// Flag `at` of an environment; about 830 bytes in the mean of eight.
pub fn flag(environment: &str, at: usize) -> Value {
    let mut flag = match at % 8 {
        3 | 6 => texts(at),
        7 => documents(at),
        _ => switch(),
    };
    flag["feature"] = json!(format!("flag_{at:05}"));
    flag["project"] = json!("bench");
    flag["environment"] = json!(environment);
    flag["state"] = json!(if at % 16 == 8 { "off" } else { "on" });
    flag["version"] = json!(1 + at % 7);
    for (field, value) in rules_of(at).as_object().unwrap() {
        flag[field] = value.clone();
    }
    flag
}

/// A flag without a regular expression, of which each is like the others.
pub fn simple_flag(environment: &str, at: usize) -> Value {
    let mut flag = switch();
    flag["feature"] = json!(format!("flag_{at:05}"));
    flag["project"] = json!("bench");
    flag["environment"] = json!(environment);
    flag["state"] = json!("on");
    flag["version"] = json!(1);
    flag["variationToTargetMap"] = json!([
        {"variation": "false", "targets": named_targets(0, 3), "targetSegments": [segment_name(0)]},
    ]);
    let shares = json!([{"variation": "true", "weight": 50}, {"variation": "false", "weight": 50}]);
    let serve = json!({"distribution": {"bucketBy": "identifier", "variations": shares}});
    flag["rules"] = json!([rule(0, 1, &[clause(0, "plan", "equal", &["pro"])], serve)]);
    flag
}

fn switch() -> Value {
    json!({
        "kind": "boolean", "offVariation": "false", "defaultServe": {"variation": "true"},
        "variations": [
            {"identifier": "true", "value": "true", "name": "True", "description": ""},
            {"identifier": "false", "value": "false", "name": "False", "description": ""},
        ],
        "prerequisites": [], "variationToTargetMap": [], "rules": [],
    })
}

fn texts(at: usize) -> Value {
    let mut flag = switch();
    flag["kind"] = json!("string");
    flag["variations"] = json!([
        {"identifier": "true", "value": format!("https://cdn.example.com/assets/{at}/blue.css"), "name": "Blue"},
        {"identifier": "false", "value": format!("https://cdn.example.com/assets/{at}/green.css"), "name": "Green"},
    ]);
    flag
}

fn documents(at: usize) -> Value {
    let value = |colour: &str| json!({"colour": colour, "limit": at, "hosts": ["a", "b"]}).to_string();
    let mut flag = switch();
    flag["kind"] = json!("json");
    flag["variations"] = json!([
        {"identifier": "true", "value": value("blue"), "name": "Blue"},
        {"identifier": "false", "value": value("green"), "name": "Green"},
    ]);
    flag
}

/// What distinguishes the eight kinds: plain, rollout, target list, regular
/// expression, segment, prerequisite, comparisons, a rule with a rollout.
fn rules_of(at: usize) -> Value {
    let rollout = |share: usize| {
        json!({"distribution": {"bucketBy": "identifier", "variations": [
            {"variation": "true", "weight": share}, {"variation": "false", "weight": 100 - share},
        ]}})
    };
    match at % 8 {
        0 => json!({}),
        1 => json!({"defaultServe": rollout(at % 100), "rules": [
            rule(at, 1, &[clause(at, "country", "in", &["CH", "AT", "DE", "FR"])], rollout(50)),
        ]}),
        2 => json!({"variationToTargetMap": [
            {"variation": "false", "targets": named_targets(at, 12), "targetSegments": [segment_name(at)]},
        ]}),
        3 => json!({"rules": [
            rule(at, 1, &[clause(at, "email", "match", &["^[a-z]+[0-9]*@(example|sample)\\.(org|net)$"])], fixed("false")),
            rule(at, 2, &[clause(at, "version", "match", &["^3\\.[0-9]+\\.[0-9]+$"])], fixed("false")),
        ]}),
        4 => json!({"rules": [
            rule(at, 1, &[clause(at, "", "segmentMatch", &[&segment_name(at), &segment_name(at + 1)])], fixed("false")),
            rule(at, 2, &[clause(at, "", "segmentMatch", &[&segment_name(at + 2)])], rollout(25)),
        ]}),
        5 => json!({
            "prerequisites": [{"feature": format!("flag_{:05}", at - 1), "variations": ["true"]}],
            "rules": [rule(at, 1, &[clause(at, "plan", "equal", &["free"])], fixed("false"))],
        }),
        6 => json!({"rules": [
            rule(at, 1, &[clause(at, "email", "ends_with", &["@example.org", "@example.net"])], fixed("false")),
            rule(at, 2, &[clause(at, "country", "equal", &["us"]), clause(at, "plan", "starts_with", &["ent"])], fixed("false")),
            rule(at, 3, &[clause(at, "groups", "contains", &["admins"])], fixed("false")),
        ]}),
        _ => json!({"rules": [
            rule(at, 1, &[clause(at, "beta", "equal", &["true"])], rollout(10)),
            rule(at, 2, &[clause(at, "age", "gt", &["65"])], fixed("false")),
        ]}),
    }
}

fn rule(at: usize, priority: usize, clauses: &[Value], serve: Value) -> Value {
    let id = uuid(at * 10 + priority);
    json!({"ruleId": id, "priority": priority, "clauses": clauses, "serve": serve})
}

fn clause(at: usize, attribute: &str, op: &str, values: &[&str]) -> Value {
    json!({"id": uuid(at + 7), "attribute": attribute, "op": op, "values": values, "negate": false})
}

fn fixed(variation: &str) -> Value {
    json!({"variation": variation})
}

fn segment_name(at: usize) -> String {
    format!("segment_{:02}", at % SEGMENTS)
}

fn named_targets(at: usize, count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| json!({"identifier": format!("user_{}", at * 31 + n * 7), "name": format!("User {n}")}))
        .collect()
}

fn segment(environment: &str, at: usize) -> Value {
    let member = |n: usize| {
        json!({
            "identifier": format!("user_{}", at * 101 + n * 13), "name": format!("User {n}"),
            "account": "", "org": "", "project": "bench", "environment": environment,
        })
    };
    json!({
        "identifier": segment_name(at), "name": format!("Segment {at}"), "environment": environment, "version": 1 + at % 5,
        "included": (0..10).map(member).collect::<Vec<_>>(), "excluded": (10..12).map(member).collect::<Vec<_>>(),
        "rules": [],
        "servingRules": [
            {"ruleId": uuid(at), "priority": 1, "clauses": [clause(at, "plan", "equal", &["trial"]), clause(at, "country", "in", &["IT", "ES"])]},
            {"ruleId": uuid(at + 1), "priority": 2, "clauses": [clause(at, "email", "ends_with", &["@partner.example"])]},
        ],
    })
}

/// Text in the form of a UUID that this number always gives.
fn uuid(number: usize) -> String {
    let hash = Sha256::digest(number.to_le_bytes());
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Writes a configuration directory of flags of every kind.
pub fn write_directory(root: &Path, environments: usize, flag_count: usize, segment_count: usize) {
    write_directory_of(flag, root, environments, flag_count, segment_count);
}

/// Writes a configuration directory of flags that are made so.
pub fn write_directory_of(
    make: fn(&str, usize) -> Value,
    root: &Path,
    environments: usize,
    flag_count: usize,
    segment_count: usize,
) {
    for number in 0..environments {
        let id = environment(number);
        let directory = root.join(format!("env-{id}"));
        std::fs::create_dir_all(&directory).unwrap();
        let hash: String = Sha256::digest(sdk_key(number)).iter().map(|byte| format!("{byte:02x}")).collect();
        let write = |name: &str, json: Value| std::fs::write(directory.join(name), json.to_string()).unwrap();
        write("auth_config.json", json!([hash]));
        write("feature_config.json", (0..flag_count).map(|at| make(&id, at)).collect());
        write("segments.json", Value::Array(segments(&id, segment_count)));
    }
}
