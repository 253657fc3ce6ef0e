//! How following is doing, for health, readiness and operators.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::snapshot::Names;
use crate::snapshot::content::EnvironmentId;
use crate::store::Store;
use crate::store::source_status::SourceStatus;
use crate::store::sync_state::{Phase, StreamState};

/// Writes it. Times are Unix milliseconds.
#[derive(Clone, Debug)]
pub struct Standing {
    pub store: Store,
    pub status: SourceStatus,
    /// The source as logs and health call it.
    pub name: String,
}

impl Standing {
    /// An update was applied, or confirmed what is served.
    pub fn synced(&self, id: &EnvironmentId, names: &Names, now_ms: i64) {
        let index = self.store.index();
        let Some(environment) = index.environment(id.as_str()) else { return };
        environment.names.store(Some(Arc::new(names.clone())));
        environment.note_sync(now_ms, |sync| {
            (sync.phase, sync.stream) = (Phase::Streaming, StreamState::Connected);
            (sync.synced_at_ms, sync.error) = (Some(now_ms), None);
        });
    }

    /// An update could not be served.
    pub fn refused(&self, id: &EnvironmentId, reason: &str, now_ms: i64) {
        if let Some(environment) = self.store.index().environment(id.as_str()) {
            environment.note_sync(now_ms, |sync| {
                (sync.phase, sync.error) = (Phase::Stale, Some(format!("an update cannot be served: {reason}")));
            });
        }
    }

    /// A sign of life: these are known to be behind their own source, or
    /// ahead of this leader; the rest is fresh.
    pub fn progress(&self, known: &BTreeSet<EnvironmentId>, behind: &[(String, &str)], now_ms: i64) {
        let index = self.store.index();
        for environment in known.iter().filter_map(|id| index.environment(id.as_str())) {
            let reason = behind.iter().find(|(id, _)| *id == environment.id.as_str()).map(|(_, reason)| *reason);
            environment.note_sync(now_ms, |sync| {
                sync.stream = StreamState::Connected;
                match reason {
                    Some(reason) => (sync.phase, sync.error) = (Phase::Stale, Some(reason.to_owned())),
                    None if sync.synced_at_ms.is_some() => {
                        (sync.phase, sync.error) = (Phase::Streaming, None);
                        sync.synced_at_ms = Some(now_ms);
                    }
                    None => {}
                }
            });
        }
    }

    /// No leader answers. `stale`: for long enough to say that what is served
    /// is behind.
    pub fn lost(&self, reason: &str, stale: bool, now_ms: i64) {
        for environment in self.store.index().environments.values() {
            environment.note_sync(now_ms, |sync| {
                sync.stream = StreamState::Disconnected;
                if stale {
                    (sync.phase, sync.error) = (Phase::Stale, Some(reason.to_owned()));
                }
            });
        }
        if stale && self.status.bad(reason, now_ms) {
            tracing::error!(reason, "no leader can be followed; what is known is served");
        }
    }

    /// Everything that the leader has is served.
    pub fn complete(&self, now_ms: i64) {
        self.status.good(&self.name, true, now_ms);
    }
}
