//! The one task that deals with the other relays: takes what the leader
//! wrote, or leads and writes itself, and goes from one to the other.

mod compare;
mod gates;
mod go;
mod go_health;
mod hear;
mod keys;
mod mirror;
mod pauses;
mod put;
mod roles;
mod standing;
mod take;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::keeper::{Keeper, Known, Nudge};
use super::keys::{go as go_keys, own};
use super::lease::{Lease, Says};
use super::link::Link;
use super::own_source::Policy;
use super::reader::{Entry, From, Heard, Reader};
use super::truth::plan::Written;
use super::usage::receiver::Receiver;
use crate::snapshot::Revision;
use crate::snapshot::content::EnvironmentId;
use crate::source::intake_queue::IntakeQueue;
use crate::store::Store;
use crate::store::redis_state::RedisRole;
use crate::store::source_status::SourceStatus;
use crate::store::sync_state::StreamState;
use gates::Gates;
use go::GoSide;
use hear::RecentTargets;
use keys::{Answers, Questions};
use pauses::SharedPauses;
use take::Pending;
use trouble::Troubles;

/// Everything is compared at this interval, and after every reconnect.
const COMPARE_EVERY: Duration = Duration::from_secs(5);

/// Signs of life, and small things that are looked at again.
const TICK: Duration = Duration::from_secs(1);

/// Entries of streams that wait.
const AHEAD: usize = 64;

/// What a member is made of.
pub struct MemberParts {
    pub link: Link,
    pub lease: Lease,
    pub policy: Policy,
    pub queue: IntakeQueue,
    pub store: Store,
    pub status: SourceStatus,
    /// Told whenever the role changes.
    pub role: watch::Sender<RedisRole>,
    /// For operators and other relays: host and port.
    pub name: String,
    /// Takes what other relays send while this one leads; `None` where there
    /// is no upstream.
    pub receiver: Option<Receiver>,
}

/// The task's state.
pub struct Member {
    parts: MemberParts,
    role: RedisRole,
    /// The lease's token, while this relay leads.
    token: u64,
    known: watch::Receiver<Known>,
    nudge: Nudge,
    says: watch::Sender<Says>,
    /// The bus is read, without a gap since the last comparison.
    reads: bool,
    /// Everything was compared since the link was lost last.
    compared: bool,
    next_compare: Instant,
    pending: BTreeMap<EnvironmentId, Pending>,
    /// What Redis has of each environment, as far as this relay wrote or
    /// took it.
    written: BTreeMap<EnvironmentId, Written>,
    /// Served otherwise than the own source has it; shown again when that is
    /// in sync.
    overridden: BTreeSet<EnvironmentId>,
    gates: Gates,
    questions: Questions,
    answers: Answers,
    /// The own source while it runs.
    source: Option<Running>,
    /// The receiver while it runs.
    receiving: Option<Running>,
    /// Targets that were heard of before their environments were known.
    early_targets: Vec<Entry>,
    /// What is known of Go proxies on the same Redis.
    go: GoSide,
    /// What Go replicas were told of the upstream stream.
    told_go: Option<StreamState>,
    pauses: SharedPauses,
    /// Withdrawn by whoever led, as last read.
    gone: BTreeSet<EnvironmentId>,
    /// The lease under which what was taken was written or confirmed.
    tokens: BTreeMap<EnvironmentId, u64>,
    /// What Redis had when this relay was left alone.
    alone_from: BTreeMap<EnvironmentId, Revision>,
    /// When this relay began to lead.
    led_since: Instant,
    /// Targets that were heard of lately, while another relay led or none.
    recent_targets: RecentTargets,
    next_mirrors: Instant,
    /// Where looking at mirrors goes on.
    mirrors_from: Option<EnvironmentId>,
    troubles: Troubles,
    /// Environments written since the start.
    puts: u64,
    /// Up to where the bus was heard and dealt with.
    position: String,
    tasks: JoinSet<()>,
}

impl Member {
    #[must_use]
    pub fn new(parts: MemberParts) -> Self {
        let (known, says) = (watch::Sender::new(Known::default()), watch::Sender::new(Says::default()));
        let nudge = Nudge::default();
        let mut tasks = JoinSet::new();
        let heard = known.subscribe();
        tasks.spawn(
            Keeper {
                lease: parts.lease.clone(),
                takes: parts.policy.leads(),
                says: says.subscribe(),
                nudge: nudge.clone(),
                known,
            }
            .run(),
        );
        Member {
            role: RedisRole::Undecided,
            token: 0,
            known: heard,
            nudge,
            says,
            reads: false,
            compared: false,
            next_compare: Instant::now() + COMPARE_EVERY,
            pending: BTreeMap::new(),
            written: BTreeMap::new(),
            overridden: BTreeSet::new(),
            gates: Gates::default(),
            questions: Questions::default(),
            answers: Answers::default(),
            source: None,
            receiving: None,
            early_targets: Vec::new(),
            go: GoSide::default(),
            told_go: None,
            troubles: Troubles::default(),
            puts: 0,
            pauses: SharedPauses::default(),
            gone: BTreeSet::new(),
            tokens: BTreeMap::new(),
            alone_from: BTreeMap::new(),
            led_since: Instant::now(),
            recent_targets: RecentTargets::default(),
            next_mirrors: Instant::now(),
            mirrors_from: None,
            position: "0-0".to_owned(),
            tasks,
            parts,
        }
    }

