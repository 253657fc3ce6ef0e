//! The writing half of the store: sources hand in content, the store builds
//! snapshots beside the running ones and swaps them in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::environment::Environment;
use super::source_status::PausedSource;
use super::{Index, Shared};
use crate::evaluate::Warning;
use crate::snapshot::abreast;
use crate::snapshot::build::{Base, BuildError, Built, Input, build};
use crate::snapshot::content::{Content, EnvironmentId, KeyHash};
use crate::snapshot::follow::LeaderState;
use crate::snapshot::ledger::{Change, Ledger, ServedVersions};
use crate::snapshot::{Epoch, Revision, Snapshot};

/// Snapshots kept at most for those who still read them.
const MAX_RETIRED: usize = 64;

/// What outlived the process before, for one environment.
#[derive(Clone, Debug)]
pub struct Past {
    pub epoch: Epoch,
    pub sequence: u64,
    pub ledger: Ledger,
    /// See [`Snapshot::followed`].
    pub followed: bool,
}

/// One environment's content as a source gives it.
#[derive(Clone, Debug, Default)]
pub struct Offered {
    pub content: Content,
    /// Served versions that came beside it.
    pub served: Option<ServedVersions>,
    /// Set where another relay wrote it.
    pub leader: Option<LeaderState>,
    /// What it came by; under this name it is stored.
    pub credential: Arc<str>,
}

/// What a commit did to one environment.
#[derive(Debug)]
pub struct Applied {
    pub environment: EnvironmentId,
    pub revision: Revision,
    pub changes: Vec<Change>,
    /// The same allocation as before where they are the same.
    pub warnings: Arc<[Warning]>,
    /// See [`Built::narrowed`].
    pub narrowed: Vec<Arc<str>>,
}

/// Snapshots that are built and not served yet. Dropping it changes nothing.
#[derive(Debug)]
pub struct Prepared {
    built: Vec<(EnvironmentId, Built)>,
    removed: BTreeSet<EnvironmentId>,
}

impl Prepared {
    /// What was built; an environment that did not change is left out.
    pub fn built(&self) -> impl Iterator<Item = (&EnvironmentId, &Built)> {
        self.built.iter().map(|(id, built)| (id, built))
    }
}

/// Content that cannot be served, and whose.
#[derive(Debug, thiserror::Error)]
#[error("environment {environment}: {error}")]
pub struct PrepareError {
    pub environment: EnvironmentId,
    #[source]
    pub error: BuildError,
}

/// Hands snapshots to the store. There is one.
#[derive(Debug)]
pub struct StoreWriter {
    shared: Arc<Shared>,
    pasts: HashMap<EnvironmentId, Past>,
    /// Snapshots that somebody still reads: freeing a large one takes time
    /// that no request has, so the next commit does it.
    retired: Vec<Arc<Snapshot>>,
}

