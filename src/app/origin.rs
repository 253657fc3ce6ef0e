//! Where configuration comes from in this run: made once at start, then
//! handed to its tasks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::harness::{admin, load_harness, restore_shared};
use super::{StartError, offline};
use crate::config::{Config, Mode, Offline, Peer};
use crate::lifecycle::supervisor::Supervisor;
use crate::snapshot::content::EnvironmentId;
use crate::source::administration::AskAnew;
use crate::source::file;
use crate::source::file::Location;
use crate::source::file::load::Loaded;
use crate::source::harness::carrier::HarnessCarrier;
use crate::source::harness::recipe::{Keys, Recipe};
use crate::source::harness::roster::Roster;
use crate::source::harness::{proxy_credential, sdk_credential};
use crate::source::intake::{Durable, Intake};
use crate::source::intake_queue::IntakeQueue;
use crate::source::peer::carrier::PeerCarrier;
use crate::source::peer::channel::Link;
use crate::source::peer::follower::Follower;
use crate::source::peer::known;
use crate::source::peer::standing::Standing;
use crate::source::redis::own_source::Policy;
use crate::store::durable::environment::StoredContent;
use crate::store::source_status::{SourceKind, SourceStatus};
use crate::telemetry::clock::unix_now_ms;
use crate::telemetry::logging::millis;
use crate::telemetry::upstream::UpstreamCounts;
use crate::usage::Carrier;

/// The source, loaded or about to load.
pub enum Origin {
    File(Box<FileOrigin>),
    Harness(Box<HarnessOrigin>),
    Peer(Box<PeerOrigin>),
    /// What others write to Redis.
    Replica {
        name: String,
        restored: bool,
    },
}

pub struct FileOrigin {
    location: Location,
    loaded: Loaded,
    /// `None`: read once.
    reload: Option<Duration>,
}

pub struct HarnessOrigin {
    pub recipe: Recipe,
    /// What `data-dir` held of its keys; taken over already where Redis has
    /// a say.
    pub restored: Vec<StoredContent>,
}

pub struct PeerOrigin {
    follower: Follower,
    restored: bool,
}

impl Origin {
    /// Loads what there is at start.
    ///
    /// # Errors
    /// A directory or archive that cannot be served; options that make no
    /// client; a mode that does not exist yet.
    pub fn load(
        config: &Config,
        (intake, queue): (&mut Intake, &IntakeQueue),
        durable: Option<&Durable>,
        status: &SourceStatus,
        counts: &Arc<UpstreamCounts>,
    ) -> Result<Self, StartError> {
        match &config.mode {
            Mode::Offline(source) => load_file(config, source, intake, durable, status),
            Mode::ApiKeys(mode) => {
                let credentials = mode.keys.iter().map(sdk_credential).collect();
                let (keys, roster) = (mode.keys.clone(), Arc::new(Roster::new(mode.keys.len())));
                let keys = Keys::Api { keys, admin: admin(mode), roster };
                load_harness(config, keys, credentials, (intake, queue), durable, status, counts)
            }
            Mode::ProxyKey(key) => {
                let credentials = BTreeSet::from([proxy_credential(key)]);
                load_harness(config, Keys::Proxy(key.clone()), credentials, (intake, queue), durable, status, counts)
            }
            Mode::Peer(peer) => load_peer(config, peer, (intake, queue), durable, status),
            Mode::Replica => {
                let name = "Redis, as a replica".to_owned();
                status.begin(&name, unix_now_ms());
                restore_shared(intake, durable, &[])?;
                let restored = !intake.store().index().environments.is_empty();
                Ok(Origin::Replica { name, restored })
            }
        }
    }

