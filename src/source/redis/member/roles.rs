//! From role to role. The own source is started and stopped here and nowhere
//! else.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::Member;
use super::trouble::Part;
use crate::source::redis::bus::Word;
use crate::source::redis::keeper::Tenure;
use crate::source::redis::own_source::Policy;
use crate::source::redis::usage::receiver::Destination;
use crate::store::redis_state::{LeaseHolder, RedisRole};
use crate::store::source_status::SourceKind;
use crate::store::sync_state::{Phase, StreamState};
use crate::telemetry::clock::unix_now_ms;

/// So many leases a relay leads before it withdraws what none of its keys
/// leads to.
const STRANGERS_AFTER: u32 = 30;

impl Member {
    /// Says what there is before anything was heard.
    pub(super) fn begin(&mut self) {
        let (name, id) = (self.parts.link.name().to_owned(), self.parts.lease.id.clone());
        self.parts.store.note_redis(|state| {
            (state.name, state.id, state.since_ms) = (name, id, unix_now_ms());
        });
        self.says.send_modify(|says| says.name.clone_from(&self.parts.name));
    }

    /// The keeper has news.
    pub(super) async fn change_role(&mut self) {
        let known = self.known.borrow_and_update().clone();
        let holder = known.holder.as_ref().map(|it| LeaseHolder {
            id: it.id.clone(),
            name: it.says.name.clone(),
            token: it.token,
            since_ms: it.since_ms,
        });
        self.parts.store.note_redis(|state| state.holder = holder);
        self.trouble(Part::Lease, known.error.clone());
        if !self.choose_role().await && self.follows() {
            self.standing_of_holder();
        }
    }

    /// Takes the role that follows from what is known. False if it has it.
    pub(super) async fn choose_role(&mut self) -> bool {
        let known = self.known.borrow().clone();
        let (go_writes, leaderless) = (self.go.writes(Instant::now()), known.holder.is_none());
        let follows = self.parts.policy.follows();
        let (role, token) = match (&known.tenure, &self.parts.policy) {
            (Tenure::Unknown, _) => return false,
            (Tenure::Held { token }, _) if go_writes && follows => (RedisRole::FollowsGo, *token),
            (Tenure::Held { token }, _) => (RedisRole::Leads, *token),
            _ if follows && (self.go.is_alone() || (go_writes && leaderless)) => (RedisRole::FollowsGo, 0),
            (_, Policy::Replica) => (RedisRole::Replica, 0),
            (Tenure::Other, _) => (RedisRole::StandsBy, 0),
            (Tenure::Away { .. }, _) => (RedisRole::Alone, 0),
        };
        let news = role != self.role || token != self.token;
        if news {
            self.enter(role, token).await;
        }
        news
    }

    async fn enter(&mut self, role: RedisRole, token: u64) {
        let before = std::mem::replace(&mut self.role, role);
        self.token = token;
        if before != role {
            tracing::info!(redis = self.parts.link.name(), role = %role, before = %before, "role among the relays");
        }
        self.parts.store.note_redis(|state| state.role = role);
        self.parts.role.send_replace(role);
        if token == 0 {
            self.works(Part::Writing);
            self.gates.leave(&self.parts.store);
            self.say_nothing();
        }
        if token == 0 || before != role {
            self.stop_receiving().await;
        }
        match role {
            RedisRole::Leads => {
                if before == RedisRole::StandsBy {
                    self.pending.clear();
                }
                // Whatever was written before may have been lost or changed.
                self.written.clear();
                self.led_since = Instant::now();
                self.pauses.due = true;
                self.compare().await;
                self.note_restored();
                self.start_leading();
            }
            RedisRole::Alone => {
                self.pending.clear();
                self.remember_what_was_there();
                self.take_over_known_pauses().await;
                self.start_source();
            }
            RedisRole::StandsBy | RedisRole::Replica => {
                self.alone_from.clear();
                self.stop_source().await;
                self.compare().await;
            }
            RedisRole::FollowsGo => {
                self.pending.clear();
                self.written.clear();
                self.stop_source().await;
                self.compare().await;
                if self.writes() {
                    self.start_receiving(Destination::GoPrimary);
                }
            }
            RedisRole::Undecided => {}
        }
        // The source's certainty is its own again, or the leader's.
        self.settle_certainty();
    }

    /// Once it is known what the leader before had paused.
    fn start_leading(&mut self) {
        if self.role == RedisRole::Leads && !self.pauses.due {
            self.start_source();
            self.start_receiving(Destination::Upstream);
            self.register_recent_targets();
        }
    }

    /// Before the own source ran, all that is served came from Redis.
    fn note_restored(&self) {
        let index = self.parts.store.index();
        let served = index.environments.values().any(|environment| environment.snapshot().is_some());
        if self.compared && self.source.is_none() && served {
            self.parts.store.note_redis(|state| state.restored = true);
        }
    }

