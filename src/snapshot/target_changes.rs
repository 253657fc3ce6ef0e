//! Which configured targets changed when, for followers that were away for
//! a while. The ledger knows this of flags and segments.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::content::Content;

/// Changes remembered.
const MAX_CHANGES: usize = 256;
/// Identifiers of all changes remembered.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The last changes of configured targets.
#[derive(Clone, Debug, Default)]
pub struct TargetChanges {
    changes: VecDeque<Arc<TargetChange>>,
    bytes: usize,
    /// Every change after this sequence is here.
    since: u64,
}

#[derive(Debug)]
struct TargetChange {
    sequence: u64,
    identifiers: Vec<Arc<str>>,
}

impl TargetChanges {
    /// Nothing is known of what was before.
    #[must_use]
    pub fn beginning_at(sequence: u64) -> Self {
        TargetChanges { since: sequence, ..TargetChanges::default() }
    }

    /// With the difference of two contents; `None` if there is none.
    #[must_use]
    pub fn with(&self, before: &Content, after: &Content, sequence: u64) -> Option<Self> {
        let identifiers = changed(before, after);
        if identifiers.is_empty() {
            return None;
        }
        let mut next = self.clone();
        let change = TargetChange { sequence, identifiers };
        next.bytes += change.bytes();
        next.changes.push_back(Arc::new(change));
        while next.changes.len() > MAX_CHANGES || next.bytes > MAX_BYTES {
            let Some(oldest) = next.changes.pop_front() else { break };
            next.bytes -= oldest.bytes();
            next.since = oldest.sequence;
        }
        Some(next)
    }

    /// The identifiers that changed after a sequence; `None` if that is not
    /// known.
    #[must_use]
    pub fn after(&self, sequence: u64) -> Option<BTreeSet<&Arc<str>>> {
        let newer = self.changes.iter().filter(|change| change.sequence > sequence);
        (sequence >= self.since).then(|| newer.flat_map(|change| &change.identifiers).collect())
    }
}

impl TargetChange {
    fn bytes(&self) -> usize {
        self.identifiers.iter().map(|identifier| identifier.len() + 16).sum()
    }
}

/// Both lists are sorted, and what did not change is the same allocation.
fn changed(before: &Content, after: &Content) -> Vec<Arc<str>> {
    let (mut old, mut new) = (before.targets.iter().peekable(), after.targets.iter().peekable());
    let mut identifiers = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return identifiers,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(old), Some(new)) => old.identifier().cmp(new.identifier()),
        };
        let a = if order.is_le() { old.next() } else { None };
        let b = if order.is_ge() { new.next() } else { None };
        match (a, b) {
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) || a.digest == b.digest => {}
            (Some(item), _) | (None, Some(item)) => identifiers.push(Arc::clone(&item.key.identifier)),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::json::Json;
    use crate::snapshot::item::{Item, ItemKind};

    fn content(targets: &[(&str, u32)]) -> Content {
        let item = |(identifier, age): &(&str, u32)| {
            let text = format!("{{\"identifier\":\"{identifier}\",\"age\":{age}}}");
            Arc::new(Item::from_json(ItemKind::Target, &Json::parse(&text).unwrap()).unwrap())
        };
        Content::new(targets.iter().map(item).collect(), Vec::new()).unwrap()
    }

    #[test]
    fn changes_are_known_for_a_while() {
        let states = [content(&[("a", 1), ("b", 1)]), content(&[("b", 2), ("c", 1)])];
        let names = |changes: &TargetChanges, after| {
            changes.after(after).map(|set| set.into_iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let mut changes = TargetChanges::beginning_at(5);
        assert!(changes.with(&states[0], &states[0], 6).is_none());
        changes = changes.with(&states[0], &states[1], 6).unwrap();
        assert_eq!(names(&changes, 5).unwrap(), ["a", "b", "c"]);
        assert_eq!(names(&changes, 6).unwrap(), Vec::<String>::new());
        assert_eq!(names(&changes, 4), None);
        for (i, sequence) in (0..300).zip(7_u64..) {
            let (before, after) = (&states[(i + 1) % 2], &states[i % 2]);
            changes = changes.with(before, after, sequence).unwrap();
        }
        assert_eq!(changes.changes.len(), MAX_CHANGES);
        assert!(changes.after(6).is_none() && changes.after(6 + 300 - 256).is_some());
    }
}
