//! What an import did, or would do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::snapshot::Revision;
use crate::snapshot::archive::Tree;
use crate::snapshot::content::{Content, EnvironmentId, find};
use crate::snapshot::item::{Digest, Item, ItemKey, ItemKind};
use crate::snapshot::ledger::ChangeKind;
use crate::source::intake::Ready;
use crate::store::Store;
use crate::store::administration::{EnvironmentOutcome, EnvironmentReport, ImportReport};

/// What was served before.
pub struct Before {
    pub digest: Digest,
    pub contents: BTreeMap<EnvironmentId, Content>,
    revisions: BTreeMap<EnvironmentId, Revision>,
}

impl Before {
    #[must_use]
    pub fn of(store: &Store) -> Self {
        let mut before =
            Before { digest: store.index().content_digest(), contents: BTreeMap::new(), revisions: BTreeMap::new() };
        for environment in store.index().environments.values() {
            if let Some(snapshot) = environment.snapshot().as_ref() {
                before.contents.insert(environment.id.clone(), snapshot.content.clone());
                before.revisions.insert(environment.id.clone(), snapshot.revision);
            }
        }
        before
    }
}

/// Compares before and after.
pub fn of(
    before: &Before,
    after: &BTreeMap<EnvironmentId, Content>,
    ready: &Ready,
    tree: &Tree,
    removed: &BTreeSet<EnvironmentId>,
) -> ImportReport {
    let empty = Content::default();
    let mut report = ImportReport::default();
    let touched: BTreeSet<&EnvironmentId> = tree.environments.keys().chain(removed).collect();
    for id in touched {
        let (old, new) = (before.contents.get(id), after.get(id));
        let (a, b) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
        let items = differences(a, b);
        let lacks = |hashes: &[Digest], others: &[Digest]| {
            hashes.iter().filter(|hash| others.binary_search(hash).is_err()).count()
        };
        let count = |kind| items.iter().filter(|(_, it)| *it == kind).count();
        let key_hashes_added = lacks(&b.key_hashes, &a.key_hashes);
        let key_hashes_removed = lacks(&a.key_hashes, &b.key_hashes);
        let outcome = match (old, new) {
            (None, _) => EnvironmentOutcome::Added,
            (Some(_), None) => EnvironmentOutcome::Removed,
            (Some(_), Some(_)) if items.is_empty() && key_hashes_added + key_hashes_removed == 0 => {
                EnvironmentOutcome::Unchanged
            }
            (Some(_), Some(_)) => EnvironmentOutcome::Changed,
        };
        report.environments.push(EnvironmentReport {
            id: id.clone(),
            outcome,
            before: before.revisions.get(id).copied(),
            after: None,
            added: count(ChangeKind::Create),
            changed: count(ChangeKind::Patch),
            removed: count(ChangeKind::Delete),
            items,
            key_hashes_added,
            key_hashes_removed,
            source_paused: false,
        });
    }
    for (id, built) in ready.prepared.built() {
        if built.snapshot.content.key_hashes.is_empty() {
            report.warnings.push(format!("environment {id}: no key hash, so no SDK can authenticate to it"));
        }
        report.warnings.extend(built.warnings.iter().map(|warning| format!("environment {id}: {warning}")));
    }
    report
}

/// Notes what is served now.
pub fn add_revisions(report: &mut ImportReport, store: &Store) {
    let index = store.index();
    for environment in &mut report.environments {
        let cell = index.environment(environment.id.as_str());
        environment.after = cell.and_then(|cell| cell.snapshot().as_ref().map(|snapshot| snapshot.revision));
    }
}

fn differences(before: &Content, after: &Content) -> Vec<(ItemKey, ChangeKind)> {
    let mut changes = Vec::new();
    for kind in [ItemKind::Flag, ItemKind::Segment, ItemKind::Target] {
        let (old, new) = (of_kind(before, kind), of_kind(after, kind));
        for item in new {
            match find(old, item.identifier()) {
                None => changes.push((item.key.clone(), ChangeKind::Create)),
                Some(known) if known.digest != item.digest => changes.push((item.key.clone(), ChangeKind::Patch)),
                Some(_) => {}
            }
        }
        let gone = old.iter().filter(|item| find(new, item.identifier()).is_none());
        changes.extend(gone.map(|item| (item.key.clone(), ChangeKind::Delete)));
    }
    changes
}

fn of_kind(content: &Content, kind: ItemKind) -> &[Arc<Item>] {
    match kind {
        ItemKind::Flag => &content.flags,
        ItemKind::Segment => &content.segments,
        ItemKind::Target => &content.targets,
    }
}
