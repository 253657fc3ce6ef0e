use super::*;
use crate::model::json::Json;
use crate::snapshot::item::ItemKind;

const NOW: i64 = VERSION_CLOCK_ZERO + 1_000_000;

fn at(sequence: u64) -> Moment {
    Moment { unix_s: NOW + i64::try_from(sequence).unwrap(), sequence }
}

fn content(flags: &[(&str, Option<i64>, &str)]) -> Content {
    let items = flags.iter().map(|(name, version, state)| {
        let version = version.map_or(String::new(), |v| format!(",\"version\":{v}"));
        let text = format!("{{\"feature\":\"{name}\",\"state\":\"{state}\"{version}}}");
        Arc::new(Item::from_json(ItemKind::Flag, &Json::parse(&text).unwrap()).unwrap())
    });
    Content::new(items.collect(), Vec::new()).unwrap()
}

fn told(changes: &[Change]) -> Vec<(&str, ChangeKind, i64)> {
    changes.iter().map(|c| (&*c.key.identifier, c.kind, c.version)).collect()
}

#[test]
fn the_source_version_is_served_while_it_rises() {
    let mut ledger = Ledger::default();
    assert_eq!(told(&ledger.apply(&content(&[("a", Some(3), "on")]), at(1))), [("a", ChangeKind::Create, 3)]);
    assert!(ledger.apply(&content(&[("a", Some(3), "on")]), at(2)).is_empty());
    assert_eq!(told(&ledger.apply(&content(&[("a", Some(4), "off")]), at(3))), [("a", ChangeKind::Patch, 4)]);
}

#[test]
fn a_change_without_a_higher_version_is_raised_by_the_clock_and_stays_above() {
    let mut ledger = Ledger::default();
    ledger.apply(&content(&[("a", None, "on")]), at(1));
    let raised = ledger.apply(&content(&[("a", None, "off")]), at(2));
    assert_eq!(told(&raised), [("a", ChangeKind::Patch, 1_000_002)]);
    assert!(raised[0].raised);
    // A higher version of the source that is below what was served.
    let next = ledger.apply(&content(&[("a", Some(5), "on")]), at(3));
    assert_eq!(told(&next), [("a", ChangeKind::Patch, 1_000_003)]);
    let far = ledger.apply(&content(&[("a", Some(2_000_000), "on")]), at(4));
    assert_eq!(told(&far), [("a", ChangeKind::Patch, 2_000_000)]);
    assert!(!far[0].raised);
}

#[test]
fn what_comes_back_after_a_deletion_is_above_its_tombstone() {
    let mut ledger = Ledger::default();
    ledger.apply(&content(&[("a", Some(3), "on"), ("b", Some(1), "on")]), at(1));
    let gone = ledger.apply(&content(&[("b", Some(1), "on")]), at(2));
    assert_eq!(told(&gone), [("a", ChangeKind::Delete, 4)]);
    let back = ledger.apply(&content(&[("a", Some(3), "on"), ("b", Some(1), "on")]), at(3));
    assert_eq!(told(&back), [("a", ChangeKind::Create, 1_000_003)]);
}

#[test]
fn dropped_tombstones_raise_the_floor() {
    let mut ledger = Ledger::default();
    let names: Vec<String> = (0..MAX_TOMBSTONES + 5).map(|i| format!("f{i:06}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), Some(9), "on")).collect();
    ledger.apply(&content(&many), at(1));
    ledger.apply(&content(&[]), at(2));
    assert_eq!(ledger.entries.len(), MAX_TOMBSTONES);
    assert_eq!(ledger.floor, 10);
    let back = ledger.apply(&content(&[("f000000", Some(2), "on")]), at(3));
    assert_eq!(told(&back), [("f000000", ChangeKind::Create, 11)]);
}

#[test]
fn merging_takes_the_higher_version_and_archives_carry_what_is_needed() {
    let mut first = Ledger::default();
    first.apply(&content(&[("a", Some(1), "on"), ("gone", Some(1), "on"), ("plain", Some(2), "on")]), at(1));
    let now = content(&[("a", Some(1), "off"), ("plain", Some(2), "on")]);
    first.apply(&now, at(2));
    let travels = first.served_versions(&now);
    assert_eq!(travels.items.len(), 2, "{travels:?}");

    // A relay that has never seen the environment.
    let mut fresh = Ledger::default();
    assert!(fresh.merge(&travels, at(1)).is_empty());
    let changes = fresh.apply(&now, at(1));
    assert_eq!(told(&changes), [("a", ChangeKind::Patch, 1_000_002), ("plain", ChangeKind::Create, 2)]);
    // Merging again, or something older, changes nothing.
    assert!(fresh.merge(&travels, at(2)).is_empty());
    assert!(fresh.apply(&now, at(2)).is_empty());

    // A relay that serves the same content with a lower version.
    let mut lower = Ledger::default();
    lower.apply(&now, at(1));
    let risen = lower.merge(&travels, at(2));
    assert_eq!(risen.iter().map(|k| &*k.identifier).collect::<Vec<_>>(), ["a"]);
}
