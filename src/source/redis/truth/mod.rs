//! The relays' own truth: one hash per environment (`redis.md`).
//!
//! | field | value |
//! |---|---|
//! | `token` | the highest lease token that ever wrote |
//! | `rev` | the revision, `epoch:sequence:digest`; missing: nothing is here |
//! | `floor` | the ledger's floor |
//! | `names` | JSON array: environment, project, account |
//! | `keys` | SHA-256 of every SDK key, 32 bytes each |
//! | `f:`, `s:`, `t:` + identifier | a flag, segment or configured target as its source wrote it |
//! | `v:f:`, `v:s:` + identifier | `served:sequence:deleted` of the ledger |

mod fields;
pub mod plan;
pub mod read;
pub mod script;

pub use fields::{field_of, key_of};

use std::collections::BTreeMap;

use crate::snapshot::content::Content;
use crate::snapshot::follow::{LeaderRow, LeaderState};
use crate::snapshot::item::ItemKey;
use crate::snapshot::ledger::ServedVersions;
use crate::snapshot::{Names, Revision};

/// What is stored of one environment.
#[derive(Clone, Debug)]
pub struct Truth {
    pub revision: Revision,
    /// The lease under which it was written or confirmed.
    pub token: u64,
    pub floor: i64,
    pub rows: BTreeMap<ItemKey, LeaderRow>,
    /// True if `rows` is the whole ledger.
    pub complete: bool,
    pub content: Content,
    pub names: Names,
}

impl Truth {
    /// What a snapshot is made of it by.
    #[must_use]
    pub fn leader(&self) -> LeaderState {
        LeaderState { revision: self.revision, floor: self.floor, rows: self.rows.clone(), complete: self.complete }
    }

    /// What an archive of it holds beside the content: versions above the
    /// source's, and tombstones.
    #[must_use]
    pub fn served_above(&self) -> ServedVersions {
        let mut served = self.served();
        for item in self.content.items() {
            let source = item.version.unwrap_or(1);
            if served.items.get(&item.key).is_some_and(|(version, deleted)| !deleted && *version <= source) {
                served.items.remove(&item.key);
            }
        }
        served
    }

    /// What was given out by whoever wrote it.
    #[must_use]
    pub fn served(&self) -> ServedVersions {
        let items = self.rows.iter().map(|(key, row)| (key.clone(), (row.served, row.deleted))).collect();
        ServedVersions { floor: self.floor, items }
    }
}
