//! The ledger of served versions: what makes versions only ever rise, and
//! what a reconnecting SDK may have missed (`http-api.md`, "Versions").

use std::collections::BTreeMap;
use std::sync::Arc;

use super::content::Content;
use super::difference::difference;
use super::item::{Digest, Item, ItemKey};

/// Tombstones kept per environment; older ones raise the floor.
pub const MAX_TOMBSTONES: usize = 10_000;

/// The highest served version that is taken from elsewhere: JavaScript reads
/// no larger whole number than twice that, and it must be able to rise.
pub const MAX_VERSION: i64 = 1 << 52;

/// 2024-01-01T00:00:00Z in Unix seconds: the zero of versions by the clock.
const VERSION_CLOCK_ZERO: i64 = 1_704_067_200;

/// What the ledger knows of one flag or segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The version SDKs were last given. For a deleted item: the version of
    /// its deletion.
    pub served: i64,
    /// Digest of the source item that was served; `None` if only the served
    /// version is known (it came with an archive).
    pub digest: Option<Digest>,
    /// The environment's sequence of the last change.
    pub sequence: u64,
    /// Unix seconds of the last change.
    pub changed_at: i64,
    pub deleted: bool,
}

/// What happened to an item between two snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Create,
    Patch,
    Delete,
}

impl ChangeKind {
    /// The `event` of SDK stream messages.
    #[must_use]
    pub fn event(self) -> &'static str {
        match self {
            ChangeKind::Create => "create",
            ChangeKind::Patch => "patch",
            ChangeKind::Delete => "delete",
        }
    }
}

/// One row of the difference between two snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: ItemKey,
    pub kind: ChangeKind,
    /// The version that SDKs are told.
    pub version: i64,
    /// True if the served version had to be raised above the source's.
    pub raised: bool,
}

/// Served versions of one environment. Bounded: live items and the newest
/// [`MAX_TOMBSTONES`] deleted ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    pub entries: BTreeMap<ItemKey, Entry>,
    /// Items that are not in `entries` start above this version.
    pub floor: i64,
    /// Where the ledger was made without knowing what was served before:
    /// the sequence and content digest of that first moment.
    pub origin: Option<Origin>,
    /// The sequence of the last change of key hashes.
    pub keys_sequence: u64,
    /// The sequence of the last change of configured targets.
    pub targets_sequence: u64,
    /// Unix seconds of the last change of epoch here; 0 if there was none.
    /// What an SDK was told under another epoch its token does not say.
    pub switched_at: i64,
    /// The newest sequence of a tombstone that was dropped.
    pub forgotten_sequence: u64,
}

/// The start of a ledger that knew nothing of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub sequence: u64,
    pub digest: Digest,
}

/// When a change is applied: passed in, never read from a clock.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub unix_s: i64,
    pub sequence: u64,
}

impl Ledger {
    /// Unix seconds of the newest change it knows; `None` if it knows none.
    #[must_use]
    pub fn changed_at(&self) -> Option<i64> {
        self.entries.values().map(|entry| entry.changed_at).max()
    }

    /// Takes new content into account and says what changed.
    pub fn apply(&mut self, content: &Content, now: Moment) -> Vec<Change> {
        let mut changes = Vec::new();
        for item in content.items() {
            if let Some(change) = self.apply_item(item, now) {
                changes.push(change);
            }
        }
        for (key, entry) in &mut self.entries {
            if !entry.deleted && !contains(content, key) {
                changes.push(entry.delete(key, now));
            }
        }
        self.drop_old_tombstones();
        changes
    }

    /// As [`Ledger::apply`], for a ledger that was last applied to `before`:
    /// looks at what differs alone.
    pub fn apply_difference(&mut self, before: &Content, content: &Content, now: Moment) -> Vec<Change> {
        let rows = difference(&before.flags, &content.flags).chain(difference(&before.segments, &content.segments));
        let (mut changes, mut gone) = (Vec::new(), Vec::new());
        for row in rows {
            match (row.now, row.before) {
                (Some(item), _) => changes.extend(self.apply_item(item, now)),
                (None, Some(item)) => gone.push(&item.key),
                (None, None) => {}
            }
        }
        for key in &gone {
            if let Some(entry) = self.entries.get_mut(*key).filter(|entry| !entry.deleted) {
                changes.push(entry.delete(key, now));
            }
        }
        if !gone.is_empty() {
            self.drop_old_tombstones();
        }
        changes
    }