impl StoreWriter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        StoreWriter { shared, pasts: HashMap::new(), retired: Vec::new() }
    }

    /// Tells what outlived the process before; used by the environment's
    /// first snapshot.
    pub fn remember(&mut self, environment: EnvironmentId, past: Past) {
        self.pasts.insert(environment, past);
    }

    /// True if something is remembered of an environment.
    #[must_use]
    pub fn remembers(&self, environment: &EnvironmentId) -> bool {
        self.pasts.contains_key(environment)
    }

    /// Says whether an unknown key is known not to exist.
    pub fn set_certain(&self, certain: bool) {
        self.shared.certainty.set(certain);
    }

    /// What the store knows of unknown keys; the writer's side tells it.
    #[must_use]
    pub fn certainty(&self) -> &super::keys::KeyCertainty {
        &self.shared.certainty
    }

    /// Notes which sources are paused.
    pub fn show_paused<'a>(&self, paused: impl Iterator<Item = (&'a EnvironmentId, &'a PausedSource)>) {
        let paused: BTreeMap<_, _> = paused.map(|(id, source)| (id.clone(), source.clone())).collect();
        for (id, environment) in &self.shared.index.load().environments {
            environment.paused.store(paused.get(id).cloned().map(Arc::new));
        }
        self.shared.paused.store(Arc::new(paused));
    }

    /// Makes an environment known, without content, and gives it out.
    pub fn open(&self, id: &EnvironmentId) -> Arc<Environment> {
        if let Some(known) = self.shared.index.load().environments.get(id) {
            return Arc::clone(known);
        }
        let environment = Arc::new(Environment::new(id.clone(), self.shared.settings.max_targets));
        let current = self.shared.index.load_full();
        let mut environments = current.environments.clone();
        environments.insert(id.clone(), Arc::clone(&environment));
        self.shared.index.store(Arc::new(Index { environments, keys: current.keys.clone() }));
        environment
    }

    /// Builds what differs from now, beside what is served. Needs CPU for as
    /// long as content changed: call it where blocking is allowed.
    ///
    /// # Errors
    /// The first environment whose content cannot be served; nothing changed.
    pub fn prepare(
        &self,
        offered: BTreeMap<EnvironmentId, Offered>,
        removed: BTreeSet<EnvironmentId>,
        now_unix_s: i64,
    ) -> Result<Prepared, PrepareError> {
        let index = self.shared.index.load_full();
        let build_one = |(id, offer): (EnvironmentId, Offered)| {
            let current = index.environments.get(&id).and_then(|environment| environment.snapshot().clone());
            let input = Input {
                environment: id.clone(),
                content: offer.content,
                served: offer.served.as_ref(),
                leader: offer.leader.as_ref(),
                credential: offer.credential,
                new_epoch: Epoch(rand::random()),
                base: self.base(&id, current.as_deref()),
                now_unix_s,
                options: &self.shared.settings.compile,
            };
            // Building is pure: whatever goes wrong in it, nothing was changed.
            let built = catch_unwind(AssertUnwindSafe(|| build(input))).unwrap_or(Err(BuildError::Broken));
            match built {
                Ok(built) => Ok(built.map(|built| (id, built))),
                Err(error) => Err(PrepareError { environment: id, error }),
            }
        };
        let mut prepared = Prepared { built: Vec::new(), removed };
        for built in abreast::each(offered.into_iter().collect(), build_one) {
            prepared.built.extend(built?);
        }
        Ok(prepared)
    }

    fn base<'a>(&self, id: &EnvironmentId, current: Option<&'a Snapshot>) -> Base<'a> {
        match (current, self.pasts.get(id)) {
            (Some(snapshot), _) => Base::Snapshot(snapshot),
            (None, Some(past)) => {
                let Past { epoch, sequence, ledger, followed } = past.clone();
                Base::Ledger { epoch, sequence, ledger, followed }
            }
            (None, None) => {
                let epoch = Epoch(rand::random());
                Base::Ledger { epoch, sequence: 0, ledger: Ledger::default(), followed: false }
            }
        }
    }

    /// Swaps everything that was prepared in, keys first taken away, then
    /// given, and wakes the streams.
    pub fn commit(&mut self, prepared: Prepared) -> Vec<Applied> {
        let before = self.shared.index.load_full();
        let mut gone = Vec::new();
        for id in &prepared.removed {
            if let Some(environment) = before.environments.get(id) {
                if let Some(snapshot) = environment.snapshot().as_ref() {
                    // It may come back: its versions must then go on rising.
                    self.pasts.insert(id.clone(), past_of(snapshot));
                }
                gone.push(Arc::clone(environment));
            }
        }
        let mut applied = Vec::new();
        let mut publish = Vec::new();
        for (id, built) in prepared.built {
            let known = before.environments.get(&id).filter(|_| !prepared.removed.contains(&id));
            let environment = match known {
                Some(environment) => {
                    self.retired.extend(environment.snapshot().clone());
                    Arc::clone(environment)
                }
                None => Arc::new(Environment::new(id.clone(), self.shared.settings.max_targets)),
            };
            applied.push(Applied {
                environment: id.clone(),
                revision: built.snapshot.revision,
                changes: built.changes,
                warnings: built.warnings,
                narrowed: built.narrowed,
            });
            publish.push((environment, Arc::new(built.snapshot)));
            self.pasts.remove(&id);
        }
        let same_keys =
            gone.is_empty() && publish.iter().all(|(environment, snapshot)| has_same_keys(environment, snapshot));
        if same_keys {
            publish.into_iter().for_each(|(environment, snapshot)| environment.publish(snapshot, &self.shared.gates));
            self.shared.changed();
            self.free_retired();
            return applied;
        }
        // An environment's keys may only lead to it once it can answer.
        let fresh: HashMap<&EnvironmentId, &Snapshot> =
            publish.iter().map(|(environment, snapshot)| (&environment.id, &**snapshot)).collect();
        let mut environments = before.environments.clone();
        environments.retain(|id, _| !prepared.removed.contains(id));
        environments.extend(publish.iter().map(|(environment, _)| (environment.id.clone(), Arc::clone(environment))));
        let after = Arc::new(Index { keys: keys_of(&environments, &fresh, &before.keys), environments });
        drop(fresh);
        self.take_keys_away(&before, &after);
        for (environment, snapshot) in publish {
            environment.publish(snapshot, &self.shared.gates);
        }
        self.shared.index.store(Arc::clone(&after));
        self.shared.changed();
        gone.iter().for_each(|environment| environment.close());
        self.shared.certainty.come(after.keys.keys().filter(|key| !before.keys.contains_key(*key)));
        self.free_retired();
        applied
    }

    fn free_retired(&mut self) {
        self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        let too_many = self.retired.len().saturating_sub(MAX_RETIRED);
        self.retired.drain(..too_many);
    }
}

