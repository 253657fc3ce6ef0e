//! What a leader says of itself beside its content.

use std::collections::BTreeMap;
use std::time::Instant;

use super::followed::{Due, Followed};
use crate::proto::snapshot::v1 as proto;
use crate::snapshot::content::EnvironmentId;
use crate::store::Store;

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
    let ids = |which: &dyn Fn(&Followed) -> bool| {
        followed.iter().filter(|(_, it)| which(it)).map(|(id, _)| id.to_string()).collect()
    };
    proto::Progress {
        stale_environment_ids: ids(&is_stale),
        keys_certain: keys_certain && index.is_complete(),
        behind_environment_ids: ids(&|followed| followed.due(now) == Due::Behind),
    }
}
