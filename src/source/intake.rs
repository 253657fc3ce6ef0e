//! The one way from a source into the store: build, swap, note for the disk,
//! and say once what an operator should know.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::pause::Pause;
use crate::evaluate::Warning;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::ItemKey;
use crate::snapshot::ledger::{ChangeKind, ServedVersions};
use crate::store::Store;
use crate::store::durable::DataDir;
use crate::store::durable::persister::Pending;
use crate::store::source_status::SourceKind;
use crate::store::writer::{Applied, Offered, PrepareError, Prepared, StoreWriter};
use crate::telemetry::clock::unix_now_s;

/// Warnings of one environment that are logged one by one; the rest is a
/// number.
const WARNINGS_LOGGED: usize = 20;

/// What outlives the process, seen from the intake.
#[derive(Clone, Debug)]
pub struct Durable {
    pub directory: Arc<DataDir>,
    pub pending: Arc<Pending>,
}

/// Snapshots that are built, with what belongs to swapping them in.
#[derive(Debug)]
pub(super) struct Ready {
    pub prepared: Prepared,
    environments: Vec<EnvironmentId>,
    /// Not served before.
    fresh: Vec<EnvironmentId>,
    /// Those that go, and under which credential they were stored.
    pub gone: Vec<(EnvironmentId, Arc<str>)>,
}

/// What a source brings.
#[derive(Debug)]
pub struct Delivery {
    pub kind: SourceKind,
    pub offered: BTreeMap<EnvironmentId, Offered>,
    /// Environments that it no longer has.
    pub removed: BTreeSet<EnvironmentId>,
}

impl Delivery {
    /// These environments, and none that went.
    #[must_use]
    pub fn of(kind: SourceKind, offered: BTreeMap<EnvironmentId, Offered>) -> Self {
        Delivery { kind, offered, removed: BTreeSet::new() }
    }
}

/// The store's writing half with what belongs to every swap.
#[derive(Debug)]
pub struct Intake {
    store: Store,
    pub(super) writer: StoreWriter,
    pub(super) durable: Option<Durable>,
    pub(super) paused: BTreeMap<EnvironmentId, Pause>,
    /// Bounded by the number of items that ever lived here.
    warned_versions: HashSet<(EnvironmentId, ItemKey)>,
    warned: HashSet<(EnvironmentId, String)>,
    /// The warnings that were gone through last: mostly they stay the same.
    gone_through: HashMap<EnvironmentId, Arc<[Warning]>>,
}

impl Intake {
    #[must_use]
    pub fn new(store: Store, writer: StoreWriter, durable: Option<Durable>) -> Self {
        Intake {
            store,
            writer,
            durable,
            paused: BTreeMap::new(),
            warned_versions: HashSet::new(),
            warned: HashSet::new(),
            gone_through: HashMap::new(),
        }
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

    /// Builds and swaps in what a source brings; what an import has paused is
    /// kept for later. Needs CPU: call it where blocking is allowed.
    ///
    /// # Errors
    /// Content that cannot be served; nothing changed.
    pub fn swap_in(&mut self, mut delivery: Delivery, now_unix_s: i64) -> Result<(), PrepareError> {
        self.withhold(&mut delivery);
        for id in delivery.removed.iter().filter(|id| self.is_served(id)) {
            tracing::warn!(environment = %id, "environment removed: its source no longer has it; its streams are closed");
        }
        let prepared = self.prepare(delivery.offered, delivery.removed, now_unix_s)?;
        self.commit(prepared, delivery.kind, true);
        Ok(())
    }

    /// Builds beside what is served.
    pub(super) fn prepare(
        &mut self,
        offered: BTreeMap<EnvironmentId, Offered>,
        removed: BTreeSet<EnvironmentId>,
        now_unix_s: i64,
    ) -> Result<Ready, PrepareError> {
        let environments: Vec<EnvironmentId> = offered.keys().cloned().collect();
        let fresh: Vec<EnvironmentId> = environments.iter().filter(|id| !self.is_served(id)).cloned().collect();
        fresh.iter().for_each(|id| self.recall(id));
        let index = self.store.index();
        let stored = |id: &EnvironmentId| {
            let environment = index.environment(id.as_str())?;
            let credential = environment.snapshot().as_ref().map(|snapshot| Arc::clone(&snapshot.credential));
            Some((id.clone(), credential?))
        };
        let gone = removed.iter().filter_map(stored).collect();
        drop(index);
        let prepared = self.writer.prepare(offered, removed, now_unix_s)?;
        Ok(Ready { prepared, environments, fresh, gone })
    }

    /// Swaps in. `note`: what changed still has to be written.
    pub(super) fn commit(&mut self, ready: Ready, kind: SourceKind, note: bool) -> Vec<Applied> {
        let applied = self.writer.commit(ready.prepared);
        ready.fresh.iter().for_each(|id| self.recall_targets(id));
        let index = self.store.index();
        for environment in ready.environments.iter().filter_map(|id| index.environment(id.as_str())) {
            if **environment.source.load() != kind {
                environment.source.store(Arc::new(kind));
            }
        }
        drop(index);
        if let Some(durable) = self.durable.as_ref().filter(|_| note) {
            let none = Arc::from("");
            applied.iter().for_each(|applied| durable.pending.note(&applied.environment, &none));
            ready.gone.iter().for_each(|(id, credential)| durable.pending.note(id, credential));
        }
        applied.iter().for_each(|applied| self.announce(applied));
        applied
    }

    /// See [`Administrator::learn_served`](crate::store::administration::Administrator::learn_served).
    pub fn learn_served(&mut self, id: &EnvironmentId, served: ServedVersions) {
        let environment = self.store.index().environment(id.as_str()).cloned();
        let Some(environment) = environment else { return };
        // The versions of what another relay wrote are that relay's to raise.
        let Some(snapshot) = environment.snapshot().clone().filter(|snapshot| !snapshot.followed) else { return };
        let offered = Offered {
            content: snapshot.content.clone(),
            served: Some(served),
            credential: Arc::clone(&snapshot.credential),
            leader: None,
        };
        let kind = **environment.source.load();
        match self.prepare(BTreeMap::from([(id.clone(), offered)]), BTreeSet::new(), unix_now_s()) {
            Ok(ready) => drop(self.commit(ready, kind, true)),
            Err(error) => tracing::error!(%error, "versions that a follower gave out could not be taken over"),
        }
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
            Ok(Some(stored)) => self.writer.remember(id.clone(), stored.past),
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
        let before = self.gone_through.insert(id.clone(), Arc::clone(&applied.warnings));
        let same = before.is_some_and(|before| Arc::ptr_eq(&before, &applied.warnings));
        let warnings = if same { &[] } else { &*applied.warnings };
        let fresh: Vec<String> = warnings
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
