//! The ledger of a relay that follows another: the leader's sequences, the
//! higher of both served versions, and the moments at which things changed
//! here.

use std::collections::BTreeMap;

use super::Revision;
use super::content::Content;
use super::item::{Item, ItemKey};
use super::ledger::{Change, ChangeKind, Entry, Ledger, Moment, ServedVersions, contains};

/// A leader's state of one environment, beside the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderState {
    /// The state that the content leads to; its digest must come out.
    pub revision: Revision,
    pub floor: i64,
    /// Served versions: of everything, or of what changed.
    pub rows: BTreeMap<ItemKey, LeaderRow>,
    /// True if `rows` is the whole ledger.
    pub complete: bool,
}

/// A leader's served version of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderRow {
    pub served: i64,
    pub sequence: u64,
    pub deleted: bool,
}

impl Ledger {
    /// Takes content over from a leader and says what changed here. A served
    /// version never falls: where this relay gave out a higher one, that one
    /// stays, and changed content gets one above it.
    pub fn follow(&mut self, content: &Content, leader: &LeaderState, now_unix_s: i64) -> Vec<Change> {
        let now = Moment { unix_s: now_unix_s, sequence: leader.revision.sequence };
        let mut changes = Vec::new();
        for item in content.items() {
            changes.extend(self.follow_item(item, leader.rows.get(&item.key), leader.complete, now));
        }
        for (key, entry) in &mut self.entries {
            if !entry.deleted && !contains(content, key) {
                let row = leader.rows.get(key);
                entry.served = row.map_or(0, |row| row.served).max(entry.served.saturating_add(1));
                (entry.digest, entry.deleted, entry.changed_at) = (None, true, now.unix_s);
                entry.sequence = row.map_or(now.sequence, |row| row.sequence);
                changes.push(Change {
                    key: key.clone(),
                    kind: ChangeKind::Delete,
                    version: entry.served,
                    raised: false,
                });
            }
        }
        for (key, row) in leader.rows.iter().filter(|(_, row)| row.deleted) {
            changes.extend(self.follow_tombstone(key, row, leader.complete, now));
        }
        self.floor = self.floor.max(leader.floor);
        self.drop_old_tombstones();
        changes
    }

    fn follow_item(&mut self, item: &Item, row: Option<&LeaderRow>, complete: bool, now: Moment) -> Option<Change> {
        let source = item.version.unwrap_or(1);
        let (theirs, sequence) = row.map_or((source, now.sequence), |row| (row.served.max(source), row.sequence));
        let known = self.entries.get_mut(&item.key);
        let (kind, served) = match known {
            Some(entry) if entry.digest == Some(item.digest) && !entry.deleted => {
                // Rows that a delta leaves out have not changed.
                if row.is_some() || complete {
                    entry.sequence = sequence;
                }
                if row.is_none() || theirs <= entry.served {
                    return None;
                }
                (ChangeKind::Patch, theirs)
            }
            Some(entry) => {
                let kind = if entry.deleted { ChangeKind::Create } else { ChangeKind::Patch };
                // One that was known by its version alone may be this very content.
                let above = if entry.digest.is_none() && !entry.deleted { entry.served } else { entry.raised(now) };
                (kind, if theirs > entry.served { theirs } else { theirs.max(above) })
            }
            None if self.floor > 0 => (ChangeKind::Create, theirs.max(self.floor.saturating_add(1))),
            None => (ChangeKind::Create, theirs),
        };
        let entry = Entry { sequence, ..Entry::live(served, item.digest, now) };
        self.entries.insert(item.key.clone(), entry);
        Some(Change { key: item.key.clone(), kind, version: served, raised: served > source })
    }

    /// An SDK that moved here may know an item that never was here.
    fn follow_tombstone(&mut self, key: &ItemKey, row: &LeaderRow, complete: bool, now: Moment) -> Option<Change> {
        match self.entries.get_mut(key) {
            Some(entry) if entry.deleted => {
                (entry.served, entry.sequence) = (entry.served.max(row.served), row.sequence);
                None
            }
            // It is in the content: the leader contradicts itself, and content wins.
            Some(_) => None,
            None => {
                let (served, sequence) = (row.served, row.sequence);
                let entry = Entry { served, digest: None, sequence, changed_at: now.unix_s, deleted: true };
                self.entries.insert(key.clone(), entry);
                let change = Change { key: key.clone(), kind: ChangeKind::Delete, version: served, raised: false };
                // Of a whole ledger most are old.
                (!complete).then_some(change)
            }
        }
    }

    /// Rows that were given out here above what a leader has.
    #[must_use]
    pub fn above(&self, leader: &BTreeMap<ItemKey, LeaderRow>) -> ServedVersions {
        const MOST: usize = 5000;
        let higher = |(key, row): (&ItemKey, &LeaderRow)| {
            let entry = self.entries.get(key).filter(|entry| entry.served > row.served)?;
            Some((key.clone(), (entry.served, entry.deleted)))
        };
        ServedVersions { floor: 0, items: leader.iter().filter_map(higher).take(MOST).collect() }
    }

    /// Every row, as a follower needs it.
    #[must_use]
    pub fn rows_since(&self, sequence: Option<u64>) -> BTreeMap<ItemKey, LeaderRow> {
        let newer = |entry: &Entry| sequence.is_none_or(|sequence| entry.sequence > sequence);
        let row = |entry: &Entry| LeaderRow { served: entry.served, sequence: entry.sequence, deleted: entry.deleted };
        self.entries.iter().filter(|(_, entry)| newer(entry)).map(|(key, entry)| (key.clone(), row(entry))).collect()
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