impl StoreWriter {
    /// Keys that are good no more lead nowhere before any stream is cut: an
    /// SDK that comes back at once is refused.
    fn take_keys_away(&self, before: &Index, after: &Index) {
        let stays = |key: &KeyHash, environment: &Arc<Environment>| {
            after.keys.get(key).is_some_and(|owner| Arc::ptr_eq(owner, environment))
        };
        let (kept, lost): (Vec<_>, Vec<_>) = before.keys.iter().partition(|(key, environment)| stays(key, environment));
        if lost.is_empty() {
            return;
        }
        self.shared.certainty.gone(lost.iter().map(|(key, _)| *key).filter(|key| !after.keys.contains_key(*key)));
        let keys = kept.into_iter().map(|(key, environment)| (*key, Arc::clone(environment))).collect();
        let stay = before.environments.iter().filter(|(id, _)| after.environments.contains_key(*id));
        let environments = stay.map(|(id, environment)| (id.clone(), Arc::clone(environment))).collect();
        self.shared.index.store(Arc::new(Index { environments, keys }));
    }
}

fn past_of(snapshot: &Snapshot) -> Past {
    Past {
        epoch: snapshot.revision.epoch,
        sequence: snapshot.revision.sequence,
        ledger: snapshot.ledger.clone(),
        followed: snapshot.followed,
    }
}

/// True if the index need not change for this snapshot.
fn has_same_keys(environment: &Environment, snapshot: &Snapshot) -> bool {
    environment.snapshot().as_ref().is_some_and(|old| old.content.key_hashes == snapshot.content.key_hashes)
}

/// A key in two environments stays where it is; a new one goes to the
/// environment whose id sorts first.
fn keys_of(
    environments: &HashMap<EnvironmentId, Arc<Environment>>,
    fresh: &HashMap<&EnvironmentId, &Snapshot>,
    before: &HashMap<KeyHash, Arc<Environment>>,
) -> HashMap<KeyHash, Arc<Environment>> {
    let mut keys: HashMap<KeyHash, Arc<Environment>> = HashMap::with_capacity(before.len());
    let sorted: BTreeMap<&EnvironmentId, &Arc<Environment>> = environments.iter().collect();
    for (id, environment) in sorted {
        let current = environment.snapshot();
        let snapshot = fresh.get(id).copied().or(current.as_deref());
        for hash in snapshot.map(|snapshot| snapshot.content.key_hashes.as_slice()).unwrap_or_default() {
            let stays = before.get(hash).is_some_and(|owner| Arc::ptr_eq(owner, environment));
            if stays {
                keys.insert(*hash, Arc::clone(environment));
            } else {
                keys.entry(*hash).or_insert_with(|| Arc::clone(environment));
            }
        }
    }
    keys
}
