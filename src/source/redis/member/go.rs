//! Go proxies on the same Redis: what one of them wrote is served where
//! nothing of ours is there, and while it writes it is followed and never
//! written against.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Member;
use super::compare::look;
use super::trouble::Part;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::ItemKey;
use crate::source::intake::{Delivery, Intake};
use crate::source::redis::CREDENTIAL;
use crate::source::redis::go_cache::{self, Seen};
use crate::source::redis::keys::go as go_keys;
use crate::source::redis::link::Failure;
use crate::source::redis::mirror::{Read, parse_event, read};
use crate::source::redis::reader::{Entry, order};
use crate::store::redis_state::RedisRole;
use crate::store::source_status::SourceKind;
use crate::store::targets::StoredTarget;
use crate::store::writer::Offered;
use crate::telemetry::clock::unix_now_ms;

/// A Go primary that wrote nothing for so long is taken to be gone.
const QUIET: Duration = Duration::from_secs(600);

/// All keys are looked over at this interval while they are followed; its
/// lists are asked for more often.
const LOOK_OVER_EVERY: Duration = Duration::from_secs(60);

/// A list that is being written is read again after this time.
const AGAIN: Duration = Duration::from_millis(200);

/// Items that events named, over all environments.
const MAX_NAMED: usize = 100_000;

/// What is known of Go proxies.
#[derive(Debug, Default)]
pub(super) struct GoSide {
    /// When one of them was last seen to write.
    wrote: Option<Instant>,
    /// Nothing of ours is in Redis, and something of theirs is.
    alone: bool,
    named: BTreeMap<EnvironmentId, BTreeSet<ItemKey>>,
    seen: Seen,
    next_look: Option<Instant>,
    /// Environments to read again, and when.
    due: BTreeMap<EnvironmentId, Instant>,
    /// The lists' hashes, as last read.
    latest: BTreeMap<EnvironmentId, [Option<Vec<u8>>; 2]>,
    /// Served as a Go proxy wrote them.
    served: BTreeSet<EnvironmentId>,
    complained: BTreeSet<String>,
}

impl GoSide {
    /// True while a Go primary is at work.
    pub fn writes(&self, now: Instant) -> bool {
        self.wrote.is_some_and(|at| now.duration_since(at) < QUIET)
    }

    /// True where nothing else can be followed.
    pub fn is_alone(&self) -> bool {
        self.alone
    }
}

impl Member {
    /// What the last look over all keys found.
    pub(super) fn seen_of_go(&self) -> &Seen {
        &self.go.seen
    }

    /// True while what a Go proxy wrote is served.
    pub(super) fn follows_go(&self) -> bool {
        self.role == RedisRole::FollowsGo
    }

    /// Entries of the Go proxies' stream of events.
    pub(super) async fn hear_go(&mut self, entries: &[Entry]) {
        let (now, now_ms) = (Instant::now(), u64::try_from(unix_now_ms()).unwrap_or(0));
        for entry in entries.iter().filter(|entry| entry.field(go_keys::OURS).is_none()) {
            let Some(event) = entry.field(go_keys::FIELD).and_then(parse_event) else { continue };
            let age = Duration::from_millis(now_ms.saturating_sub(order(&entry.id).0));
            if age >= QUIET {
                continue;
            }
            if self.go.wrote.is_none_or(|at| now.duration_since(at) > QUIET) && self.parts.policy.leads() {
                tracing::error!(
                    "a Go proxy writes to the same Redis: what it writes is followed, and nothing is written against it; \
                     stop it, or run this relay as a replica"
                );
            }
            self.go.wrote = Some(now);
            let total: usize = self.go.named.values().map(BTreeSet::len).sum();
            if event.version != 0 && total < MAX_NAMED {
                self.go.named.entry(event.environment.clone()).or_default().insert(event.key);
            }
            self.go.due.insert(event.environment, now);
        }
        self.choose_role().await;
        if self.follows_go() {
            self.read_due().await;
        }
    }

    /// Nothing of ours is in Redis: is something of a Go proxy's?
    pub(super) async fn look_for_go(&mut self, nothing_of_ours: bool) -> Result<(), Failure> {
        if !nothing_of_ours {
            self.go.alone = false;
            return Ok(());
        }
        let now = Instant::now();
        if self.go.next_look.is_some_and(|at| at > now) {
            return Ok(());
        }
        self.go.next_look = Some(now + LOOK_OVER_EVERY);
        self.go.seen = go_cache::look(&self.parts.link).await?;
        self.go.alone = !self.go.seen.environments.is_empty();
        if self.go.alone {
            let all = self.go.seen.environments.keys().cloned().collect::<Vec<_>>();
            self.go.due.extend(all.into_iter().map(|id| (id, now)));
        }
        Ok(())
    }

