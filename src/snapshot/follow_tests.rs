use std::sync::Arc;

use super::*;
use crate::model::json::Json;
use crate::snapshot::Epoch;
use crate::snapshot::item::{Digest, ItemKind};

fn content(flags: &[(&str, i64, u32)]) -> Content {
    let item = |(name, version, x): &(&str, i64, u32)| {
        let text = format!("{{\"feature\":\"{name}\",\"version\":{version},\"x\":{x}}}");
        Arc::new(Item::from_json(ItemKind::Flag, &Json::parse(&text).unwrap()).unwrap())
    };
    Content::new(flags.iter().map(item).collect(), Vec::new()).unwrap()
}

fn key(name: &str) -> ItemKey {
    ItemKey { kind: ItemKind::Flag, identifier: Arc::from(name) }
}

fn state(sequence: u64, complete: bool, rows: &[(&str, i64, u64, bool)]) -> LeaderState {
    let row = |&(name, served, sequence, deleted): &(&str, i64, u64, bool)| {
        (key(name), LeaderRow { served, sequence, deleted })
    };
    LeaderState {
        revision: Revision { epoch: Epoch(1), sequence, digest: Digest::default() },
        floor: 0,
        rows: rows.iter().map(row).collect(),
        complete,
    }
}

fn told(changes: &[Change]) -> Vec<(String, ChangeKind, i64)> {
    changes.iter().map(|change| (change.key.identifier.to_string(), change.kind, change.version)).collect()
}

#[test]
fn a_fresh_follower_takes_the_leaders_ledger() {
    let mut ledger = Ledger::default();
    let leader = state(9, true, &[("a", 7, 3, false), ("b", 4, 9, false), ("gone", 5, 8, true)]);
    let changes = ledger.follow(&content(&[("a", 2, 0), ("b", 4, 0)]), &leader, 100);
    assert_eq!(told(&changes), [("a".into(), ChangeKind::Create, 7), ("b".into(), ChangeKind::Create, 4)]);
    assert_eq!(ledger.rows_since(None), leader.rows);
    assert_eq!(ledger.rows_since(Some(8)).into_keys().collect::<Vec<_>>(), [key("b")]);
}

#[test]
fn a_delta_changes_what_it_names_and_versions_only_rise() {
    let mut ledger = Ledger::default();
    let first = state(9, true, &[("a", 2, 3, false), ("b", 4, 9, false), ("c", 1, 1, false)]);
    ledger.follow(&content(&[("a", 2, 0), ("b", 4, 0), ("c", 1, 0)]), &first, 100);
    let delta = state(12, false, &[("a", 3, 12, false), ("b", 5, 11, true), ("never-here", 6, 10, true)]);
    let changes = ledger.follow(&content(&[("a", 3, 1), ("c", 1, 0)]), &delta, 200);
    assert_eq!(
        told(&changes),
        [
            ("a".into(), ChangeKind::Patch, 3),
            ("b".into(), ChangeKind::Delete, 5),
            ("never-here".into(), ChangeKind::Delete, 6)
        ]
    );
    assert_eq!(ledger.entries[&key("c")].sequence, 1);
    // The leader lost its ledger: what was given out here stays above it.
    let lost = state(1, true, &[("a", 1, 1, false), ("c", 1, 1, false)]);
    let changes = ledger.follow(&content(&[("a", 1, 2), ("c", 1, 0)]), &lost, 300);
    assert_eq!(told(&changes), [("a".into(), ChangeKind::Patch, 4)]);
    assert_eq!((ledger.entries[&key("c")].served, ledger.entries[&key("c")].sequence), (1, 1));
    // The leader gave out more of the same content.
    let raised = state(2, false, &[("c", 8, 2, false)]);
    let changes = ledger.follow(&content(&[("a", 1, 2), ("c", 1, 0)]), &raised, 400);
    assert_eq!(told(&changes), [("c".into(), ChangeKind::Patch, 8)]);
}
