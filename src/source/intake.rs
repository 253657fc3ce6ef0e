//! The one way from a source into the store: build, swap, note for the disk,
//! and say once what an operator should know.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::ItemKey;
use crate::snapshot::ledger::ChangeKind;
use crate::store::Store;
use crate::store::durable::DataDir;
use crate::store::durable::persister::Pending;
use crate::store::writer::{Applied, Offered, PrepareError, StoreWriter};

/// Warnings of one environment that are logged one by one; the rest is a
/// number.
const WARNINGS_LOGGED: usize = 20;

/// What outlives the process, seen from the intake.
#[derive(Clone, Debug)]
pub struct Durable {
    pub directory: Arc<DataDir>,
    pub pending: Arc<Pending>,
}

/// The store's writing half with what belongs to every swap.
#[derive(Debug)]
pub struct Intake {
    store: Store,
    writer: StoreWriter,
    durable: Option<Durable>,
    /// Bounded by the number of items that ever lived here.
    warned_versions: HashSet<(EnvironmentId, ItemKey)>,
    warned: HashSet<(EnvironmentId, String)>,
}

impl Intake {
    #[must_use]
    pub fn new(store: Store, writer: StoreWriter, durable: Option<Durable>) -> Self {
        Intake { store, writer, durable, warned_versions: HashSet::new(), warned: HashSet::new() }
    }

    #[must_use]
    pub fn writer(&mut self) -> &mut StoreWriter {
        &mut self.writer
    }

    /// The store that is written.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Builds and swaps in. Needs CPU: call it where blocking is allowed.
    /// `credential` says under what an environment's content is stored.
    ///
    /// # Errors
    /// Content that cannot be served; nothing changed.
    pub fn swap_in(
        &mut self,
        offered: BTreeMap<EnvironmentId, Offered>,
        removed: BTreeSet<EnvironmentId>,
        credential: &dyn Fn(&EnvironmentId) -> Arc<str>,
        now_unix_s: i64,
    ) -> Result<(), PrepareError> {
        for id in &removed {
            tracing::warn!(environment = %id, "environment removed: its source no longer has it; its streams are closed");
        }
        let unknown: Vec<EnvironmentId> = offered.keys().filter(|id| !self.is_served(id)).cloned().collect();
        unknown.iter().for_each(|id| self.recall(id));
        let gone = removed.clone();
        let prepared = self.writer.prepare(offered, removed, now_unix_s)?;
        let applied = self.writer.commit(prepared);
        unknown.iter().for_each(|id| self.recall_targets(id));
        if let Some(durable) = &self.durable {
            let changed = applied.iter().map(|applied| &applied.environment);
            changed.chain(&gone).for_each(|id| durable.pending.note(id, &credential(id)));
        }
        for applied in applied {
            self.announce(&applied);
        }
        Ok(())
    }

    fn is_served(&self, id: &EnvironmentId) -> bool {
        self.store.index().environment(id.as_str()).is_some_and(|environment| environment.snapshot().is_some())
    }

    /// Reads what an earlier life knew of an environment that is new here.
    fn recall(&mut self, id: &EnvironmentId) {
        let Some(durable) = &self.durable else { return };
        if self.writer.remembers(id) {
            return;
        }
        match durable.directory.read_past(id) {
            Ok(Some(past)) => self.writer.remember(id.clone(), past),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(environment = %id, %error, "the ledger of served versions is lost; versions go on by the clock");
            }
        }
    }

    fn recall_targets(&self, id: &EnvironmentId) {
        if let Some(durable) = &self.durable
            && let Some(environment) = self.store.index().environment(id.as_str())
            && let Err(error) = durable.directory.restore_targets(id, &environment.targets)
        {
            tracing::error!(environment = %id, %error, "stored targets are lost; SDKs bring them again when they authenticate");
        }
    }

    fn announce(&mut self, applied: &Applied) {
        let id = &applied.environment;
        let count = |kind| applied.changes.iter().filter(|change| change.kind == kind).count();
        tracing::debug!(
            environment = %id,
            sequence = applied.revision.sequence,
            created = count(ChangeKind::Create),
            changed = count(ChangeKind::Patch),
            deleted = count(ChangeKind::Delete),
            "environment changed"
        );
        for change in applied.changes.iter().filter(|change| change.raised && change.kind == ChangeKind::Patch) {
            if self.warned_versions.insert((id.clone(), change.key.clone())) {
                tracing::warn!(
                    environment = %id,
                    item = %format_args!("{} '{}'", change.key.kind, change.key.identifier),
                    served_version = change.version,
                    "content changed without a higher version, so a higher one is served; raise `version` with every change"
                );
            }
        }
        let narrowed = applied.narrowed.iter().map(|segment| {
            format!(
                "segment \"{segment}\" has serving rules of several clauses; SDKs that do not ask for rules=v2 \
                 cannot be told them and see the segment without"
            )
        });
        let fresh: Vec<String> = applied
            .warnings
            .iter()
            .map(ToString::to_string)
            .chain(narrowed)
            .filter(|text| self.warned.insert((id.clone(), text.clone())))
            .collect();
        for text in fresh.iter().take(WARNINGS_LOGGED) {
            tracing::warn!(environment = %id, "{text}");
        }
        if fresh.len() > WARNINGS_LOGGED {
            let more = fresh.len() - WARNINGS_LOGGED;
            tracing::warn!(environment = %id, more, "further warnings; `ff-relay verify` lists them all");
        }
    }
}
