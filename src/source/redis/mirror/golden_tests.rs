//! The recorded contents of the Go proxies, read.

use std::collections::BTreeSet;

use super::fixture::{Keys, find, recorded};
use super::{Found, Layout, Read, parse_event, read, stored};
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::{Item, ItemKind};
use crate::snapshot::ledger::ChangeKind;

const V1: &str = include_str!("../../../../tests/fixtures/redis/v1.json");
const V2: &str = include_str!("../../../../tests/fixtures/redis/v2.json");
const V2_AFTER: &str = include_str!("../../../../tests/fixtures/redis/v2-after.json");

const FIRST: &str = "11111111-1111-4111-8111-111111111111";
const SECOND: &str = "22222222-2222-4222-8222-222222222222";
const KEYS: [&str; 2] = [
    "9403ee64b3692b3c029e6a83d1400400070cd1e23302a10de3d46a6fb97a38ee",
    "f8dd4c0d5556af5a1ba923bfd362f6297230d76546f03ce45a519c15e356fd34",
];

fn found(keys: &Keys, environment: &str) -> Found {
    find(keys, &EnvironmentId::new(environment))
}

fn take(file: &str, environment: &str) -> Read {
    read(&found(&recorded(file).0, environment), &BTreeSet::new()).unwrap()
}

fn versions(items: &[std::sync::Arc<Item>]) -> String {
    let one = |item: &std::sync::Arc<Item>| format!("{} {}", item.identifier(), item.version.unwrap());
    items.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn flags(bool_on: i64) -> String {
    format!(
        "bool-group 4, bool-group-rule 2, bool-off 1, bool-on {bool_on}, bool-prereq 2, bool-rule 5, \
         bool-targeted 7, doc 6, number 1, percent 9, text 1"
    )
}

#[test]
fn each_recording_reads_to_what_its_proxy_served() {
    for (file, layout, bool_on, segments) in [
        (V1, Layout::V1, 3, "beta 2, empty 1, gold 5"),
        (V2, Layout::V2, 3, "beta 2, empty 1, gold 5"),
        // 'empty' was deleted and left its single key.
        (V2_AFTER, Layout::V2, 6, "beta 2, gold 5"),
    ] {
        let read = take(file, FIRST);
        assert_eq!((read.layout, read.settled), (layout, true));
        assert_eq!(versions(&read.content.flags), flags(bool_on));
        assert_eq!(versions(&read.content.segments), segments);
        assert_eq!(read.content.key_hashes.iter().map(ToString::to_string).collect::<Vec<_>>(), KEYS);
        assert!(read.content.targets.is_empty());
        let other = take(file, SECOND);
        assert_eq!(versions(&other.content.flags), "other 1");
        assert!(other.content.segments.is_empty() && other.content.key_hashes.len() == 1);
        assert!(read_nothing(file).contains("nothing is stored"));
    }
    assert!(take(V2, FIRST).problems.is_empty());
    assert_eq!(
        take(V2_AFTER, FIRST).problems,
        ["1 segments stand in only one of the list and the single keys and count as deleted; the first is 'empty'"]
    );
    assert_eq!(take(V1, FIRST).problems.len(), 1);
}

fn read_nothing(file: &str) -> String {
    read(&found(&recorded(file).0, "not-there"), &BTreeSet::new()).unwrap_err()
}

#[test]
fn what_a_proxy_has_not_filled_yet_is_not_served() {
    let none = BTreeSet::new();
    let (mut keys, _) = recorded(V1);
    keys.remove(&format!("env-{SECOND}-segments"));
    assert!(read(&found(&keys, SECOND), &none).unwrap_err().contains("list of segments"));
    keys.retain(|key, _| !key.starts_with(&format!("env-{SECOND}-feature")));
    assert!(read(&found(&keys, SECOND), &none).unwrap_err().contains("nothing but SDK keys"));
    keys.insert(format!("env-{SECOND}-segments"), b"[]".to_vec());
    assert!(read(&found(&keys, SECOND), &none).unwrap_err().contains("list of flags"));
    // v2 stores no list for nothing.
    keys.retain(|key, _| !key.starts_with(&format!("env-{SECOND}-")));
    keys.insert(format!("env-{SECOND}-api-configs"), b"[]".to_vec());
    let empty = read(&found(&keys, SECOND), &none).unwrap();
    assert!(empty.content.items().next().is_none());
    // The auth-key keys are newer than their list.
    assert_eq!((empty.content.key_hashes.len(), empty.problems.len()), (1, 2));
}

#[test]
fn texts_are_kept_and_first_clauses_are_not() {
    let read = take(V2, FIRST);
    let text = |kind: ItemKind, name: &str| {
        let items = if kind == ItemKind::Flag { &read.content.flags } else { &read.content.segments };
        crate::snapshot::content::find(items, name).unwrap().text.to_string()
    };
    assert!(text(ItemKind::Flag, "doc").contains(r#"{\"a\": [1, 2.50, null], \"b\": \"<&>\"}"#));
    let gold = text(ItemKind::Segment, "gold");
    assert!(!gold.contains("\"rules\"") && gold.contains(r#""id":"c2""#), "{gold}");
    assert!(text(ItemKind::Segment, "empty").contains(r#""rules":[],"servingRules":[]"#));
    // What v1 dropped is not invented.
    let v1 = take(V1, FIRST);
    assert!(!v1.content.segments.iter().any(|item| item.text.contains("servingRules")));
}

#[test]
fn latest_is_the_hash_of_the_lists_text() {
    let mut seen = 0;
    for file in [V2, V2_AFTER] {
        let (keys, _) = recorded(file);
        for (key, value) in &keys {
            if let Some(list) = key.strip_suffix("-latest") {
                let list = keys.get(list).unwrap();
                assert_eq!(format!("\"{}\"", stored::latest(list)).as_bytes(), value);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 6);
    let (mut keys, _) = recorded(V2);
    keys.get_mut(&format!("env-{FIRST}-segments")).unwrap().push(b' ');
    assert!(!read(&found(&keys, FIRST), &BTreeSet::new()).unwrap().settled);
}

#[test]
fn targets_come_from_the_single_keys() {
    let names = |read: &Read| read.learnt.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let v1 = take(V1, FIRST);
    assert_eq!(names(&v1), ["a/b", "alice", "bad id", "bob", "dave", "erin", "ok", "ok2"]);
    assert!(v1.learnt.iter().any(|(_, json)| json.contains(r#""email":"erin@example.com""#)));
    assert_eq!(names(&take(V2, FIRST)), ["erin", "ok2"]);
}

#[test]
fn v2_tells_versions_of_zero_by_name() {
    let (_, entries) = recorded(V2_AFTER);
    let events: Vec<_> = entries.iter().filter_map(|text| parse_event(text.as_bytes())).collect();
    assert_eq!(events.len(), entries.len());
    let Some(by_name) = events.first() else { panic!("no events") };
    assert_eq!((&*by_name.key.identifier, by_name.key.kind, by_name.version), ("Beta", ItemKind::Segment, 0));
    assert!(events.iter().any(|event| event.kind == ChangeKind::Delete && event.environment.as_str() == FIRST));
    for (text, event) in entries.iter().zip(&events) {
        assert_eq!(*text, super::event::text(&event.environment, &event.key, event.kind, event.version));
    }
}
