//! What a leader says of itself beside its content.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::followed::{Due, Followed};
use crate::proto::snapshot::v1 as proto;
use crate::snapshot::content::EnvironmentId;
use crate::store::Store;
use crate::store::environment::Environment;
use crate::telemetry::clock::unix_now_ms;

/// Siblings that follow each other must not take each other for a source.
fn origin_age_ms(store: &Store) -> u64 {
    let heard = *store.origin_heard().borrow();
    heard.map_or(0, |heard| u64::try_from(unix_now_ms() - heard).unwrap_or(0))
}

/// How this relay stands towards its own source, and towards the follower.
#[must_use]
pub fn progress(store: &Store, followed: &BTreeMap<EnvironmentId, Followed>, now: Instant) -> proto::Progress {
    let keys_certain = store.certainty().is_set();
    let index = store.index();
    // One source for all, as a directory is: it is lost when its keys are not certain.
    let one_source = index.environments.values().all(|environment| environment.sync.load().is_none());
    let is_stale = |followed: &Followed| match followed.cell.sync.load().as_ref() {
        Some(sync) => sync.is_stale(),
        None => one_source && !keys_certain,
    };
    // A source that cannot be reached may know more keys than were last read.
    let out_of_touch = |it: &Arc<Environment>| it.sync.load().as_ref().is_some_and(|sync| sync.is_stale());
    let in_touch = !index.environments.values().any(out_of_touch);
    let ids = |which: &dyn Fn(&Followed) -> bool| {
        followed.iter().filter(|(_, it)| which(it)).map(|(id, _)| id.to_string()).collect()
    };
    proto::Progress {
        stale_environment_ids: ids(&is_stale),
        keys_certain: in_touch && keys_certain && index.is_complete(),
        origin_age_ms: origin_age_ms(store),
        behind_environment_ids: ids(&|followed| followed.due(now) == Due::Behind),
    }
}
