//! Drift and changes at random, against simple models.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::fixture::{Keys, apply, content, environment, find, snapshot};
use super::{Found, FoundKind, plan, read, repair};
use crate::snapshot::Snapshot;
use crate::snapshot::item::{ItemKey, ItemKind};

/// Versions by flag.
type Side = BTreeMap<String, i64>;

fn side() -> impl Strategy<Value = Side> {
    prop::collection::btree_map("[a-f]", 1..6_i64, 1..6)
}

fn flag(name: &str, version: i64, side: &str) -> String {
    format!("{{\"feature\":\"{name}\",\"version\":{version},\"side\":\"{side}\"}}")
}

/// Which flags are served, in which version and from which side.
fn model(list: &Side, singles: &Side, v2: bool, named: &BTreeSet<String>) -> BTreeMap<String, String> {
    let highest = list.values().max().copied().unwrap_or(0);
    let mut model = BTreeMap::new();
    for name in ('a'..='f').map(String::from) {
        let text = match (list.get(&name), singles.get(&name)) {
            (Some(l), Some(s)) if l > s => flag(&name, *l, "list"),
            (Some(_), Some(s)) => flag(&name, *s, "single"),
            (None, Some(s)) if !v2 && (*s > highest || named.contains(&name)) => flag(&name, *s, "single"),
            _ => continue,
        };
        model.insert(name, text);
    }
    model
}

/// An environment in a few numbers: a kind, a name and a variety each.
fn state() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    prop::collection::btree_map((0..4_u8, 0..6_u8), 0..5_u8, 0..16)
        .prop_map(|map| map.into_iter().map(|((kind, name), variety)| (kind, name, variety)).collect())
}

fn state_after(before: Option<&Snapshot>, rows: &[(u8, u8, u8)]) -> Snapshot {
    let clause = |value: u8| format!(r#"{{"attribute":"p","op":"in","values":["{value}"]}}"#);
    let (mut items, mut keys) = (Vec::new(), Vec::new());
    for (kind, name, variety) in rows {
        match kind {
            0 => items.push((ItemKind::Flag, format!(r#"{{"feature":"{name}","version":{variety},"x":1.50}}"#))),
            1 => {
                let (one, two) = (clause(*variety), clause(9));
                let rules = match variety {
                    0 => String::new(),
                    1 => format!(r#","servingRules":[{{"clauses":[{one}]}}]"#),
                    2 => format!(r#","rules":[{two}],"servingRules":[{{"clauses":[{one},{two}]}}]"#),
                    3 => format!(r#","servingRules":[{{"clauses":[{one},{two}]}},{{"clauses":[{two}]}}]"#),
                    _ => format!(r#","rules":[{one}],"servingRules":[]"#),
                };
                items.push((ItemKind::Segment, format!(r#"{{"identifier":"{name}","version":1{rules}}}"#)));
            }
            2 => items.push((ItemKind::Target, format!(r#"{{"identifier":"{name}","name":"{variety}"}}"#))),
            _ => keys.push(format!("{name}-{variety}")),
        }
    }
    let items: Vec<_> = items.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
    snapshot(before, content(&items, &keys.iter().map(String::as_str).collect::<Vec<_>>()))
}

fn written(snapshot: &Snapshot) -> Keys {
    let mut keys = Keys::new();
    apply(&mut keys, &plan(None, snapshot).writes);
    keys
}

proptest! {
    #[test]
    fn drift_is_brought_together(
        list in side(), singles in side(), v2: bool, named in prop::collection::btree_set("[a-f]", 0..3)
    ) {
        let texts = list.iter().map(|(name, version)| flag(name, *version, "list")).collect::<Vec<_>>();
        let single = |(name, version): (&String, &i64)| (name.clone(), flag(name, *version, "single").into_bytes());
        let found = Found {
            flags: FoundKind {
                list: Some(format!("[{}]", texts.join(",")).into_bytes()),
                latest: v2.then(|| b"\"?\"".to_vec()),
                singles: singles.iter().map(single).collect(),
            },
            segments: FoundKind { list: Some(b"[]".to_vec()), ..FoundKind::default() },
            ..Found::default()
        };
        let key = |name: &String| ItemKey { kind: ItemKind::Flag, identifier: name.as_str().into() };
        let read = read(&found, &named.iter().map(key).collect()).unwrap();
        let flags = read.content.flags.iter().map(|item| (item.identifier().to_owned(), item.text.to_string()));
        prop_assert_eq!(flags.collect::<BTreeMap<_, _>>(), model(&list, &singles, v2, &named));
    }

    #[test]
    fn steps_lead_where_writing_anew_does(states in prop::collection::vec(state(), 1..5)) {
        let mut keys = Keys::new();
        let mut before: Option<Snapshot> = None;
        for rows in states {
            let after = state_after(before.as_ref(), &rows);
            let step = plan(before.as_ref(), &after);
            apply(&mut keys, &step.writes);
            let anew = plan(None, &after);
            prop_assert_eq!(&keys, &written(&after));
            prop_assert_eq!((step.flags_latest, step.segments_latest), (anew.flags_latest, anew.segments_latest));
            prop_assert!(repair(&find(&keys, &environment()), &after).is_empty());
            // One event for each single flag and segment that was touched.
            let prefixes = ["env-e-1-feature-config-", "env-e-1-segment-"];
            let touched = step.writes.iter().filter(|write| prefixes.iter().any(|p| write.key().starts_with(p)));
            prop_assert_eq!(touched.count(), step.events.len());
            before = Some(after);
        }
    }

    #[test]
    fn what_is_written_reads_back_but_for_served_versions(first in state(), second in state()) {
        let first = state_after(None, &first);
        let second = state_after(Some(&first), &second);
        for snapshot in [&first, &second] {
            let back = read(&find(&written(snapshot), &environment()), &BTreeSet::new()).unwrap();
            prop_assert!(back.problems.is_empty() && back.settled, "{:?}", back.problems);
            // What the source would have said with the served versions.
            let served = snapshot.flags.iter().chain(&snapshot.segments).map(|served| {
                let mut json = crate::model::json::Json::parse(&served.item.text).unwrap();
                json.set("version", crate::model::json::Json::number(served.version));
                (served.item.key.kind, json.compact())
            });
            let served: Vec<_> = served.collect();
            let served: Vec<_> = served.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
            let mut expected = content(&served, &[]);
            expected.key_hashes.clone_from(&snapshot.content.key_hashes);
            prop_assert_eq!(back.content.digest(), expected.digest());
        }
    }

    #[test]
    fn repair_mends_any_mixture(first in state(), second in state(), lost in prop::collection::vec(any::<bool>(), 40)) {
        let first = state_after(None, &first);
        let second = state_after(Some(&first), &second);
        let mut keys = written(&first);
        let kept: Keys = written(&second).into_iter().zip(&lost).filter(|(_, lost)| !**lost).map(|(row, _)| row).collect();
        keys.extend(kept);
        let writes = repair(&find(&keys, &environment()), &second);
        apply(&mut keys, &writes);
        let is_target = |key: &String| key.contains("-target-config");
        keys.retain(|key, _| !is_target(key));
        let mut expected = written(&second);
        expected.retain(|key, _| !is_target(key));
        prop_assert_eq!(keys, expected);
    }
}