    /// While a Go proxy is followed: has any list another hash?
    pub(super) async fn compare_go(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        if self.go.alone {
            let there = look(&self.parts.link, self.served()).await?;
            if !there.gone.is_empty() || there.revisions.values().any(Option::is_some) {
                // A primary of ours has come: the next tick takes another role.
                self.go.alone = false;
                return Ok(());
            }
        }
        if self.go.next_look.is_none_or(|at| at <= now) {
            self.look_for_go(true).await?;
        }
        let ids: Vec<EnvironmentId> = self.go.seen.environments.keys().cloned().collect();
        for id in ids {
            let latest = self.latest(&id).await?;
            if self.go.latest.get(&id).is_none_or(|known| *known != latest) {
                self.go.due.insert(id, now);
            }
        }
        self.read_due().await;
        Ok(())
    }

    /// Looks for SDK keys that came since; true if all are known now.
    pub(super) async fn look_for_go_keys(&mut self) -> bool {
        let before = self.go.seen.environments.clone();
        match go_cache::look(&self.parts.link).await {
            Ok(seen) => self.go.seen = seen,
            Err(failure) => {
                self.fails(Part::Reading, &failure);
                return false;
            }
        }
        let changed = self.go.seen.environments.iter().filter(|(id, keys)| before.get(*id) != Some(*keys));
        let changed: Vec<EnvironmentId> = changed.map(|(id, _)| id.clone()).collect();
        self.go.due.extend(changed.into_iter().map(|id| (id, Instant::now())));
        self.read_due().await;
        true
    }

    async fn latest(&self, id: &EnvironmentId) -> Result<[Option<Vec<u8>>; 2], Failure> {
        use crate::snapshot::item::ItemKind::{Flag, Segment};
        let flags = go_cache::get(&self.parts.link, go_keys::latest(id, Flag)).await?;
        Ok([flags, go_cache::get(&self.parts.link, go_keys::latest(id, Segment)).await?])
    }

    /// When the next environment is read.
    pub(super) fn go_due(&self) -> Option<Instant> {
        self.go.due.values().min().copied()
    }

    /// Reads and serves what is due.
    pub(super) async fn read_due(&mut self) {
        let now = Instant::now();
        let due: Vec<EnvironmentId> =
            self.go.due.iter().filter(|(_, at)| **at <= now).map(|(id, _)| id.clone()).collect();
        for id in due {
            self.go.due.remove(&id);
            if let Err(failure) = self.read_one(&id).await {
                self.fails(Part::Reading, &failure);
                self.go.due.insert(id, now + Duration::from_secs(1));
                return;
            }
        }
        if self.follows_go() {
            self.go_standing();
        }
    }

    async fn read_one(&mut self, id: &EnvironmentId) -> Result<(), Failure> {
        if !self.go.seen.environments.contains_key(id) {
            // Its keys are not known yet.
            self.go.seen = go_cache::look(&self.parts.link).await?;
        }
        let latest = self.latest(id).await?;
        let named = self.go.named.get(id).cloned().unwrap_or_default();
        let found = go_cache::find(&self.parts.link, id, &self.go.seen, &named).await?;
        match read(&found, &named) {
            Ok(it) if !it.settled => {
                self.go.due.insert(id.clone(), Instant::now() + AGAIN);
                // What is there may be all that will be.
                if self.go.latest.insert(id.clone(), latest.clone()).is_some_and(|known| known == latest) {
                    self.go.due.remove(id);
                    self.serve_go(id, it).await;
                }
            }
            Ok(it) => {
                self.go.latest.insert(id.clone(), latest);
                self.serve_go(id, it).await;
            }
            Err(reason) => {
                self.refuse(id, &reason);
                // Forgotten, so that the next comparison looks again.
                self.go.latest.remove(id);
            }
        }
        Ok(())
    }

    async fn serve_go(&mut self, id: &EnvironmentId, it: Read) {
        for problem in it.problems {
            if self.go.complained.len() < 1000 && self.go.complained.insert(format!("{id} {problem}")) {
                tracing::warn!(environment = %id, problem, "what a Go proxy wrote to Redis");
            }
        }
        let (environment, content) = (id.clone(), it.content);
        let job = move |intake: &mut Intake| {
            let offered = Offered { content, credential: CREDENTIAL.into(), ..Offered::default() };
            let delivery = Delivery::of(SourceKind::Redis, BTreeMap::from([(environment, offered)]));
            intake.swap_in(delivery, unix_now_ms() / 1000).map_err(|error| error.to_string())
        };
        if let Some(Err(reason)) = self.parts.queue.run(job).await {
            return self.refuse(id, &reason);
        }
        self.go.served.insert(id.clone());
        if let Some(environment) = self.parts.store.index().environment(id.as_str()) {
            for (_, json) in it.learnt {
                if let Ok(target) = serde_json::from_str(&json) {
                    environment.targets.put(StoredTarget { target, json: json.into() });
                }
            }
        }
    }

    /// True where what is served is what a Go proxy wrote: stale until the
    /// own source was read, and not to be written before.
    pub(super) fn is_go_served(&self, id: &EnvironmentId) -> bool {
        self.go.served.contains(id)
    }

    /// Something else has taken its place.
    pub(super) fn is_not_go_served(&mut self, id: &EnvironmentId) {
        self.go.served.remove(id);
    }
}