    fn remember_what_was_there(&mut self) {
        let index = self.parts.store.index().clone();
        for (id, environment) in &index.environments {
            let snapshot = environment.snapshot();
            let written = self.written.get(id).map(|written| written.snapshot.revision);
            let read = snapshot.as_ref().filter(|snapshot| snapshot.followed).map(|snapshot| snapshot.revision);
            if let Some(revision) = written.or(read) {
                self.alone_from.insert(id.clone(), revision);
            }
        }
    }

    fn start_source(&mut self) {
        let Policy::Primary(source) = &self.parts.policy else { return };
        if self.source.is_none() {
            // What was certain by another relay's word has to be read anew.
            self.parts.store.certainty().set(false);
            let stop = CancellationToken::new();
            let task = tokio::spawn(source.run(stop.clone()));
            self.source = Some((stop, task));
        }
    }

    fn start_receiving(&mut self, to: Destination) {
        if let (Some(receiver), None) = (&self.parts.receiver, &self.receiving) {
            let stop = CancellationToken::new();
            let task = tokio::spawn(receiver.clone().run(to, stop.clone()));
            self.receiving = Some((stop, task));
        }
    }

    async fn stop_receiving(&mut self) {
        if let Some((stop, task)) = self.receiving.take() {
            stop.cancel();
            if let Err(error) = task.await {
                tracing::error!(%error, "receiving SDK metrics of other relays did not end in order");
            }
        }
    }

    pub(super) async fn stop_source(&mut self) {
        let Policy::Primary(source) = &self.parts.policy else { return };
        if let Some((stop, task)) = self.source.take() {
            stop.cancel();
            if let Err(error) = task.await {
                tracing::error!(%error, "the own source did not end in order");
            }
            source.forget();
        }
        self.overridden.clear();
        // Jobs that it ordered are done, or find that it is forgotten.
        let _ = self.parts.queue.run(|_| ()).await;
    }

    /// The process ends.
    pub(super) async fn end(mut self) {
        if self.role == RedisRole::Leads {
            self.put_changes().await;
        }
        self.stop_receiving().await;
        self.stop_source().await;
        if self.role == RedisRole::Leads {
            self.tasks.abort_all();
            let given_back = match self.parts.lease.give_back().await {
                Ok(()) => self.tell(&Word::Released).await.map(drop),
                Err(failure) => Err(failure),
            };
            if let Err(failure) = given_back {
                tracing::warn!(reason = %failure, "the lease could not be given back; the next primary waits until it runs out");
            }
        }
    }

    pub(super) async fn tick(&mut self) {
        self.acknowledge().await;
        // A Go primary may have fallen silent.
        self.choose_role().await;
        if self.role == RedisRole::FollowsGo && self.writes() {
            self.put_changes().await;
        }
        self.start_leading();
        if self.role == RedisRole::Leads {
            self.gates.expire(&self.parts.store, Instant::now());
            self.show_again().await;
            self.withdraw_strangers().await;
            self.note_unfed();
            self.put_changes().await;
            if self.compared {
                self.speak();
            }
        }
        self.tell_go().await;
        self.questions.expire(self.parts.store.certainty(), Instant::now());
        self.settle_certainty();
        let relays = self.gates.names();
        if self.parts.store.redis().is_some_and(|state| state.relays != relays) {
            self.parts.store.note_redis(|state| state.relays = relays);
        }
    }

    /// Serves what the own source has where something else was put in its
    /// place, now that it is in sync.
    async fn show_again(&mut self) {
        let Policy::Primary(source) = &self.parts.policy else { return };
        let again: Vec<_> = {
            let index = self.parts.store.index();
            let in_sync = |id: &&crate::snapshot::content::EnvironmentId| {
                let environment = index.environment(id.as_str());
                environment.and_then(|it| it.sync.load_full()).is_some_and(|sync| !sync.is_stale())
            };
            self.overridden.iter().filter(in_sync).cloned().collect()
        };
        for id in again {
            source.serve_again(&id).await;
            self.overridden.remove(&id);
        }
    }

    /// What another leader wrote and this one's source does not feed (yet) is
    /// served, and nobody knows whether it is still true.
    fn note_unfed(&self) {
        let Policy::Primary(source) = &self.parts.policy else { return };
        for environment in self.parts.store.index().environments.values() {
            if **environment.source.load() == SourceKind::Redis && !source.feeds(&environment.id) {
                environment.note_sync(unix_now_ms(), |sync| {
                    (sync.phase, sync.stream) = (Phase::Stale, StreamState::Disconnected);
                    sync.error = Some("no key of the relay that leads has led to it yet".to_owned());
                });
            }
        }
    }

    /// Not at once: in a rolling update the keys of the next relay may lead
    /// to them.
    async fn withdraw_strangers(&mut self) {
        if self.led_since.elapsed() < self.parts.lease.lasts * STRANGERS_AFTER {
            return;
        }
        let Policy::Primary(source) = &self.parts.policy else { return };
        let strangers = source.strangers(&self.parts.store.index());
        if !strangers.is_empty() {
            self.remove(strangers.into_iter().collect()).await;
        }
    }
}