    /// Until told to stop; then what is not written is written, and the
    /// lease given back.
    pub async fn run(mut self, stop: CancellationToken) {
        let (heard, mut hearing) = mpsc::channel(AHEAD);
        let streams = vec![
            (own::BUS, From::Now),
            (own::ACKS, From::Now),
            (own::TARGETS, From::Oldest),
            (own::LARGE_TARGETS, From::Oldest),
        ];
        self.tasks.spawn(Reader { link: self.parts.link.clone(), streams, heard }.run());
        let (heard_go, mut hearing_go) = mpsc::channel(AHEAD);
        let streams = vec![(go_keys::EVENTS, From::Now)];
        self.tasks.spawn(Reader { link: self.parts.link.clone(), streams, heard: heard_go }.run());
        let (store, link) = (self.parts.store.clone(), self.parts.link.clone());
        self.tasks.spawn(super::targets::share(store, link, self.parts.lease.id.clone()));
        self.begin();
        let store = self.parts.store.clone();
        let mut changes = store.changes();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let (writes, follows, follows_go) = (self.writes(), self.follows(), self.follows_go());
            let (compare_at, pending_at) = (self.next_compare, self.pending_at());
            let go_at = self.go_due().filter(|_| follows_go || (writes && self.go.is_alone()));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = self.known.changed() => self.change_role().await,
                heard = hearing.recv() => match heard {
                    Some(heard) => self.hear(heard).await,
                    None => break,
                },
                _ = changes.changed(), if writes => self.put_changes().await,
                answer = self.answers.next(), if writes => self.answer(answer).await,
                () = tokio::time::sleep_until(pending_at.into()), if follows && !self.pending.is_empty() => self.take_pending().await,
                () = tokio::time::sleep_until(compare_at.into()) => self.compare().await,
                Some(heard) = hearing_go.recv() => if let Heard::Entries { entries, .. } = heard {
                    self.hear_go(&entries).await;
                },
                () = tokio::time::sleep_until(go_at.unwrap_or(compare_at).into()), if go_at.is_some() => self.read_due().await,
                () = store.certainty().asked(), if follows || follows_go => self.ask().await,
                _ = tick.tick() => self.tick().await,
                // None of them ends by itself: one has panicked.
                Some(ended) = self.tasks.join_next() => {
                    tracing::error!(?ended, "a part of what relays share in Redis failed");
                    return;
                }
                () = ended(&mut self.receiving) => {
                    tracing::error!("receiving SDK metrics of other relays ended");
                    return;
                }
                () = ended(&mut self.source) => {
                    tracing::error!("the synchronisation with the own source ended");
                    return;
                }
            }
        }
        self.end().await;
    }

    /// True while it has the lease, whatever it writes.
    fn writes(&self) -> bool {
        self.token != 0
    }

    /// True while it serves what another relay wrote.
    fn follows(&self) -> bool {
        matches!(self.role, RedisRole::StandsBy | RedisRole::Replica) && self.parts.policy.follows()
    }
}

/// A task that runs while this relay has a role.
type Running = (CancellationToken, tokio::task::JoinHandle<()>);

async fn ended(running: &mut Option<Running>) {
    match running {
        // How it ended the join handle says; that it did is enough here.
        Some((_, task)) => drop(task.await),
        None => std::future::pending().await,
    }
}

/// Runs calls side by side, a few at a time, and gives their answers in any
/// order.
async fn side_by_side<T: Send>(calls: Vec<BoxFuture<'_, T>>, at_once: usize) -> Vec<T> {
    use futures_util::StreamExt as _;
    futures_util::stream::iter(calls).buffer_unordered(at_once).collect().await
}

/// The identifier of another relay in the gates of environments. Followers
/// over gRPC have small numbers.
fn gate_number(relay: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    relay.hash(&mut hasher);
    hasher.finish() | 1 << 63
}

/// Shared by the parts of the member: what is served of an environment.
type Served = Arc<crate::snapshot::Snapshot>;
