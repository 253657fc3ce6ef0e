//! A leader's side: from a snapshot to what a follower needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::proto::inspect::v1 as inspect;
use crate::proto::snapshot::v1 as proto;
use crate::snapshot::content::find;
use crate::snapshot::follow::LeaderRow;
use crate::snapshot::item::{Item, ItemKey, ItemKind};
use crate::snapshot::ledger::ServedVersions;
use crate::snapshot::{Names, Revision, Snapshot};

/// A revision as a message.
#[must_use]
pub fn write_revision(revision: &Revision) -> inspect::Revision {
    inspect::Revision {
        epoch: revision.epoch.to_string(),
        sequence: revision.sequence,
        digest: revision.digest.0.to_vec(),
    }
}

/// An item's name as a message.
#[must_use]
pub fn write_item_key(key: &ItemKey) -> proto::ItemKey {
    proto::ItemKey { kind: write_kind(key.kind).into(), identifier: key.identifier.to_string() }
}

fn write_kind(kind: ItemKind) -> proto::ItemKind {
    match kind {
        ItemKind::Flag => proto::ItemKind::Flag,
        ItemKind::Segment => proto::ItemKind::Segment,
        ItemKind::Target => proto::ItemKind::Target,
    }
}

/// The shortest update that leads a follower to this state. `known` is what
/// it has; `None` asks for everything.
#[must_use]
pub fn update_for(snapshot: &Snapshot, names: &Names, known: Option<&Revision>) -> proto::EnvironmentUpdate {
    use proto::environment_update::Change;
    let to = &snapshot.revision;
    let change = match known {
        Some(known) if known.digest == to.digest => {
            let same = known == to;
            let rows = if same { BTreeMap::new() } else { snapshot.ledger.rows_since(None) };
            Change::Unchanged(proto::Unchanged {
                revision: Some(write_revision(to)),
                ledger: Some(write_ledger(snapshot, &rows, !same)),
                names: Some(write_names(names)),
            })
        }
        Some(known)
            if known.epoch == to.epoch
                && known.sequence < to.sequence
                && known.sequence >= snapshot.ledger.forgotten_sequence =>
        {
            Change::Delta(delta(snapshot, names, known))
        }
        _ => Change::FullState(proto::FullState {
            revision: Some(write_revision(to)),
            items: snapshot.content.items().chain(&snapshot.content.targets).map(write_item).collect(),
            key_hashes: Some(write_key_hashes(snapshot)),
            ledger: Some(write_ledger(snapshot, &snapshot.ledger.rows_since(None), true)),
            names: Some(write_names(names)),
        }),
    };
    proto::EnvironmentUpdate { change: Some(change) }
}

fn delta(snapshot: &Snapshot, names: &Names, known: &Revision) -> proto::Delta {
    let (content, ledger) = (&snapshot.content, &snapshot.ledger);
    let rows = ledger.rows_since(Some(known.sequence));
    let (mut upserts, mut removals) = (Vec::new(), Vec::new());
    for key in rows.keys() {
        let items = if key.kind == ItemKind::Flag { &content.flags } else { &content.segments };
        match find(items, &key.identifier) {
            Some(item) => upserts.push(write_item(item)),
            None => removals.push(write_item_key(key)),
        }
    }
    let targets_changed = ledger.targets_sequence > known.sequence;
    let changed = snapshot.target_changes.after(known.sequence);
    let all_targets = targets_changed && changed.is_none();
    if all_targets {
        upserts.extend(content.targets.iter().map(write_item));
    } else if targets_changed {
        for identifier in changed.into_iter().flatten() {
            match find(&content.targets, identifier) {
                Some(item) => upserts.push(write_item(item)),
                None => removals
                    .push(write_item_key(&ItemKey { kind: ItemKind::Target, identifier: Arc::clone(identifier) })),
            }
        }
    }
    proto::Delta {
        from: Some(write_revision(known)),
        to: Some(write_revision(&snapshot.revision)),
        upserts,
        removals,
        key_hashes: (ledger.keys_sequence > known.sequence).then(|| write_key_hashes(snapshot)),
        all_targets,
        ledger: Some(write_ledger(snapshot, &rows, false)),
        names: Some(write_names(names)),
    }
}

fn write_item(item: &Arc<Item>) -> proto::Item {
    proto::Item { kind: write_kind(item.key.kind).into(), json: item.text.as_bytes().to_vec() }
}

fn write_key_hashes(snapshot: &Snapshot) -> proto::KeyHashes {
    proto::KeyHashes { hashes: snapshot.content.key_hashes.iter().map(|hash| hash.0.to_vec()).collect() }
}

fn write_ledger(snapshot: &Snapshot, rows: &BTreeMap<ItemKey, LeaderRow>, complete: bool) -> proto::Ledger {
    let row = |(key, row): (&ItemKey, &LeaderRow)| proto::LedgerRow {
        key: Some(write_item_key(key)),
        served: row.served,
        sequence: row.sequence,
        deleted: row.deleted,
    };
    proto::Ledger { floor: snapshot.ledger.floor, rows: rows.iter().map(row).collect(), complete }
}

/// Served versions as rows of a message.
#[must_use]
pub fn write_served(served: &ServedVersions) -> Vec<proto::LedgerRow> {
    let row = |(key, (version, deleted)): (&ItemKey, &(i64, bool))| proto::LedgerRow {
        key: Some(write_item_key(key)),
        served: *version,
        sequence: 0,
        deleted: *deleted,
    };
    served.items.iter().map(row).collect()
}

fn write_names(names: &Names) -> proto::Names {
    proto::Names {
        environment: names.environment.clone(),
        project: names.project.clone(),
        account: names.account.clone(),
    }
}
