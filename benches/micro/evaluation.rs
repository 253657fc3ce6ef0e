//! What evaluation costs, by kind of rule and by number of flags.

use divan::Bencher;
use divan::counter::ItemsCount;
use ff_relay::evaluate::{CompileOptions, CompiledEnvironment, Source};
use ff_relay::model::Target;
use serde_json::{Value, json};

use super::data;

const KINDS: [&str; 9] =
    ["default", "off", "equal", "in-1000", "target-map-1000", "segment-10000", "regex", "rollout", "prerequisite"];

/// One flag of this kind for one target, the whole of a request's evaluation.
#[divan::bench(args = KINDS)]
fn one_flag(bencher: Bencher<'_, '_>, kind: &str) {
    let (environment, target) = (of_kind(kind, 2), target());
    bencher.bench(|| environment.evaluator(&target).flag("flag_0").unwrap().variation.map(|it| it.value.len()));
}

/// A flag of this kind among a hundred that are evaluated for one target.
#[divan::bench(args = KINDS)]
fn one_of_100(bencher: Bencher<'_, '_>, kind: &str) {
    let (environment, target) = (of_kind(kind, 100), target());
    bencher.counter(ItemsCount::new(100_u32)).bench(|| all(&environment, &target));
}

/// All flags of an environment in which every kind occurs.
#[divan::bench(args = [10, 100, 1000])]
fn all_flags(bencher: Bencher<'_, '_>, count: usize) {
    let (environment, target) = (mixed(count), target());
    bencher.counter(ItemsCount::new(count)).bench(|| all(&environment, &target));
}

/// The same environment compiled from its JSON.
#[divan::bench(args = [10, 100, 1000], sample_count = 20)]
fn compile(bencher: Bencher<'_, '_>, count: usize) {
    let (flags, segments) = (data::flags("bench", count), data::segments("bench", data::SEGMENTS));
    let (flags, segments) = (texts(&flags, "feature"), texts(&segments, "identifier"));
    let (flags, segments, options) = (sources(&flags), sources(&segments), CompileOptions::default());
    let compile = || CompiledEnvironment::compile(&flags, &segments, None, &options).unwrap();
    bencher.counter(ItemsCount::new(count)).bench(compile);
}

/// Compiled once more with what was compiled before.
#[divan::bench(args = [10, 100, 1000])]
fn compile_again(bencher: Bencher<'_, '_>, count: usize) {
    let (flags, segments) = (data::flags("bench", count), data::segments("bench", data::SEGMENTS));
    let before = compiled(&flags, &segments, None);
    let (flags, segments) = (texts(&flags, "feature"), texts(&segments, "identifier"));
    let (flags, segments, options) = (sources(&flags), sources(&segments), CompileOptions::default());
    bencher.bench(|| CompiledEnvironment::compile(&flags, &segments, Some(&before), &options).unwrap());
}

fn all(environment: &CompiledEnvironment, target: &Target) -> usize {
    let mut bytes = 0;
    environment.evaluator(target).all(|answer| bytes += answer.variation.map_or(0, |it| it.value.len()));
    bytes
}

fn target() -> Target {
    serde_json::from_value(data::target()).unwrap()
}

fn mixed(count: usize) -> CompiledEnvironment {
    compiled(&data::flags("bench", count), &data::segments("bench", data::SEGMENTS), None)
}

fn compiled(flags: &[Value], segments: &[Value], previous: Option<&CompiledEnvironment>) -> CompiledEnvironment {
    let (flags, segments) = (texts(flags, "feature"), texts(segments, "identifier"));
    let options = CompileOptions::default();
    CompiledEnvironment::compile(&sources(&flags), &sources(&segments), previous, &options).unwrap().0
}

fn texts(items: &[Value], field: &str) -> Vec<(String, String)> {
    items.iter().map(|item| (item[field].as_str().unwrap().to_owned(), item.to_string())).collect()
}

fn sources(texts: &[(String, String)]) -> Vec<Source<'_>> {
    let digest = |at: u32| {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&at.to_le_bytes());
        digest
    };
    let rows = texts.iter().zip(0..);
    rows.map(|((identifier, json), at)| Source { identifier, digest: digest(at), json }).collect()
}

/// So many flags of one kind; the target meets no rule, so all are walked.
fn of_kind(kind: &str, count: usize) -> CompiledEnvironment {
    let flags: Vec<Value> = (0..count).map(|at| flag(at, &fields(kind, at))).collect();
    let members: Vec<_> = (0..10_000).map(|at| json!({"identifier": format!("user_{at}x")})).collect();
    compiled(&flags, &[json!({"identifier": "beta", "included": members})], None)
}

fn flag(at: usize, fields: &Value) -> Value {
    let mut flag = json!({
        "feature": format!("flag_{at}"), "kind": "boolean", "state": "on", "offVariation": "false",
        "defaultServe": {"variation": "true"},
        "variations": [{"identifier": "true", "value": "true"}, {"identifier": "false", "value": "false"}],
    });
    for (key, value) in fields.as_object().unwrap() {
        flag[key] = value.clone();
    }
    flag
}

fn fields(kind: &str, at: usize) -> Value {
    let rule = |op: &str, attribute: &str, values: Value| {
        let clause = json!({"attribute": attribute, "op": op, "values": values});
        json!({"rules": [{"priority": 1, "clauses": [clause], "serve": {"variation": "false"}}]})
    };
    match kind {
        "off" => json!({"state": "off"}),
        "equal" => rule("equal", "plan", json!(["pro"])),
        "in-1000" => rule("in", "plan", (0..1000).map(|at| json!(format!("value_{at}"))).collect()),
        "target-map-1000" => {
            let users: Vec<_> = (0..1000).map(|at| json!({"identifier": format!("user_{at}x"), "name": ""})).collect();
            json!({"variationToTargetMap": [{"variation": "false", "targets": users}]})
        }
        "segment-10000" => rule("segmentMatch", "", json!(["beta"])),
        "regex" => rule("match", "plan", json!(["^pro(fessional)?$"])),
        "rollout" => {
            let shares = json!([{"variation": "true", "weight": 30}, {"variation": "false", "weight": 70}]);
            json!({"defaultServe": {"distribution": {"bucketBy": "identifier", "variations": shares}}})
        }
        "prerequisite" => {
            json!({"prerequisites": [{"feature": format!("flag_{}", at + 1), "variations": ["true"]}]})
        }
        _ => json!({}),
    }
}
