use super::super::fixture::{Keys, apply, content, environment, find, snapshot};
use super::super::{Layout, parse_event, read};
use super::*;
use crate::snapshot::item::Digest;

const FLAG_A: (ItemKind, &str) = (ItemKind::Flag, r#"{"x":1.50,"feature":"a","version":3}"#);
const FLAG_B: (ItemKind, &str) = (ItemKind::Flag, r#"{"feature":"b","version":1}"#);
const GROUP: (ItemKind, &str) = (
    ItemKind::Segment,
    r#"{"identifier":"s","version":2,"servingRules":[{"clauses":[{"attribute":"p","op":"in","values":["1"]}]}]}"#,
);
const WIDE: (ItemKind, &str) = (
    ItemKind::Segment,
    r#"{"identifier":"w","version":2,"rules":[],"servingRules":[{"clauses":[{"attribute":"p","op":"in","values":["1"]},{"attribute":"p","op":"in","values":["2"]}]}]}"#,
);
const TARGET: (ItemKind, &str) = (ItemKind::Target, r#"{"identifier":"t","attributes":{"n":1.0}}"#);

fn shown(writes: &[Write]) -> Vec<String> {
    let one = |write: &Write| match write {
        Write::Set { key, value } => format!("{key} = {}", String::from_utf8_lossy(value)),
        Write::Delete { key } => format!("{key} -"),
    };
    writes.iter().map(one).collect()
}

#[test]
fn everything_is_written_in_gos_layout() {
    let after = snapshot(None, content(&[FLAG_A, FLAG_B, GROUP, WIDE, TARGET], &["k"]));
    let plan = plan(None, &after);
    let hash = Digest::of(b"k");
    let group = r#"{"identifier":"s","version":2,"servingRules":[{"clauses":[{"attribute":"p","op":"in","values":["1"]}]}],"rules":[{"attribute":"p","op":"in","values":["1"]}]}"#;
    let (flags, segments) = (format!("[{},{}]", FLAG_A.1, FLAG_B.1), format!("[{group},{}]", WIDE.1));
    let (flags_latest, segments_latest) = (Digest::of(flags.as_bytes()), Digest::of(segments.as_bytes()));
    assert_eq!(
        shown(&plan.writes),
        [
            format!("env-e-1-feature-config-a = {}", FLAG_A.1),
            format!("env-e-1-feature-config-b = {}", FLAG_B.1),
            format!("env-e-1-segment-s = {group}"),
            format!("env-e-1-segment-w = {}", WIDE.1),
            format!("env-e-1-target-config-t = {}", TARGET.1),
            format!("env-e-1-feature-configs = {flags}"),
            format!("env-e-1-segments = {segments}"),
            format!("env-e-1-target-configs = [{}]", TARGET.1),
            format!("env-e-1-feature-configs-latest = \"{flags_latest}\""),
            format!("env-e-1-segments-latest = \"{segments_latest}\""),
            format!("env-e-1-api-configs = [\"auth-key-{hash}\"]"),
            format!("auth-key-{hash} = \"e-1\""),
        ]
    );
    assert_eq!((plan.flags_latest, plan.segments_latest), (flags_latest.to_string(), segments_latest.to_string()));
    assert_eq!(plan.events.len(), 4);
}

#[test]
fn what_was_written_reads_back() {
    let after = snapshot(None, content(&[FLAG_A, FLAG_B, GROUP, WIDE], &["k", "l"]));
    let mut keys = Keys::new();
    apply(&mut keys, &plan(None, &after).writes);
    let back = read(&find(&keys, &environment()), &std::collections::BTreeSet::new()).unwrap();
    assert_eq!(back.content.digest(), after.revision.digest);
    assert_eq!((back.problems, back.layout, back.settled), (vec![], Layout::V2, true));
    // No flags and no segments are something, too.
    let empty = snapshot(None, content(&[], &[]));
    let mut keys = Keys::new();
    apply(&mut keys, &plan(None, &empty).writes);
    let back = read(&find(&keys, &environment()), &std::collections::BTreeSet::new()).unwrap();
    assert_eq!((back.content.digest(), back.problems.len()), (empty.revision.digest, 0));
}

#[test]
fn only_what_changed_is_written_and_told_with_served_versions() {
    let before = snapshot(None, content(&[FLAG_A, FLAG_B, GROUP, TARGET], &["k", "l"]));
    // The same version with another text: it is served with a higher one.
    let changed = (ItemKind::Flag, r#"{"feature":"a","version":3,"x":2}"#);
    let added = (ItemKind::Flag, r#"{"feature":"c"}"#);
    let after = snapshot(Some(&before), content(&[changed, added, GROUP], &["k", "m"]));
    let plan = plan(Some(&before), &after);
    let served = after.flag("a").unwrap().version;
    assert!(served > 3);
    let patched = format!(r#"{{"feature":"a","version":{served},"x":2}}"#);
    let created = r#"{"feature":"c","version":1}"#;
    let (kept, lost, new) = (Digest::of(b"k"), Digest::of(b"l"), Digest::of(b"m"));
    let mut rows = [(lost, format!("auth-key-{lost} -")), (new, format!("auth-key-{new} = \"e-1\""))];
    rows.sort();
    let [(_, first), (_, second)] = rows;
    let mut hashes = [kept, new];
    hashes.sort();
    assert_eq!(
        shown(&plan.writes),
        [
            format!("env-e-1-feature-config-a = {patched}"),
            "env-e-1-feature-config-b -".to_owned(),
            format!("env-e-1-feature-config-c = {created}"),
            "env-e-1-target-config-t -".to_owned(),
            format!("env-e-1-feature-configs = [{patched},{created}]"),
            "env-e-1-target-configs -".to_owned(),
            format!("env-e-1-feature-configs-latest = \"{}\"", plan.flags_latest),
            format!("env-e-1-api-configs = [\"auth-key-{}\",\"auth-key-{}\"]", hashes[0], hashes[1]),
            first,
            second,
        ]
    );
    let events = plan.events.iter().map(|text| parse_event(text.as_bytes()).unwrap());
    let events: Vec<_> = events.map(|event| (event.key.identifier.to_string(), event.kind, event.version)).collect();
    assert_eq!(
        events,
        [
            ("a".to_owned(), ChangeKind::Patch, served),
            ("b".to_owned(), ChangeKind::Delete, 2),
            ("c".to_owned(), ChangeKind::Create, 1)
        ]
    );
    assert!(super::plan(Some(&after), &after).writes.is_empty());
}

#[test]
fn an_environment_that_goes_leaves_nothing() {
    let before = snapshot(None, content(&[FLAG_A, GROUP, TARGET], &["k"]));
    let mut keys = Keys::new();
    apply(&mut keys, &plan(None, &before).writes);
    let plan = removal(&before);
    assert!(plan.writes.first().unwrap().key().starts_with(go::AUTH_KEY_PREFIX) && plan.events.is_empty());
    apply(&mut keys, &plan.writes);
    assert!(keys.is_empty(), "{keys:?}");
}
