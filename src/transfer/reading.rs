//! From messages to what snapshots are made of. What does not fit is an
//! error, never a guess.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::json::Json;
use crate::proto::inspect::v1 as inspect;
use crate::proto::snapshot::v1 as proto;
use crate::snapshot::content::KeyHash;
use crate::snapshot::follow::{LeaderRow, LeaderState};
use crate::snapshot::item::{Digest, Item, ItemKey, ItemKind};
use crate::snapshot::ledger::{MAX_VERSION, ServedVersions};
use crate::snapshot::{Epoch, Names, Revision};

/// Made from a message.
pub trait FromMessage<M>: Sized {
    /// # Errors
    /// What of the message does not fit.
    fn from_message(message: M) -> Result<Self, String>;
}

/// The revision of a message that must have one.
///
/// # Errors
/// It is missing, or is none.
pub fn revision_of(message: Option<inspect::Revision>) -> Result<Revision, String> {
    Revision::from_message(message.ok_or("a revision is missing")?)
}

impl FromMessage<inspect::Revision> for Revision {
    fn from_message(message: inspect::Revision) -> Result<Self, String> {
        let epoch = Epoch::parse(&message.epoch).ok_or_else(|| format!("'{}' is no epoch", message.epoch))?;
        Ok(Revision { epoch, sequence: message.sequence, digest: digest(&message.digest)? })
    }
}

fn digest(bytes: &[u8]) -> Result<Digest, String> {
    bytes.try_into().map(Digest).map_err(|_| format!("a SHA-256 has 32 bytes, and this one has {}", bytes.len()))
}

fn kind(number: i32) -> Result<ItemKind, String> {
    match proto::ItemKind::try_from(number) {
        Ok(proto::ItemKind::Flag) => Ok(ItemKind::Flag),
        Ok(proto::ItemKind::Segment) => Ok(ItemKind::Segment),
        Ok(proto::ItemKind::Target) => Ok(ItemKind::Target),
        Ok(proto::ItemKind::Unspecified) | Err(_) => Err(format!("{number} is no kind of item")),
    }
}

impl FromMessage<proto::ItemKey> for ItemKey {
    fn from_message(message: proto::ItemKey) -> Result<Self, String> {
        Ok(ItemKey { kind: kind(message.kind)?, identifier: Arc::from(message.identifier) })
    }
}

impl FromMessage<proto::Item> for Arc<Item> {
    fn from_message(message: proto::Item) -> Result<Self, String> {
        let kind = kind(message.kind)?;
        let text = std::str::from_utf8(&message.json).map_err(|_| format!("a {kind} is not UTF-8"))?;
        let json = Json::parse(text).map_err(|error| format!("a {kind} is no JSON: {}", error.what))?;
        Item::from_json(kind, &json).map(Arc::new)
    }
}

impl FromMessage<proto::KeyHashes> for Vec<KeyHash> {
    fn from_message(message: proto::KeyHashes) -> Result<Self, String> {
        message.hashes.iter().map(|hash| digest(hash)).collect()
    }
}

impl FromMessage<Option<proto::Names>> for Names {
    fn from_message(message: Option<proto::Names>) -> Result<Self, String> {
        let proto::Names { environment, project, account } = message.unwrap_or_default();
        Ok(Names { environment, project, account })
    }
}

impl FromMessage<Vec<proto::LedgerRow>> for ServedVersions {
    fn from_message(rows: Vec<proto::LedgerRow>) -> Result<Self, String> {
        let mut served = ServedVersions::default();
        for row in rows {
            let key = ItemKey::from_message(row.key.ok_or("a row names no item")?)?;
            if key.kind == ItemKind::Target || !(0..=MAX_VERSION).contains(&row.served) {
                return Err(format!("a row of {} '{}' is none of a ledger", key.kind, key.identifier));
            }
            served.items.insert(key, (row.served, row.deleted));
        }
        Ok(served)
    }
}

/// The ledger that belongs to a revision.
pub(super) fn leader_state(revision: Revision, ledger: Option<proto::Ledger>) -> Result<LeaderState, String> {
    let proto::Ledger { floor, rows, complete } = ledger.unwrap_or_default();
    let mut state = LeaderState { revision, floor, rows: BTreeMap::new(), complete };
    for row in rows {
        let key = ItemKey::from_message(row.key.ok_or("a row of the ledger names no item")?)?;
        if key.kind == ItemKind::Target {
            return Err("a row of the ledger is about a target".to_owned());
        }
        if row.sequence > revision.sequence {
            return Err(format!("the ledger's row of {} '{}' is newer than its revision", key.kind, key.identifier));
        }
        state.rows.insert(key, LeaderRow { served: row.served, sequence: row.sequence, deleted: row.deleted });
    }
    Ok(state)
}
