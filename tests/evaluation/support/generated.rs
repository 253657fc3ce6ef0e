//! Environments and targets for property tests: small, with names that meet often.

use ff_relay::model::Target;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const FLAGS: &[&str] = &["f0", "f1", "f2", "f3", "f4", "f5"];
const SEGMENTS: &[&str] = &["s0", "s1", "s2", "s3", "s4"];
const TARGETS: &[&str] = &["", "t", "u", "t1", "K"];
const VARIATIONS: &[&str] = &["", "a", "b", "c"];
const ATTRIBUTES: &[&str] = &["identifier", "name", "plan", "age", ""];
const TEXTS: &[&str] = &["", "t", "u", "pro", "PRO", "42", "4", "\u{212a}", "[a 1]", "<nil>", "^t", "a**", "(?i)k|p"];
const OPERATORS: &[&str] = &[
    "equal",
    "equal_sensitive",
    "starts_with",
    "ends_with",
    "contains",
    "in",
    "gt",
    "match",
    "segmentMatch",
    "like",
    "",
];

fn name(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(names).prop_map(str::to_owned)
}

fn names(names: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(name(names), 0..=most)
}

/// `value`, or what stands for nothing.
fn perhaps(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop_oneof![4 => value, 1 => Just(Value::Null)]
}

fn clause() -> impl Strategy<Value = Value> {
    let plain = (name(ATTRIBUTES), name(OPERATORS), names(TEXTS, 2), any::<bool>()).prop_map(
        |(attribute, op, values, negate)| json!({"attribute": attribute, "op": op, "values": values, "negate": negate}),
    );
    let segments = names(SEGMENTS, 3).prop_map(|values| json!({"op": "segmentMatch", "values": values}));
    prop_oneof![3 => plain, 2 => segments]
}

fn clauses(most: usize) -> impl Strategy<Value = Value> {
    perhaps(prop::collection::vec(clause(), 0..=most).prop_map(Value::from))
}

fn distribution() -> impl Strategy<Value = Value> {
    let share =
        (name(VARIATIONS), -10..120).prop_map(|(variation, weight)| json!({"variation": variation, "weight": weight}));
    let shares = prop::collection::vec(share, 0..4);
    (name(ATTRIBUTES), shares).prop_map(|(bucket_by, shares)| json!({"bucketBy": bucket_by, "variations": shares}))
}

fn serve() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => name(VARIATIONS).prop_map(|variation| json!({"variation": variation})),
        1 => distribution().prop_map(|distribution| json!({"distribution": distribution})),
        1 => (name(VARIATIONS), perhaps(distribution()))
            .prop_map(|(variation, distribution)| json!({"variation": variation, "distribution": distribution})),
        1 => Just(json!({})),
    ]
}

fn targets() -> impl Strategy<Value = Value> {
    let references =
        |names: Vec<String>| names.into_iter().map(|name| json!({"identifier": name, "name": ""})).collect();
    perhaps(names(TARGETS, 2).prop_map(references))
}

fn flag(identifier: &'static str) -> impl Strategy<Value = Value> {
    let rule = (0..3, clauses(2), serve())
        .prop_map(|(priority, clauses, serve)| json!({"priority": priority, "clauses": clauses, "serve": serve}));
    let entry = (name(VARIATIONS), targets(), names(SEGMENTS, 2)).prop_map(
        |(variation, targets, segments)| json!({"variation": variation, "targets": targets, "targetSegments": segments}),
    );
    let prerequisite = (name(FLAGS), names(VARIATIONS, 3))
        .prop_map(|(feature, variations)| json!({"feature": feature, "variations": variations}));
    let variations = prop::sample::subsequence(vec!["", "a", "b", "c"], 1..=4);
    (
        (name(&["on", "on", "on", "off", ""]), name(VARIATIONS), serve(), variations),
        perhaps(prop::collection::vec(rule, 0..3).prop_map(Value::from)),
        perhaps(prop::collection::vec(entry, 0..2).prop_map(Value::from)),
        perhaps(prop::collection::vec(prerequisite, 0..3).prop_map(Value::from)),
    )
        .prop_map(move |((state, off, serve, variations), rules, map, prerequisites)| {
            let variations: Vec<_> =
                variations.iter().map(|variation| json!({"identifier": variation, "value": variation})).collect();
            json!({
                "feature": identifier, "kind": "string", "state": state, "offVariation": off, "defaultServe": serve,
                "variations": variations, "rules": rules, "variationToTargetMap": map, "prerequisites": prerequisites,
            })
        })
}

fn segment(identifier: &'static str) -> impl Strategy<Value = Value> {
    let serving = clauses(2).prop_map(|clauses| json!({"priority": 1, "clauses": clauses}));
    let serving = perhaps(prop::collection::vec(serving, 0..2).prop_map(Value::from));
    (targets(), targets(), clauses(2), serving).prop_map(move |(included, excluded, rules, serving)| {
        json!({
            "identifier": identifier, "included": included, "excluded": excluded, "rules": rules, "servingRules": serving,
        })
    })
}

/// Some of the flags and segments; whatever is left out is referred to nevertheless.
pub fn environment() -> impl Strategy<Value = (Vec<Value>, Vec<Value>)> {
    let some = |count: usize| prop::collection::vec(prop::bool::weighted(0.8), count);
    let flags: Vec<_> = FLAGS.iter().map(|identifier| flag(identifier)).collect();
    let segments: Vec<_> = SEGMENTS.iter().map(|identifier| segment(identifier)).collect();
    (flags, some(FLAGS.len()), segments, some(SEGMENTS.len())).prop_map(
        |(flags, some_flags, segments, some_segments)| {
            let kept = |values: Vec<Value>, some: Vec<bool>| -> Vec<Value> {
                values.into_iter().zip(some).filter(|(_, kept)| *kept).map(|(value, _)| value).collect()
            };
            (kept(flags, some_flags), kept(segments, some_segments))
        },
    )
}

pub fn target() -> impl Strategy<Value = Target> {
    let value = prop_oneof![
        name(TEXTS).prop_map(Value::from),
        Just(json!(42)),
        Just(json!(null)),
        Just(json!(["a", 1])),
        Just(json!({"a": 1})),
        Just(json!(true)),
    ];
    let attributes = prop::collection::vec((name(ATTRIBUTES), value), 0..4);
    (name(TARGETS), name(TEXTS), attributes).prop_map(|(identifier, name, attributes)| Target {
        identifier,
        name,
        anonymous: false,
        attributes: attributes.into_iter().collect(),
    })
}
