//! How following is doing, for health, readiness and operators.

use std::sync::Arc;

use super::Member;
use crate::snapshot::Names;
use crate::snapshot::content::EnvironmentId;
use crate::source::redis::lease::Says;
use crate::store::Index;
use crate::store::redis_state::RedisRole;
use crate::store::sync_state::{Phase, StreamState};
use crate::telemetry::clock::unix_now_ms;

impl Member {
    /// An environment's state was taken.
    pub(super) fn taken(&self, id: &EnvironmentId, names: Names) {
        let index = self.parts.store.index();
        let Some(environment) = index.environment(id.as_str()) else { return };
        environment.names.store(Some(Arc::new(names)));
        if self.follows() {
            let now_ms = unix_now_ms();
            environment.note_sync(now_ms, |sync| sync.synced_at_ms = Some(now_ms));
        }
    }

    /// What is stored cannot be served.
    pub(super) fn refuse(&self, id: &EnvironmentId, reason: &str) {
        let index = self.parts.store.index();
        let Some(environment) = index.environment(id.as_str()) else { return };
        let text = format!("what Redis has cannot be served: {reason}");
        let news = environment.sync.load_full().is_none_or(|sync| sync.error.as_deref() != Some(text.as_str()));
        if news {
            tracing::error!(environment = %id, reason, "what Redis has cannot be served; the state before is");
        }
        if self.follows() {
            environment.note_sync(unix_now_ms(), |sync| (sync.phase, sync.error) = (Phase::Stale, Some(text)));
        }
    }

    /// A comparison is over, well or not.
    pub(super) fn after_comparison(&mut self) {
        if self.compared && !matches!(self.role, RedisRole::Undecided | RedisRole::Alone) {
            let holder = self.known.borrow().holder.is_some();
            let served = !self.parts.store.index().environments.is_empty();
            // Without a leader an empty Redis may be one that is not filled
            // yet; with one it may have lost something.
            if self.follows() && ((holder && self.has_all()) || served) {
                self.parts.status.good(&self.source_name(), true, unix_now_ms());
            }
        }
        if self.compared {
            self.learn_early();
        }
        self.standing_of_holder();
        self.settle_certainty();
    }

    fn source_name(&self) -> String {
        format!("Redis at {}", self.parts.link.name())
    }

    /// What the leader says of its own source holds here, too.
    pub(super) fn standing_of_holder(&self) {
        if !self.follows() {
            return;
        }
        let known = self.known.borrow();
        let now_ms = unix_now_ms();
        let away = known.error.clone().map(|reason| format!("Redis cannot be used: {reason}"));
        let leaderless = || "no primary writes to Redis now".to_owned();
        let trouble = away.or_else(|| known.holder.is_none().then(leaderless));
        for environment in self.parts.store.index().environments.values() {
            let says = known.holder.iter().flat_map(|holder| &holder.says.behind);
            let reason = says.filter(|(id, _)| *id == environment.id.as_str()).map(|(_, reason)| reason.clone()).next();
            let reason = trouble.clone().or(reason);
            environment.note_sync(now_ms, |sync| match reason {
                Some(reason) => {
                    (sync.phase, sync.stream) = (Phase::Stale, StreamState::Disconnected);
                    sync.error = Some(reason);
                }
                None if sync.synced_at_ms.is_some() || environment.snapshot().is_some() => {
                    (sync.phase, sync.stream) = (Phase::Streaming, StreamState::Connected);
                    (sync.synced_at_ms, sync.error) = (Some(now_ms), None);
                }
                None => {}
            });
        }
        if let Some(reason) = &trouble {
            self.parts.status.bad(reason, now_ms);
        } else if self.compared {
            let served = !self.parts.store.index().environments.is_empty();
            self.parts.status.good(&self.source_name(), served, now_ms);
        }
    }

    /// While a Go proxy is followed nobody says more than that Redis answers.
    pub(super) fn go_standing(&self) {
        let now_ms = unix_now_ms();
        let error = self.known.borrow().error.clone().map(|reason| format!("Redis cannot be used: {reason}"));
        for environment in self.parts.store.index().environments.values() {
            environment.note_sync(now_ms, |sync| {
                let good = error.is_none() && environment.snapshot().is_some();
                sync.phase = if good { Phase::Polling } else { Phase::Stale };
                sync.stream = if good { StreamState::Connected } else { StreamState::Disconnected };
                sync.error.clone_from(&error);
                if good {
                    sync.synced_at_ms = Some(now_ms);
                }
            });
        }
        match &error {
            Some(reason) => drop(self.parts.status.bad(reason, now_ms)),
            None => self.parts.status.good(&format!("a Go proxy's cache in {}", self.source_name()), true, now_ms),
        }
    }

    /// True if it serves as many environments as the leader: Redis may have
    /// lost one of them, and then its keys are not unknown.
    pub(super) fn has_all(&self) -> bool {
        let leaders = self.known.borrow().holder.as_ref().map(|holder| holder.says.environments);
        leaders.is_none_or(|leaders| count(&self.parts.store.index()) >= leaders)
    }

    /// What it said while it led is of no use to those who hear it later.
    pub(super) fn say_nothing(&self) {
        self.says.send_modify(|says| *says = Says { name: self.parts.name.clone(), ..Says::default() });
    }

    /// Tells the other relays how this one's source is doing.
    pub(super) fn speak(&self) {
        /// Environments that are named; of more a number would do, but nobody reads that many.
        const MOST: usize = 1000;
        let index = self.parts.store.index();
        let mut behind = Vec::new();
        for environment in index.sorted() {
            let Some(sync) = environment.sync.load_full().filter(|sync| sync.is_stale()) else { continue };
            if behind.len() < MOST {
                behind.push((environment.id.to_string(), sync.error.clone().unwrap_or_else(|| sync.phase.to_string())));
            }
        }
        let certainty = self.parts.store.certainty();
        let (certain, asks) = (certainty.is_set() && index.is_complete(), certainty.can_be_asked());
        let environments = count(&index);
        self.says.send_if_modified(|says| {
            let before = says.clone();
            (says.certain, says.asks, says.behind, says.environments) = (certain, asks, behind, environments);
            *says != before
        });
    }
}

fn count(index: &Index) -> usize {
    index.environments.values().filter(|environment| environment.snapshot().is_some()).count()
}
