//! A thousand flags, all evaluated for one target: nanoseconds for each flag.
//!
//! `cargo bench --bench evaluation`

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a benchmark")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ff_relay::evaluate::{CompileOptions, CompiledEnvironment, Source};
use ff_relay::model::Target;
use serde_json::{Value, json};

const FLAGS: u32 = 1000;

fn flag(at: u32, fields: &Value) -> String {
    let mut flag = json!({
        "feature": format!("flag_{at}"), "kind": "boolean", "state": "on", "offVariation": "false",
        "defaultServe": {"variation": "true"},
        "variations": [{"identifier": "true", "value": "true"}, {"identifier": "false", "value": "false"}],
    });
    for (key, value) in fields.as_object().unwrap() {
        flag[key] = value.clone();
    }
    flag.to_string()
}

fn rule(clause: &Value) -> Value {
    json!({"rules": [{"priority": 1, "clauses": [clause], "serve": {"variation": "false"}}]})
}

fn sources<'j>(names: &'j [String], texts: &'j [String]) -> Vec<Source<'j>> {
    let source = |((identifier, json), at): ((&'j String, &'j String), u32)| {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&at.to_le_bytes());
        Source { identifier, digest, json }
    };
    names.iter().zip(texts).zip(0..).map(source).collect()
}

/// The shortest of many runs: what it costs when nothing else disturbs.
fn shortest(mut run: impl FnMut()) -> Duration {
    let time = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..300).map(|_| time(&mut run)).min().unwrap_or_default()
}

fn measure(name: &str, fields: impl Fn(u32) -> Value) {
    let names: Vec<_> = (0..FLAGS).map(|at| format!("flag_{at}")).collect();
    let flags: Vec<_> = (0..FLAGS).map(|at| flag(at, &fields(at))).collect();
    let members: Vec<_> = (0..10_000).map(|at| json!({"identifier": format!("user_{at}")})).collect();
    let segment = json!({"identifier": "beta", "included": members}).to_string();
    let (segment_names, segments) = (["beta".to_owned()], [segment]);
    let (flags, segments) = (sources(&names, &flags), sources(&segment_names, &segments));
    let options = CompileOptions::default();
    let compile = |previous: Option<&CompiledEnvironment>| {
        CompiledEnvironment::compile(&flags, &segments, previous, &options).unwrap().0
    };
    let start = Instant::now();
    let environment = compile(None);
    let compiled = start.elapsed();
    let again = shortest(|| drop(black_box(compile(Some(&environment)))));
    let target: Target = serde_json::from_value(json!({
        "identifier": "user_9999x", "name": "Somebody", "attributes": {"plan": "enterprise", "age": 42}
    }))
    .unwrap();
    let all = shortest(|| {
        environment.evaluator(&target).all(|answer| {
            black_box(answer.variation);
        });
    });
    let one = shortest(|| {
        black_box(environment.evaluator(&target).flag("flag_500"));
    });
    println!(
        "{name:<22} {:>5} ns a flag | one flag alone {:>6} ns | compiled in {:>6} µs, reused in {:>5} µs",
        all.as_nanos() / u128::from(FLAGS),
        one.as_nanos(),
        compiled.as_micros(),
        again.as_micros()
    );
}

fn main() {
    let users: Vec<_> = (0..1000).map(|at| json!({"identifier": format!("user_{at}"), "name": ""})).collect();
    let values: Vec<_> = (0..1000).map(|at| format!("value_{at}")).collect();
    let clause = |op: &str, values: &[&str]| rule(&json!({"attribute": "plan", "op": op, "values": values}));
    measure("default", |_| json!({}));
    measure("off", |_| json!({"state": "off"}));
    measure("equal", |_| clause("equal", &["pro"]));
    measure("in, 1000 values", |_| rule(&json!({"attribute": "plan", "op": "in", "values": values})));
    measure("target map, 1000", |_| json!({"variationToTargetMap": [{"variation": "false", "targets": users}]}));
    measure("segment", |_| clause("segmentMatch", &["beta"]));
    measure("match", |_| clause("match", &["^pro(fessional)?$"]));
    measure("rollout", |_| {
        let shares = json!([{"variation": "true", "weight": 30}, {"variation": "false", "weight": 70}]);
        json!({"defaultServe": {"distribution": {"bucketBy": "identifier", "variations": shares}}})
    });
    measure(
        "prerequisite",
        |at| json!({"prerequisites": [{"feature": format!("flag_{}", at + 1), "variations": ["true"]}]}),
    );
}