    fn apply_item(&mut self, item: &Arc<Item>, now: Moment) -> Option<Change> {
        let source = item.version.unwrap_or(1);
        let Some(entry) = self.entries.get_mut(&item.key) else {
            let served = if self.floor > 0 { source.max(self.floor.saturating_add(1)) } else { source };
            self.entries.insert(item.key.clone(), Entry::live(served, item.digest, now));
            return Some(Change {
                key: item.key.clone(),
                kind: ChangeKind::Create,
                version: served,
                raised: served > source,
            });
        };
        let kind = if entry.deleted { ChangeKind::Create } else { ChangeKind::Patch };
        let served = match entry.digest {
            Some(digest) if digest == item.digest && !entry.deleted => return None,
            // Only the served version of this very content was known.
            None if !entry.deleted => source.max(entry.served),
            Some(_) if !entry.deleted && source > entry.served => source,
            _ => source.max(entry.raised(now)),
        };
        *entry = Entry::live(served, item.digest, now);
        Some(Change { key: item.key.clone(), kind, version: served, raised: served > source })
    }

    /// Merges served versions that another relay gave out; the higher one
    /// wins. Items whose version rises here count as changed at `now`.
    /// Returns the keys that rose and are alive.
    pub fn merge(&mut self, other: &ServedVersions, now: Moment) -> Vec<ItemKey> {
        let mut risen = Vec::new();
        self.floor = self.floor.max(other.floor);
        for (key, &(served, deleted)) in &other.items {
            match self.entries.get_mut(key) {
                Some(entry) if entry.served >= served => {}
                Some(entry) => {
                    (entry.served, entry.sequence, entry.changed_at) = (served, now.sequence, now.unix_s);
                    if !entry.deleted {
                        risen.push(key.clone());
                    }
                }
                None => {
                    let entry = Entry { served, digest: None, sequence: now.sequence, changed_at: now.unix_s, deleted };
                    self.entries.insert(key.clone(), entry);
                }
            }
        }
        self.drop_old_tombstones();
        risen
    }

    /// What travels beside content: versions above the source's, tombstones
    /// and the floor.
    #[must_use]
    pub fn served_versions(&self, content: &Content) -> ServedVersions {
        let source: BTreeMap<&ItemKey, i64> =
            content.items().map(|item| (&item.key, item.version.unwrap_or(1))).collect();
        let above = |key: &ItemKey, entry: &Entry| entry.deleted || source.get(key).is_none_or(|v| entry.served > *v);
        let items = self.entries.iter().filter(|(key, entry)| above(key, entry));
        ServedVersions {
            floor: self.floor,
            items: items.map(|(key, e)| (key.clone(), (e.served, e.deleted))).collect(),
        }
    }

    /// The version an item is served with; its source's if unknown here.
    #[must_use]
    pub fn served(&self, item: &Item) -> i64 {
        self.entries.get(&item.key).map_or_else(|| item.version.unwrap_or(1), |entry| entry.served)
    }

    pub(super) fn drop_old_tombstones(&mut self) {
        let mut tombstones: Vec<(u64, &ItemKey)> =
            self.entries.iter().filter(|(_, e)| e.deleted).map(|(key, e)| (e.sequence, key)).collect();
        if tombstones.len() <= MAX_TOMBSTONES {
            return;
        }
        tombstones.sort_unstable();
        tombstones.truncate(tombstones.len() - MAX_TOMBSTONES);
        let old: Vec<ItemKey> = tombstones.into_iter().map(|(_, key)| key.clone()).collect();
        for key in old {
            if let Some(entry) = self.entries.remove(&key) {
                self.floor = self.floor.max(entry.served);
                self.forgotten_sequence = self.forgotten_sequence.max(entry.sequence);
            }
        }
    }
}

impl Entry {
    fn delete(&mut self, key: &ItemKey, now: Moment) -> Change {
        self.served = self.served.saturating_add(1);
        (self.digest, self.deleted) = (None, true);
        (self.sequence, self.changed_at) = (now.sequence, now.unix_s);
        Change { key: key.clone(), kind: ChangeKind::Delete, version: self.served, raised: false }
    }

    /// The version above everything that was served, here and, by the clock,
    /// by others.
    pub(super) fn raised(&self, now: Moment) -> i64 {
        self.served.saturating_add(1).max(now.unix_s - VERSION_CLOCK_ZERO)
    }

    pub(super) fn live(served: i64, digest: Digest, now: Moment) -> Self {
        Entry { served, digest: Some(digest), sequence: now.sequence, changed_at: now.unix_s, deleted: false }
    }
}

/// `ledger.json` of an archive or directory: served versions without
/// sequences or times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedVersions {
    pub floor: i64,
    /// Served version, and whether it is a tombstone.
    pub items: BTreeMap<ItemKey, (i64, bool)>,
}

impl ServedVersions {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.floor == 0 && self.items.is_empty()
    }
}

pub(super) fn contains(content: &Content, key: &ItemKey) -> bool {
    use super::content::find;
    use super::item::ItemKind;
    match key.kind {
        ItemKind::Flag => find(&content.flags, &key.identifier).is_some(),
        ItemKind::Segment => find(&content.segments, &key.identifier).is_some(),
        ItemKind::Target => false,
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
