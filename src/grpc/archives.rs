//! Archives of what is served, made once while nothing changes: for exports
//! over gRPC and for `GET /relay/latest-all`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;

use super::spool::{Spool, Spooling};
use super::status::{About, status};
use crate::fault::Fault;
use crate::snapshot::archive::{Compression, Contents, write};
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::ledger::ServedVersions;
use crate::snapshot::tree::Part;
use crate::snapshot::{Epoch, Revision, Snapshot};
use crate::store::Store;
use crate::store::environment::Environment;
use crate::store::targets::StoredTarget;

/// Who made an archive.
pub const PRODUCER: &str = concat!("ff-relay ", env!("CARGO_PKG_VERSION"));

/// Transfers at once.
const MAX_TRANSFERS: usize = 4;

/// Archives kept for the next one who asks.
const KEPT: u64 = 4;

/// How long nobody asks before one is forgotten.
const KEPT_FOR: Duration = Duration::from_secs(15 * 60);

/// Why there is no archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub fault: Fault,
    pub message: String,
    /// The request field, or the environment, that it is about.
    pub field: Option<&'static str>,
    pub environment: Option<String>,
}

impl Refused {
    #[must_use]
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Refused { fault, message: message.into(), field: None, environment: None }
    }

    #[must_use]
    pub fn field(name: &'static str, message: impl Into<String>) -> Self {
        Refused { field: Some(name), ..Refused::new(Fault::InvalidField, message) }
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let about = match (refused.field, &refused.environment) {
            (Some(field), _) => About::Field(field),
            (None, Some(name)) => About::Resource { kind: "environment", name },
            (None, None) => About::Nothing,
        };
        status(refused.fault, &refused.message, about)
    }
}

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Ids; none means all that were ever synced.
    pub environments: BTreeSet<String>,
    pub parts: BTreeSet<Part>,
    pub learnt: bool,
    pub compression: Compression,
}

impl Selection {
    /// Everything, in the parts and the compression that offline mode takes.
    #[must_use]
    pub fn everything() -> Self {
        let parts = Part::ALL.into();
        Selection { environments: BTreeSet::new(), parts, learnt: false, compression: Compression::Gzip }
    }
}

/// A finished archive.
#[derive(Debug)]
pub struct Archive {
    pub spool: Spool,
    pub created_at: SystemTime,
    /// Sorted by id.
    pub environments: Vec<(EnvironmentId, Revision)>,
    pub selection: Selection,
}

/// Equal keys, equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    parts: BTreeSet<Part>,
    compression: Compression,
    /// With the place of the snapshot in this process: one revision may be
    /// served with other versions later.
    environments: Vec<(EnvironmentId, Epoch, u64)>,
}

/// One of the few places for transfers, given back when dropped.
#[derive(Debug)]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// Makes archives and lends places for sending them.
#[derive(Debug)]
pub struct Archives {
    store: Store,
    /// Where large ones are spooled.
    place: PathBuf,
    /// True if something is being fetched, so that what was never synced may
    /// be soon.
    fetches: bool,
    slots: Arc<Semaphore>,
    newest: Cache<Key, Arc<Archive>>,
    /// Transfers end with it.
    pub stop: CancellationToken,
    pub transfers: TaskTracker,
}

