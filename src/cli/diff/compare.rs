//! Two configurations side by side: pure, by digests first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::members::{Change, generic};
use super::{flag, segment, target};
use crate::snapshot::content::{Content, EnvironmentId, KeyHash};
use crate::snapshot::item::{Item, ItemKind};

/// Everything that differs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    pub equal: bool,
    /// Only those that differ.
    pub environments: Vec<EnvironmentDifference>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    Added,
    Changed,
    Removed,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentDifference {
    pub id: String,
    pub outcome: Outcome,
    pub items: Vec<ItemDifference>,
    /// Enough of each hash to tell it from others.
    pub key_hashes_added: Vec<String>,
    pub key_hashes_removed: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemDifference {
    pub kind: &'static str,
    pub identifier: String,
    pub outcome: Outcome,
    /// For one that was changed.
    pub changes: Vec<Change>,
}

/// What `after` has that `before` has not, and the other way round.
pub(super) fn difference(
    before: &BTreeMap<EnvironmentId, Content>,
    after: &BTreeMap<EnvironmentId, Content>,
) -> Difference {
    let ids: BTreeSet<&EnvironmentId> = before.keys().chain(after.keys()).collect();
    let nothing = Content::default();
    let mut environments = Vec::new();
    for id in ids {
        let (outcome, old, new) = match (before.get(id), after.get(id)) {
            (Some(old), Some(new)) if old.digest() == new.digest() => continue,
            (Some(old), Some(new)) => (Outcome::Changed, old, new),
            (Some(old), None) => (Outcome::Removed, old, &nothing),
            (None, new) => (Outcome::Added, &nothing, new.unwrap_or(&nothing)),
        };
        let lists = [
            (ItemKind::Flag, &old.flags, &new.flags),
            (ItemKind::Segment, &old.segments, &new.segments),
            (ItemKind::Target, &old.targets, &new.targets),
        ];
        environments.push(EnvironmentDifference {
            id: id.to_string(),
            outcome,
            items: lists.into_iter().flat_map(|(kind, old, new)| items(kind, old, new)).collect(),
            key_hashes_added: without(&new.key_hashes, &old.key_hashes),
            key_hashes_removed: without(&old.key_hashes, &new.key_hashes),
        });
    }
    Difference { equal: environments.is_empty(), environments }
}

fn without(hashes: &[KeyHash], others: &[KeyHash]) -> Vec<String> {
    let missing = hashes.iter().filter(|hash| others.binary_search(hash).is_err());
    missing.map(|hash| format!("{:.12}", hash.to_string())).collect()
}

fn items(kind: ItemKind, old: &[Arc<Item>], new: &[Arc<Item>]) -> Vec<ItemDifference> {
    let by_identifier = |items: &[Arc<Item>]| -> BTreeMap<String, Arc<Item>> {
        items.iter().map(|item| (item.identifier().to_owned(), Arc::clone(item))).collect()
    };
    let (old, new) = (by_identifier(old), by_identifier(new));
    let identifiers: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut differing = Vec::new();
    for identifier in identifiers {
        let (outcome, changes) = match (old.get(identifier), new.get(identifier)) {
            (Some(a), Some(b)) if a.digest == b.digest => continue,
            (Some(a), Some(b)) => (Outcome::Changed, changes(kind, a, b)),
            (Some(_), None) => (Outcome::Removed, Vec::new()),
            (None, _) => (Outcome::Added, Vec::new()),
        };
        let word = match kind {
            ItemKind::Flag => "flag",
            ItemKind::Segment => "segment",
            ItemKind::Target => "target",
        };
        differing.push(ItemDifference { kind: word, identifier: identifier.clone(), outcome, changes });
    }
    differing
}

/// What differs between two states of an item; never empty.
#[must_use]
pub fn changes(kind: ItemKind, before: &Item, after: &Item) -> Vec<Change> {
    let parse = |item: &Item| serde_json::from_str::<Value>(&item.text).unwrap_or_default();
    let (before, after) = (parse(before), parse(after));
    let mut changes = match kind {
        ItemKind::Flag => flag::changes(&before, &after),
        ItemKind::Segment => segment::changes(&before, &after),
        ItemKind::Target => target::changes(&before, &after),
    };
    let known = match kind {
        ItemKind::Flag => flag::MEMBERS,
        ItemKind::Segment => segment::MEMBERS,
        ItemKind::Target => target::MEMBERS,
    };
    changes.extend(generic(&before, &after, known));
    if changes.is_empty() {
        changes.push(Change::new("order", "the order of a list differs, or how a number is written", None, None));
    }
    changes
}
