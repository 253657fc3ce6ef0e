//! What has to be written so that the hash of an environment says what a
//! snapshot says. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fields::{FLOOR, KEYS, NAMES, field_of, row_field, write_keys, write_names, write_row};
use crate::snapshot::content::Content;
use crate::snapshot::item::{Item, ItemKey};
use crate::snapshot::{Names, Revision, Snapshot};

/// Of more names than this a follower reads everything.
const MAX_NAMED: usize = 1000;
const MAX_NAMED_BYTES: usize = 16 * 1024;

/// What a hash says, as far as this relay wrote or read it.
#[derive(Clone, Debug)]
pub struct Written {
    pub snapshot: Arc<Snapshot>,
    pub names: Names,
}

/// One write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TruthPlan {
    /// The revision that must be there; `None`: any, and everything goes
    /// that is not written here.
    pub base: Option<Revision>,
    pub set: Vec<(String, Vec<u8>)>,
    pub delete: Vec<String>,
    /// Items that changed, as followers are told; `None`: everything.
    pub named: Option<Vec<String>>,
}

impl TruthPlan {
    /// Everything.
    #[must_use]
    pub fn whole(after: &Snapshot, names: &Names) -> Self {
        let mut set = head(after, names);
        set.push((KEYS.to_owned(), write_keys(&after.content.key_hashes)));
        set.extend(all(&after.content).map(|item| (field_of(&item.key), item.text.as_bytes().to_vec())));
        let rows = after.ledger.entries.iter();
        set.extend(rows.map(|(key, entry)| (row_field(key), write_row(entry).into_bytes())));
        TruthPlan { base: None, set, delete: Vec::new(), named: None }
    }

    /// What differs.
    #[must_use]
    pub fn between(before: &Written, after: &Snapshot, names: &Names) -> Self {
        let old = &before.snapshot;
        let mut plan = TruthPlan { base: Some(old.revision), ..TruthPlan::default() };
        plan.set.extend(head(after, names));
        let mut named = Vec::new();
        if old.content.key_hashes != after.content.key_hashes {
            plan.set.push((KEYS.to_owned(), write_keys(&after.content.key_hashes)));
            named.push(KEYS.to_owned());
        }
        let mut gone: BTreeMap<&ItemKey, &Arc<Item>> = all(&old.content).map(|item| (&item.key, item)).collect();
        for item in all(&after.content) {
            let known = gone.remove(&item.key);
            if !known.is_some_and(|known| Arc::ptr_eq(known, item) || known.text == item.text) {
                plan.set.push((field_of(&item.key), item.text.as_bytes().to_vec()));
                named.push(field_of(&item.key));
            }
        }
        for key in gone.into_keys() {
            plan.delete.push(field_of(key));
            named.push(field_of(key));
        }
        for (key, entry) in &after.ledger.entries {
            let row = write_row(entry);
            if old.ledger.entries.get(key).is_none_or(|known| write_row(known) != row) {
                plan.set.push((row_field(key), row.into_bytes()));
                named.push(field_of(key));
            }
        }
        // Tombstones that were dropped.
        let dropped = old.ledger.entries.keys().filter(|key| !after.ledger.entries.contains_key(*key));
        plan.delete.extend(dropped.map(row_field));
        named.sort_unstable();
        named.dedup();
        let bytes: usize = named.iter().map(String::len).sum();
        plan.named = (named.len() <= MAX_NAMED && bytes <= MAX_NAMED_BYTES).then_some(named);
        plan
    }
}

/// What is always written.
fn head(after: &Snapshot, names: &Names) -> Vec<(String, Vec<u8>)> {
    vec![(FLOOR.to_owned(), after.ledger.floor.to_string().into_bytes()), (NAMES.to_owned(), write_names(names))]
}

fn all(content: &Content) -> impl Iterator<Item = &Arc<Item>> {
    content.items().chain(&content.targets)
}