impl Archives {
    /// `place`: the data directory, if there is one.
    #[must_use]
    pub fn new(store: Store, place: Option<PathBuf>, fetches: bool, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Archives {
            store,
            place: place.unwrap_or_else(std::env::temp_dir),
            fetches,
            slots: Arc::new(Semaphore::new(MAX_TRANSFERS)),
            newest: Cache::builder().max_capacity(KEPT).time_to_idle(KEPT_FOR).build(),
            stop,
            transfers: TaskTracker::new(),
        })
    }

    /// A place for one transfer, from making the archive to its last byte.
    ///
    /// # Errors
    /// All are taken, or the relay is shutting down.
    pub fn slot(&self) -> Result<Slot, Refused> {
        if self.stop.is_cancelled() {
            return Err(Refused::new(Fault::Draining, "the relay is shutting down; ask another one"));
        }
        let permit = Arc::clone(&self.slots).try_acquire_owned();
        permit.map(|permit| Slot { _permit: permit }).map_err(|_| {
            let message = format!("{MAX_TRANSFERS} exports are running; try again when one has ended");
            Refused::new(Fault::TooManyStreams, message)
        })
    }

    /// The archive of what is served now. Goes on being made, and is there
    /// for the next one who asks, if this is not waited for.
    ///
    /// # Errors
    /// An environment that is not served or never was synced; a full disk.
    pub async fn archive(self: Arc<Self>, selection: Selection) -> Result<Arc<Archive>, Refused> {
        let chosen = self.choose(&selection)?;
        let made = tokio::task::spawn_blocking(move || self.make(selection, &chosen));
        made.await.unwrap_or_else(|_| Err(Refused::new(Fault::Internal, "the archive could not be made")))
    }

    fn choose(&self, selection: &Selection) -> Result<Vec<Chosen>, Refused> {
        let index = self.store.index();
        let mut chosen = Vec::new();
        if selection.environments.is_empty() {
            let all = index.sorted();
            chosen.extend(all.iter().filter_map(|environment| Chosen::of(environment)));
            if chosen.is_empty() {
                let comes = self.fetches && (all.is_empty() || all.iter().any(|environment| !environment.is_refused()));
                return Err(never_synced(comes, "no environment was synced yet"));
            }
            return Ok(chosen);
        }
        for id in &selection.environments {
            let Some(environment) = index.environment(id) else {
                let message = format!("environment '{id}' is not served here; ListEnvironments gives the ids");
                let refused = Refused::new(Fault::EnvironmentNotFound, message);
                return Err(Refused { environment: Some(id.clone()), ..refused });
            };
            let comes = self.fetches && !environment.is_refused();
            let never = || never_synced(comes, &format!("environment '{id}' was never synced"));
            chosen.push(Chosen::of(environment).ok_or_else(never)?);
        }
        Ok(chosen)
    }

    fn make(&self, selection: Selection, chosen: &[Chosen]) -> Result<Arc<Archive>, Refused> {
        if selection.learnt {
            // Personal data is not kept, and it changes without a sequence.
            return self.build(selection, chosen);
        }
        let revision = |it: &Chosen| (it.id().clone(), it.snapshot.revision.epoch, it.snapshot.place);
        let key = Key {
            parts: selection.parts.clone(),
            compression: selection.compression,
            environments: chosen.iter().map(revision).collect(),
        };
        // Who asks for the same meanwhile waits for this one.
        self.newest.try_get_with(key, || self.build(selection, chosen)).map_err(|refused| Refused::clone(&refused))
    }

    fn build(&self, selection: Selection, chosen: &[Chosen]) -> Result<Arc<Archive>, Refused> {
        let learnt: Vec<Vec<Arc<StoredTarget>>> =
            chosen.iter().filter(|_| selection.learnt).map(Chosen::learnt).collect();
        let with_learnt = || chosen.iter().zip(&learnt).map(|(it, targets)| (it.id(), texts(targets))).collect();
        let contents = Contents {
            environments: chosen.iter().map(|it| (it.id(), &it.snapshot.content)).collect(),
            served: chosen.iter().map(|it| (it.id().clone(), it.served())).collect(),
            parts: selection.parts.clone(),
            learnt: selection.learnt.then(with_learnt),
        };
        let mut spooling = Spooling::new(&self.place);
        write(&contents, selection.compression, &mut spooling).map_err(|error| {
            tracing::error!(place = %self.place.display(), %error, "an archive could not be written down");
            let message = format!("the archive could not be written down before it is sent: {error}; make room");
            Refused::new(Fault::PersistFailed, message)
        })?;
        let spool = spooling.finish();
        let environments = chosen.iter().map(|it| (it.id().clone(), it.snapshot.revision)).collect();
        Ok(Arc::new(Archive { spool, created_at: SystemTime::now(), environments, selection }))
    }
}

fn texts(targets: &[Arc<StoredTarget>]) -> Vec<&str> {
    targets.iter().map(|target| &*target.json).collect()
}

fn never_synced(comes: bool, what: &str) -> Refused {
    if comes {
        Refused::new(Fault::NeverSynced, format!("{what}; its first sync is under way, try again"))
    } else {
        Refused::new(Fault::NothingSynced, format!("{what}; see ListEnvironments for why"))
    }
}

/// An environment at the moment it was chosen.
struct Chosen {
    environment: Arc<Environment>,
    snapshot: Arc<Snapshot>,
}

impl Chosen {
    fn of(environment: &Arc<Environment>) -> Option<Self> {
        let snapshot = environment.snapshot().clone()?;
        Some(Chosen { environment: Arc::clone(environment), snapshot })
    }

    fn id(&self) -> &EnvironmentId {
        &self.environment.id
    }

    fn served(&self) -> ServedVersions {
        self.snapshot.ledger.served_versions(&self.snapshot.content)
    }

    fn learnt(&self) -> Vec<Arc<StoredTarget>> {
        let mut targets = self.environment.targets.all();
        targets.sort_unstable_by(|a, b| a.target.identifier.cmp(&b.target.identifier));
        targets
    }
}
