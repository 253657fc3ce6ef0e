//! Compares what is served with what Redis has, environment by environment,
//! and does what follows. Words on the bus only make it faster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures_util::FutureExt as _;

use super::trouble::Part;
use super::{COMPARE_EVERY, Member, side_by_side};
use crate::snapshot::Revision;
use crate::snapshot::content::EnvironmentId;
use crate::source::redis::decide::{Ours, Stance, Step, decide};
use crate::source::redis::keys::own;
use crate::source::redis::link::{Failure, Link};
use crate::source::redis::truth::read;
use crate::store::environment::Environment;
use crate::store::redis_state::RedisRole;
use crate::store::source_status::SourceKind;
use crate::telemetry::clock::unix_now_ms;

/// Questions to Redis that are under way at once; they share a connection.
const AT_ONCE: usize = 64;

/// What Redis has of all environments.
pub(super) struct There {
    /// Registered as being there.
    pub live: BTreeSet<EnvironmentId>,
    pub revisions: BTreeMap<EnvironmentId, Option<Revision>>,
    /// The leases under which those were written or confirmed.
    pub tokens: BTreeMap<EnvironmentId, u64>,
    /// Withdrawn by whoever led.
    pub gone: BTreeSet<EnvironmentId>,
}

impl Member {
    /// Compares everything, and takes or puts what differs.
    pub(super) async fn compare(&mut self) {
        self.next_compare = Instant::now() + COMPARE_EVERY;
        if matches!(self.role, RedisRole::Undecided | RedisRole::Alone) {
            return;
        }
        let outcome = if self.follows_go() { self.compare_go().await } else { self.compare_all().await };
        match &outcome {
            Ok(()) => {
                self.works(Part::Reading);
                self.works(Part::Writing);
            }
            Err(failure) => self.fails(Part::Reading, failure),
        }
        self.compared = outcome.is_ok();
        if self.compared {
            let now_ms = unix_now_ms();
            self.parts.store.note_redis(|state| state.compared_at_ms = Some(now_ms));
        }
        // One that takes long leaves time for everything else.
        self.next_compare = Instant::now() + COMPARE_EVERY;
        self.after_comparison();
    }

    async fn compare_all(&mut self) -> Result<(), Failure> {
        let there = look(&self.parts.link, self.served()).await?;
        let nothing_of_ours = there.revisions.values().all(Option::is_none) && there.gone.is_empty();
        self.look_for_go(nothing_of_ours && self.parts.policy.follows() && self.knows_only_redis()).await?;
        if self.role == RedisRole::Leads && self.go.is_alone() {
            // A start: served until the own source was read.
            self.read_due().await;
        }
        let pauses = self.read_pauses().await?;
        let (mut takes, mut puts) = (Vec::new(), Vec::new());
        let index = self.parts.store.index();
        for (id, theirs) in &there.revisions {
            // Loaded after the answer came: it is never the older one.
            let environment = index.environment(id.as_str());
            let outdated = there.tokens.get(id) > self.tokens.get(id);
            let ours = environment.and_then(|it| it.snapshot().as_deref().map(Ours::of));
            let ours = ours.map(|ours| Ours { outdated, ..ours });
            let stance = self.stance(environment.map(|it| &**it));
            let mut step = decide(stance, ours, theirs.as_ref());
            if step == Step::Take && self.goes_on_from(id, theirs.as_ref()) {
                step = Step::Put;
            }
            if step == Step::Put && theirs.is_some() && self.adopts(id, pauses.as_ref()) {
                // An import that another leader took stands in for the source.
                step = Step::Take;
            }
            match step {
                Step::Take if there.gone.contains(id) => {}
                // Who withdrew it knew better than one that is not in sync.
                Step::Put if there.gone.contains(id) && stance != (Stance::Leads { in_sync: true }) => {}
                Step::Put if self.waits_for_source(id, environment.map(|it| &**it)) => {}
                Step::Take if self.parts.policy.follows() => takes.push(id.clone()),
                // A directory is right, whatever else was written.
                Step::Take if ours.is_some() => puts.push((id.clone(), *theirs)),
                Step::Put => puts.push((id.clone(), *theirs)),
                Step::Take | Step::Nothing => {}
            }
        }
        drop(index);
        let leads = self.role == RedisRole::Leads;
        let unknown = puts.len() + takes.len();
        self.parts.store.note_redis(|state| state.behind = unknown);
        self.take(takes).await?;
        self.take_over_pauses(pauses).await;
        self.remove_gone(&there.gone).await;
        self.gone.clone_from(&there.gone);
        if leads {
            self.put_back(puts).await?;
            self.note_equal(&there);
            self.confirm(&there).await?;
            self.register_again(&there).await?;
            self.mend_mirrors().await?;
        }
        self.parts.store.note_redis(|state| state.behind = 0);
        Ok(())
    }

