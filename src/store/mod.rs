//! What is served now: the current snapshot of every environment, swapped
//! atomically; who may log in where; stored targets; and what outlives the
//! process. Readers never lock. Who holds the [`StoreWriter`] may change it.

pub mod administration;
pub mod durable;
pub mod environment;
pub mod gate;
pub mod keys;
pub mod peers;
pub mod redis_state;
pub mod source_status;
pub mod streams;
pub mod sync_state;
pub mod targets;
pub mod writer;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use sha2::{Digest as _, Sha256};
use tokio::sync::{broadcast, watch};

use crate::evaluate::CompileOptions;
use crate::snapshot::content::{EnvironmentId, KeyHash};
use crate::snapshot::item::Digest;
use environment::Environment;
use gate::GateTimes;
use keys::KeyCertainty;
use peers::Peers;
use redis_state::RedisState;
use source_status::PausedSource;
use streams::OpenStreams;
use targets::StoredTarget;
use writer::StoreWriter;

/// Bounds and rules that hold for all environments.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    pub compile: CompileOptions,
    /// Stored targets per environment.
    pub max_targets: usize,
}

/// Learnt targets that a follower may be behind.
const LEARNT_AHEAD: usize = 4096;

/// A target that an SDK brought.
#[derive(Clone, Debug)]
pub struct Learnt {
    pub environment: EnvironmentId,
    pub target: Arc<StoredTarget>,
    /// The follower whose SDK it was; "" for one of this relay's own.
    pub from: Arc<str>,
}

/// Which environments there are and which keys lead to them. Immutable:
/// replaced as a whole.
#[derive(Debug, Default)]
pub struct Index {
    pub environments: HashMap<EnvironmentId, Arc<Environment>>,
    pub keys: HashMap<KeyHash, Arc<Environment>>,
}

impl Index {
    #[must_use]
    pub fn environment(&self, id: &str) -> Option<&Arc<Environment>> {
        self.environments.get(id)
    }

    #[must_use]
    pub fn environment_of_key(&self, hash: &KeyHash) -> Option<&Arc<Environment>> {
        self.keys.get(hash)
    }

    /// True if every environment has been loaded, but for those whose key
    /// upstream refuses. Until then an unknown key may be one of theirs.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.environments.values().all(|environment| environment.snapshot().is_some() || environment.is_refused())
    }

    /// Every environment, sorted by id.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Arc<Environment>> {
        let mut all: Vec<_> = self.environments.values().collect();
        all.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Over everything that is served: for each environment that has a
    /// snapshot, sorted by id, the id, NUL and the digest. Equal digests,
    /// equal content.
    #[must_use]
    pub fn content_digest(&self) -> Digest {
        let mut whole = Sha256::new();
        for environment in self.sorted() {
            if let Some(snapshot) = environment.snapshot().as_ref() {
                whole.update(environment.id.as_str());
                whole.update([0]);
                whole.update(snapshot.revision.digest.0);
            }
        }
        Digest(whole.finalize().into())
    }
}

#[derive(Debug)]
struct Shared {
    index: ArcSwap<Index>,
    certainty: KeyCertainty,
    settings: StoreSettings,
    peers: Arc<Peers>,
    gates: Arc<GateTimes>,
    changes: watch::Sender<u64>,
    paused: ArcSwap<BTreeMap<EnvironmentId, PausedSource>>,
    streams: Arc<OpenStreams>,
    learnt: broadcast::Sender<Learnt>,
    /// When a relay with a source of its own was last heard of, Unix
    /// milliseconds; `None` where this is one.
    origin_heard: watch::Sender<Option<i64>>,
    redis: ArcSwapOption<RedisState>,
}

impl Shared {
    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// The reading half.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// An empty store. The writing half is handed out once, here.
    #[must_use]
    pub fn new(settings: StoreSettings) -> (Store, StoreWriter) {
        let shared = Arc::new(Shared {
            index: ArcSwap::default(),
            certainty: KeyCertainty::default(),
            settings,
            peers: Arc::default(),
            gates: Arc::default(),
            changes: watch::Sender::new(0),
            paused: ArcSwap::default(),
            learnt: broadcast::Sender::new(LEARNT_AHEAD),
            origin_heard: watch::Sender::new(None),
            streams: Arc::default(),
            redis: ArcSwapOption::empty(),
        });
        (Store { shared: Arc::clone(&shared) }, StoreWriter::new(shared))
    }

    /// The current index, without a lock. Hold it briefly.
    #[must_use]
    pub fn index(&self) -> Guard<Arc<Index>> {
        self.shared.index.load()
    }

    /// True if what is unknown now does certainly not exist, seen from a
    /// question that came then.
    #[must_use]
    pub fn is_certain(&self, arrival: keys::Arrival) -> bool {
        self.shared.certainty.is_certain(arrival) && self.index().is_complete()
    }

    /// Environments whose source is paused by an import.
    #[must_use]
    pub fn paused(&self) -> Arc<BTreeMap<EnvironmentId, PausedSource>> {
        self.shared.paused.load_full()
    }

    /// Takes a target that an SDK brought, here or to a relay that follows
    /// this one (`from`), and lets followers know.
    pub fn learn(&self, environment: &Arc<Environment>, stored: StoredTarget, from: &str) {
        let target = Arc::new(stored);
        if environment.targets.put(Arc::clone(&target)) && self.shared.learnt.receiver_count() > 0 {
            let (environment, from) = (environment.id.clone(), Arc::from(from));
            // Who left meanwhile need not know.
            let _ = self.shared.learnt.send(Learnt { environment, target, from });
        }
    }

    /// Notes when the relay at the head of the chain was last heard of. Who
    /// follows tells it.
    pub fn note_origin_heard(&self, unix_ms: i64) {
        self.shared.origin_heard.send_if_modified(|known| {
            let newer = known.is_none_or(|known| unix_ms > known);
            if newer {
                *known = Some(unix_ms);
            }
            newer
        });
    }

    /// When the relay at the head of the chain was last heard of; `None`
    /// where this is it.
    #[must_use]
    pub fn origin_heard(&self) -> watch::Receiver<Option<i64>> {
        self.shared.origin_heard.subscribe()
    }

    /// Targets that are learnt from now on. Who is slow misses some: SDKs
    /// bring them again.
    #[must_use]
    pub fn learnt(&self) -> broadcast::Receiver<Learnt> {
        self.shared.learnt.subscribe()
    }

    /// Counts swaps: who follows the store looks again when it changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// The gates of environments that other relays follow.
    #[must_use]
    pub fn gates(&self) -> &Arc<GateTimes> {
        &self.shared.gates
    }

    /// The other relays.
    #[must_use]
    pub fn peers(&self) -> &Arc<Peers> {
        &self.shared.peers
    }

    /// How Redis is doing; `None` without it.
    #[must_use]
    pub fn redis(&self) -> Option<Arc<RedisState>> {
        self.shared.redis.load_full()
    }

    /// Notes how Redis is doing. Who speaks to it tells it.
    pub fn note_redis(&self, change: impl FnOnce(&mut RedisState)) {
        let mut state = self.redis().map(|state| (*state).clone()).unwrap_or_default();
        change(&mut state);
        self.shared.redis.store(Some(Arc::new(state)));
    }

    /// The SDK streams that are open.
    #[must_use]
    pub fn streams(&self) -> &Arc<OpenStreams> {
        &self.shared.streams
    }

    /// How sure the relay is of its key list.
    #[must_use]
    pub fn certainty(&self) -> &KeyCertainty {
        &self.shared.certainty
    }
}