    /// The source as logs and health call it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Origin::File(origin) => origin.location.name(),
            Origin::Harness(origin) => origin.recipe.name(),
            Origin::Peer(origin) => origin.follower.standing.name.clone(),
            Origin::Replica { name, .. } => name.clone(),
        }
    }

    /// In API-key mode: what becomes of the keys.
    #[must_use]
    pub fn roster(&self) -> Option<Arc<Roster>> {
        match self {
            Origin::Harness(origin) => match &origin.recipe.keys {
                Keys::Api { roster, .. } => Some(Arc::clone(roster)),
                Keys::Proxy(_) => None,
            },
            Origin::File(_) | Origin::Peer(_) | Origin::Replica { .. } => None,
        }
    }

    /// True if the environments of a proxy key or a leader are known from
    /// earlier.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        match self {
            Origin::Harness(origin) => matches!(origin.recipe.keys, Keys::Proxy(_)) && !origin.restored.is_empty(),
            Origin::File(_) => false,
            Origin::Peer(origin) => origin.restored,
            Origin::Replica { restored, .. } => *restored,
        }
    }

    /// Who gives the configuration, as operators call it; `None` where only
    /// imports do.
    #[must_use]
    pub fn owner(&self) -> Option<String> {
        match self {
            Origin::File(origin) if origin.loaded.environments.is_empty() => None,
            Origin::File(origin) => Some(format!("the directory or archive {}", origin.location.name())),
            Origin::Harness(_) | Origin::Peer(_) | Origin::Replica { .. } => Some(self.name()),
        }
    }

    /// How the source is asked for everything of an environment.
    #[must_use]
    pub fn ask_anew(&self) -> AskAnew {
        match self {
            // A directory is looked at all the time, or once.
            Origin::File(_) | Origin::Replica { .. } => Arc::new(|_| ()),
            Origin::Harness(origin) => {
                let engine = Arc::clone(&origin.recipe.engine);
                Arc::new(move |id| {
                    if let Some(route) = engine.route(id) {
                        route.feed.resync(Instant::now());
                    }
                })
            }
            Origin::Peer(origin) => {
                let resync = Arc::clone(&origin.follower.resync);
                Arc::new(move |id| resync.ask(id))
            }
        }
    }

    /// The way of SDK usage upstream, where there is one.
    #[must_use]
    pub fn carrier(&self) -> Option<Arc<dyn Carrier>> {
        match self {
            Origin::Harness(origin) => Some(Arc::new(HarnessCarrier { engine: Arc::clone(&origin.recipe.engine) })),
            Origin::Peer(origin) => {
                let (line, within) = (Arc::clone(&origin.follower.line), origin.follower.request_timeout);
                Some(Arc::new(PeerCarrier {
                    line,
                    within,
                    uncertain: Mutex::default(),
                    follower: Arc::clone(&origin.follower.id),
                }))
            }
            Origin::File(_) | Origin::Replica { .. } => None,
        }
    }

    /// Hands the source over to its tasks. `redis`: whoever shares a Redis
    /// with others is told by them when its own source runs.
    pub fn own_tasks(
        self,
        queue: IntakeQueue,
        background: &mut Supervisor,
        status: SourceStatus,
        stop: &CancellationToken,
        redis: bool,
    ) -> Policy {
        match self {
            Origin::File(origin) => {
                let FileOrigin { location, loaded, reload } = *origin;
                if let Some(interval) = reload {
                    let watch = file::task::run(location, queue, loaded, interval, status, stop.clone());
                    background.own("configuration watch", watch);
                }
                Policy::Directory
            }
            Origin::Peer(origin) => {
                let mut follower = origin.follower;
                follower.stop = stop.clone();
                background.own("leader", follower.run());
                Policy::Directory
            }
            Origin::Harness(origin) if redis => Policy::Primary(Box::new(origin.recipe)),
            Origin::Harness(origin) => {
                background.own("Harness", origin.recipe.run(origin.restored, stop.clone()));
                Policy::Directory
            }
            Origin::Replica { .. } => Policy::Replica,
        }
    }
}

/// The ways to the leaders, checked.
///
/// # Errors
/// An address, a token or a file cannot be used.
pub fn links(config: &Config, peer: &Peer) -> Result<Vec<Link>, StartError> {
    let link = |address: &String| Link {
        address: address.clone(),
        token: peer.token.clone(),
        ca: config.upstream.ca_bundle.clone(),
        identity: peer.tls.clone(),
        server_name: None,
        connect_timeout: config.upstream.connect_timeout,
    };
    let links: Vec<Link> = peer.addresses.iter().map(link).collect();
    for link in &links {
        link.endpoint()?;
        link.credential()?;
        if link.is_exposed() {
            tracing::warn!(
                leader = link.address,
                "peer-token goes over the network unencrypted; write https:// before the address"
            );
        }
    }
    Ok(links)
}

fn load_peer(
    config: &Config,
    peer: &Peer,
    (intake, queue): (&mut Intake, &IntakeQueue),
    durable: Option<&Durable>,
    status: &SourceStatus,
) -> Result<Origin, StartError> {
    let name = format!("the relay {}", peer.addresses.join(", then "));
    status.begin(&name, unix_now_ms());
    intake.store().note_origin_heard(0);
    intake.writer().certainty().set_asks(true);
    let known = known::restore(
        intake,
        durable,
        (crate::source::peer::CREDENTIAL, SourceKind::Peer),
        (&peer.environments, &BTreeSet::new()),
        unix_now_ms() / 1000,
    )?;
    for id in &peer.environments {
        // Asked for by name, so it is missed while it is not there.
        intake.writer().open(&EnvironmentId::new(id));
    }
    let links = links(config, peer)?;
    let restored = !known.environments().is_empty();
    let follower = Follower {
        id: Arc::from(format!("{:032x}", rand::random::<u128>())),
        links,
        wanted: peer.environments.clone(),
        queue: queue.clone(),
        standing: Standing { store: intake.store().clone(), status: status.clone(), name },
        known,
        resync: Arc::default(),
        line: Arc::default(),
        request_timeout: config.upstream.request_timeout,
        stop: CancellationToken::new(),
    };
    Ok(Origin::Peer(Box::new(PeerOrigin { follower, restored })))
}

fn load_file(
    config: &Config,
    source: &Offline,
    intake: &mut Intake,
    durable: Option<&Durable>,
    status: &SourceStatus,
) -> Result<Origin, StartError> {
    let loading = Instant::now();
    let (location, loaded) = offline::load(config, source, intake, durable)?;
    if location.archive.is_some() && !loaded.vouched {
        tracing::warn!(path = %location.name(), "the archive has no manifest, so nothing vouches for it; `ff-relay pack` makes one");
    }
    // With nothing configured, an import may still bring any key.
    let served = !intake.store().index().environments.is_empty();
    intake.writer().set_certain(served);
    status.good(&location.name(), true, unix_now_ms());
    tracing::info!(
        duration_ms = millis(loading.elapsed()),
        "configuration loaded; offline: nothing is sent out, SDK metrics are accepted and dropped"
    );
    let reload = source.reload.then_some(source.reload_interval);
    Ok(Origin::File(Box::new(FileOrigin { location, loaded, reload })))
}
