//! Whatever is taken over from the snapshot before, the next one is what the
//! same content gives by itself.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::Target;
use crate::model::json::Json;
use crate::snapshot::body::Representation;

const NOW: i64 = 1_800_000_000;

/// Flags and segments by name: each in one of some forms.
type State = BTreeMap<(ItemKind, u8), u8>;

fn flag(name: u8, form: u8) -> Value {
    let other = |by: u8| format!("f{}", (name + by) % 8);
    let clause = |op: &str, value: &str| {
        json!([{"ruleId": "r", "priority": 1, "serve": {"variation": "true"}, "clauses": [
            {"id": "c", "attribute": "plan", "op": op, "values": [value], "negate": false}]}])
    };
    let mut flag = json!({
        "feature": format!("f{name}"), "kind": "boolean", "state": if form.is_multiple_of(5) { "off" } else { "on" },
        "version": 10 - i64::from(form % 4), "offVariation": "false", "defaultServe": {"variation": "false"},
        "variations": [{"identifier": "true", "value": "true"}, {"identifier": "false", "value": "false"}],
        "note": format!("form {form}"),
    });
    match form % 7 {
        0 => flag["rules"] = clause("equal", "pro"),
        1 => flag["rules"] = clause("match", "^p.o$"),
        2 => flag["rules"] = clause("segmentMatch", "s1"),
        3 => flag["prerequisites"] = json!([{"feature": other(1), "variations": ["true"]}]),
        4 => {
            flag["variationToTargetMap"] = json!([{"variation": "true", "targets": [], "targetSegments": ["s0", "s9"]}])
        }
        5 => flag["prerequisites"] = json!([{"feature": other(3), "variations": ["false"]}]),
        _ => flag["defaultServe"] = json!({"variation": "missing"}),
    }
    flag
}

fn segment(name: u8, form: u8) -> Value {
    let rule = |op: &str, value: String| json!([{"id": "c", "attribute": "plan", "op": op, "values": [value]}]);
    json!({
        "identifier": format!("s{name}"), "name": "n", "version": form,
        "included": if form.is_multiple_of(2) { json!([{"identifier": "ada"}]) } else { json!([]) },
        "excluded": [], "rules": match form % 3 {
            0 => rule("equal", "free".into()),
            1 => rule("segmentMatch", format!("s{}", (name + 1) % 4)),
            _ => json!([]),
        },
    })
}

fn content(state: &State) -> Content {
    let item = |(&(kind, name), &form): (&(ItemKind, u8), &u8)| {
        let json = if kind == ItemKind::Flag { flag(name, form) } else { segment(name, form) }.to_string();
        Arc::new(Item::from_json(kind, &Json::parse(&json).unwrap()).unwrap())
    };
    Content::new(state.iter().map(item).collect(), vec![Digest::of(b"key")]).unwrap()
}

fn build_on(base: Base<'_>, state: &State) -> Option<Built> {
    build(Input {
        environment: EnvironmentId::new("e"),
        content: content(state),
        served: None,
        leader: None,
        credential: Arc::from(""),
        base,
        new_epoch: Epoch(2),
        now_unix_s: NOW,
        options: &CompileOptions::default(),
    })
    .unwrap()
}

fn bytes(representation: &Representation) -> Vec<u8> {
    representation.frames.concat()
}

fn bodies(snapshot: &Snapshot) -> Vec<(Vec<u8>, Vec<u8>, String)> {
    let bodies = [&snapshot.flags_body, &snapshot.segments_body, &snapshot.legacy_segments_body];
    bodies.map(|body| (bytes(&body.plain), bytes(&body.gzip), body.plain.etag_text.clone())).to_vec()
}

fn answers(snapshot: &Snapshot) -> Vec<String> {
    let mut all = Vec::new();
    for target in [
        json!({"identifier": "ada", "attributes": {"plan": "pro"}}),
        json!({"identifier": "bob", "attributes": {"plan": "free"}}),
        json!({"identifier": "eve"}),
    ] {
        let target: Target = serde_json::from_value(target).unwrap();
        let mut evaluator = snapshot.compiled.evaluator(&target);
        evaluator.all(|answer| {
            all.push(format!(
                "{} {:?}",
                answer.identifier,
                answer.variation.map(|found| found.evaluation_json.clone())
            ));
        });
    }
    all
}

fn steps() -> impl Strategy<Value = Vec<Vec<(bool, u8, Option<u8>)>>> {
    let edit = (proptest::bool::weighted(0.8), 0..8_u8, proptest::option::weighted(0.8, 0..35_u8));
    proptest::collection::vec(proptest::collection::vec(edit, 1..3), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_snapshot_is_what_its_content_gives_whatever_was_before(steps in steps()) {
        let mut state: State = (0..8).map(|name| ((ItemKind::Flag, name), name)).collect();
        state.extend((0..3).map(|name| ((ItemKind::Segment, name), name)));
        let first = Base::Ledger { epoch: Epoch(1), sequence: 0, ledger: Ledger::default(), followed: false };
        let mut before = build_on(first, &state).unwrap().snapshot;
        for edits in steps {
            for (is_flag, name, form) in edits {
                let key = if is_flag { (ItemKind::Flag, name) } else { (ItemKind::Segment, name % 4) };
                match form {
                    Some(form) => drop(state.insert(key, form)),
                    None => drop(state.remove(&key)),
                }
            }
            let (epoch, sequence, ledger) = (before.revision.epoch, before.revision.sequence, before.ledger.clone());
            let alone = build_on(Base::Ledger { epoch, sequence, ledger, followed: false }, &state).unwrap();
            let Some(next) = build_on(Base::Snapshot(&before), &state) else {
                prop_assert_eq!(before.revision.digest, alone.snapshot.revision.digest);
                prop_assert!(alone.changes.is_empty());
                continue;
            };
            let (next, alone, changes) = (next.snapshot, alone.snapshot, (next.changes, alone.changes));
            prop_assert_eq!(next.revision, alone.revision);
            prop_assert_eq!(&next.ledger.entries, &alone.ledger.entries);
            prop_assert_eq!(bodies(&next), bodies(&alone));
            prop_assert_eq!(answers(&next), answers(&alone));
            prop_assert_eq!(next.compiled.warnings(), alone.compiled.warnings());
            for name in 0..8 {
                let (flag, segment) = (format!("f{name}"), format!("s{name}"));
                prop_assert_eq!(
                    next.compiled.affected_flags(&[&flag], &[&segment]),
                    alone.compiled.affected_flags(&[&flag], &[&segment])
                );
            }
            let sorted = |mut changes: Vec<Change>| {
                changes.sort_by(|a, b| a.key.cmp(&b.key));
                changes
            };
            prop_assert_eq!(sorted(changes.0), sorted(changes.1));
            before = next;
        }
    }
}
