//! How parts of an environment are called and written in its hash.

use std::sync::Arc;

use crate::snapshot::Names;
use crate::snapshot::content::KeyHash;
use crate::snapshot::follow::LeaderRow;
use crate::snapshot::item::{Digest, ItemKey, ItemKind};
use crate::snapshot::ledger::{Entry, MAX_VERSION};

pub(super) const TOKEN: &str = "token";
pub(super) const REVISION: &str = "rev";
pub(super) const FLOOR: &str = "floor";
pub(super) const NAMES: &str = "names";
pub(super) const KEYS: &str = "keys";
pub(super) const ROW_PREFIX: &str = "v:";

/// The field of an item, which is also its name on the bus.
#[must_use]
pub fn field_of(key: &ItemKey) -> String {
    let kind = match key.kind {
        ItemKind::Flag => 'f',
        ItemKind::Segment => 's',
        ItemKind::Target => 't',
    };
    format!("{kind}:{}", key.identifier)
}

/// Reads what [`field_of`] wrote; `None` for other fields.
#[must_use]
pub fn key_of(field: &str) -> Option<ItemKey> {
    let (kind, identifier) = field.split_once(':')?;
    let kind = match kind {
        "f" => ItemKind::Flag,
        "s" => ItemKind::Segment,
        "t" => ItemKind::Target,
        _ => return None,
    };
    Some(ItemKey { kind, identifier: Arc::from(identifier) })
}

/// The field of an item's row in the ledger.
pub(super) fn row_field(key: &ItemKey) -> String {
    format!("{ROW_PREFIX}{}", field_of(key))
}

pub(super) fn write_row(entry: &Entry) -> String {
    format!("{}:{}:{}", entry.served, entry.sequence, u8::from(entry.deleted))
}

pub(super) fn read_row(text: &str) -> Option<LeaderRow> {
    let mut parts = text.split(':');
    let (served, sequence, deleted) = (parts.next()?, parts.next()?, parts.next()?);
    let served = served.parse().ok().filter(|served| (0..=MAX_VERSION).contains(served))?;
    Some(LeaderRow { served, sequence: sequence.parse().ok()?, deleted: deleted == "1" })
}

pub(super) fn write_names(names: &Names) -> Vec<u8> {
    // Three strings always are JSON.
    serde_json::to_vec(&[&names.environment, &names.project, &names.account]).unwrap_or_default()
}

pub(super) fn read_names(bytes: &[u8]) -> Names {
    let [environment, project, account] = serde_json::from_slice(bytes).unwrap_or_default();
    Names { environment, project, account }
}

pub(super) fn write_keys(hashes: &[KeyHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// `None` if it is no row of hashes.
pub(super) fn read_keys(bytes: &[u8]) -> Option<Vec<KeyHash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.iter().map(|hash| Digest(*hash)).collect())
}
