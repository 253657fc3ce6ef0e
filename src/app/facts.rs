//! What must be true for the relay to be ready.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::config::{Config, Mode};
use crate::lifecycle::readiness::Fact;
use crate::store::Store;
use crate::store::environment::Environment;
use crate::store::redis_state::RedisRole;
use crate::store::source_status::SourceStatus;
use crate::store::sync_state::Phase;
use crate::telemetry::clock::unix_now_ms;
use crate::telemetry::logging::millis;

use super::origin::Origin;

/// Ready once everything that was not refused has a snapshot, a stale one
/// too.
pub fn facts(
    config: &Config,
    store: &Store,
    origin: &Origin,
    status: &SourceStatus,
    role: Option<watch::Receiver<RedisRole>>,
) -> Vec<Fact> {
    let mut facts: Vec<Fact> = vec![everything_is_there(
        store.clone(),
        status.clone(),
        matches!(config.mode, Mode::ProxyKey(_) | Mode::Peer(_) | Mode::Replica),
        origin.is_restored(),
    )];
    if let Some(roster) = origin.roster() {
        // While another relay leads its keys are not tried.
        let stands_by = move || role.as_ref().is_some_and(|role| *role.borrow() == RedisRole::StandsBy);
        // Who has once been ready stays so: what is served does not get less.
        let latched = AtomicBool::new(false);
        facts.push(Box::new(move || match roster.missing() {
            _ if latched.load(Ordering::Relaxed) => None,
            missing if missing == 0 || stands_by() => {
                latched.store(true, Ordering::Relaxed);
                None
            }
            missing => Some(format!("{missing} API keys have not been accepted or refused yet")),
        }));
    }
    if let Some(limit) = config.ready_max_staleness {
        let (store, limit_ms) = (store.clone(), i64::try_from(millis(limit)).unwrap_or(i64::MAX));
        facts.push(Box::new(move || {
            let index = store.index();
            let old = index.environments.values().filter(|it| age_ms(it).is_some_and(|age| age > limit_ms)).count();
            (old > 0).then(|| format!("{old} environments are staler than ready-max-staleness"))
        }));
    }
    facts
}

/// `one_key`: only the whole configuration of a proxy key, or a leader, says which
/// environments there are, and there may be none; what an earlier life knew
/// (`restored`) counts, too.
fn everything_is_there(store: Store, status: SourceStatus, one_key: bool, restored: bool) -> Fact {
    Box::new(move || {
        let shared = || store.redis().is_some_and(|redis| redis.restored);
        let index = store.index();
        let waits = |environment: &Environment| environment.snapshot().is_none() && !environment.is_refused();
        let missing = index.environments.values().filter(|environment| waits(environment)).count();
        let served = index.environments.values().any(|environment| environment.snapshot().is_some());
        let loaded = || status.state().loaded_at_unix_ms.is_some() || (served && shared());
        let complete = || one_key && (restored || loaded());
        match missing {
            0 if complete() => None,
            0 if served && !one_key => None,
            0 => Some("no environment is known yet".to_owned()),
            missing => Some(format!("{missing} environments have never been synced")),
        }
    })
}

/// For how long an environment may have been behind, in milliseconds.
fn age_ms(environment: &Environment) -> Option<i64> {
    let sync = environment.sync.load();
    let sync = sync.as_ref()?;
    if sync.phase == Phase::Streaming || sync.phase == Phase::Refused {
        return None;
    }
    Some(sync.synced_at_ms.map_or(i64::MAX, |at| unix_now_ms() - at))
}