    pub(super) fn served(&self) -> BTreeSet<EnvironmentId> {
        self.parts.store.index().environments.keys().cloned().collect()
    }

    /// How this relay stands to an environment.
    pub(super) fn stance(&self, environment: Option<&Environment>) -> Stance {
        if !self.writes() {
            return Stance::Follows;
        }
        let in_sync = |it: &Environment| is_in_sync(it) || (self.follows_go() && self.is_go_served(&it.id));
        Stance::Leads { in_sync: environment.is_some_and(in_sync) }
    }

    /// What a Go proxy wrote is not written before the own source was read.
    pub(super) fn waits_for_source(&self, id: &EnvironmentId, environment: Option<&Environment>) -> bool {
        self.is_go_served(id) && self.stance(environment) != (Stance::Leads { in_sync: true })
    }

    /// True while nothing is served that came from elsewhere.
    fn knows_only_redis(&self) -> bool {
        let index = self.parts.store.index();
        index.environments.values().all(|it| it.snapshot().is_none() || self.is_go_served(&it.id))
    }

    /// What a leader withdrew goes, wherever this relay has it from; a leader
    /// in sync, and an import, know better.
    async fn remove_gone(&mut self, gone: &BTreeSet<EnvironmentId>) {
        let index = self.parts.store.index();
        let goes = |id: &&EnvironmentId| {
            index.environment(id.as_str()).is_some_and(|it| {
                let knows_better = **it.source.load() == SourceKind::Import || (self.writes() && is_in_sync(it));
                it.snapshot().is_some() && !knows_better
            })
        };
        let gone: BTreeSet<EnvironmentId> = gone.iter().filter(goes).cloned().collect();
        drop(index);
        if !gone.is_empty() && (self.follows() || (self.role == RedisRole::Leads && self.parts.policy.follows())) {
            self.remove(gone).await;
        }
    }

    /// True if what is there is what this relay's own state goes on from,
    /// made while Redis was away.
    fn goes_on_from(&self, id: &EnvironmentId, theirs: Option<&Revision>) -> bool {
        let base = self.alone_from.get(id).filter(|_| self.writes());
        base.zip(theirs).is_some_and(|(base, theirs)| base.epoch == theirs.epoch && theirs.sequence <= base.sequence)
    }
}

/// True if the environment's own source gave what is served and is not
/// behind.
pub(super) fn is_in_sync(environment: &Environment) -> bool {
    match **environment.source.load() {
        SourceKind::File | SourceKind::Import => true,
        SourceKind::Upstream => environment.sync.load_full().is_some_and(|sync| !sync.is_stale()),
        SourceKind::Redis | SourceKind::Peer => false,
    }
}

/// What Redis has of these environments and of all that are registered.
pub(super) async fn look(link: &Link, mut ids: BTreeSet<EnvironmentId>) -> Result<There, Failure> {
    let mut command = redis::Cmd::new();
    command.arg("HGETALL").arg(own::ENVIRONMENTS);
    let registered: BTreeMap<String, String> = link.call(&command).await?;
    let (mut gone, mut live) = (BTreeSet::new(), BTreeSet::new());
    for (id, state) in registered {
        let id = EnvironmentId::new(&id);
        if state == "gone" {
            gone.insert(id);
        } else {
            live.insert(id.clone());
            ids.insert(id);
        }
    }
    let calls = ids.into_iter().map(|id| head(link, id).boxed()).collect();
    let answers = side_by_side(calls, AT_ONCE).await;
    let (mut revisions, mut tokens) = (BTreeMap::new(), BTreeMap::new());
    for answer in answers {
        let (id, revision, token) = answer?;
        tokens.insert(id.clone(), token);
        revisions.insert(id, revision);
    }
    Ok(There { live, revisions, tokens, gone })
}

async fn head(link: &Link, id: EnvironmentId) -> Result<(EnvironmentId, Option<Revision>, u64), Failure> {
    let (revision, token) = read::head(link, &id).await?;
    Ok((id, revision, token))
}
