//! What to write where the mirror is not what it should be: on a cluster
//! nothing fences it, and who wrote it before may have left things behind.

use std::collections::{BTreeMap, HashSet};

use super::plan::{Write, plan};
use super::{Found, FoundKind};
use crate::snapshot::Snapshot;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::ItemKind;
use crate::source::redis::keys::go;

/// The steps that make what was found the mirror of `snapshot`; none if it is
/// that. Single flags and segments and SDK keys that are too many go. Targets
/// stay: SDKs brought them; nor is their list looked at, which Go proxies
/// overwrite with every target they see.
#[must_use]
pub fn repair(found: &Found, snapshot: &Snapshot) -> Vec<Write> {
    let environment = &snapshot.environment;
    let targets = go::list(environment, ItemKind::Target);
    let stored = stored_values(found, environment);
    let is_right = |write: &Write| match write {
        Write::Set { key, value } => *key == targets || stored.get(key) == Some(value),
        Write::Delete { key } => !stored.contains_key(key),
    };
    let wanted = plan(None, snapshot).writes;
    let names: HashSet<&str> = wanted.iter().map(Write::key).collect();
    let stays = go::item_prefix(environment, ItemKind::Target);
    let spare = stored.keys().filter(|key| !names.contains(key.as_str()) && !key.starts_with(&stays));
    let mut writes: Vec<Write> = spare.map(|key| Write::Delete { key: key.clone() }).collect();
    writes.extend(wanted.iter().filter(|write| !is_right(write)).cloned());
    writes
}

/// What was found, by the names of the keys.
fn stored_values(found: &Found, environment: &EnvironmentId) -> BTreeMap<String, Vec<u8>> {
    let mut stored = BTreeMap::new();
    let kinds: [(ItemKind, &FoundKind); 2] = [(ItemKind::Flag, &found.flags), (ItemKind::Segment, &found.segments)];
    for (kind, found) in kinds {
        let whole = [(go::list(environment, kind), &found.list), (go::latest(environment, kind), &found.latest)];
        stored.extend(whole.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))));
        let prefix = go::item_prefix(environment, kind);
        stored.extend(found.singles.iter().map(|(name, value)| (format!("{prefix}{name}"), value.clone())));
    }
    let prefix = go::item_prefix(environment, ItemKind::Target);
    stored.extend(found.targets.iter().map(|(name, value)| (format!("{prefix}{name}"), value.clone())));
    stored.extend(found.api_configs.iter().map(|value| (go::api_configs(environment), value.clone())));
    let id = super::plan::quoted(environment.as_str());
    stored.extend(found.auth_keys.iter().map(|hash| (go::auth_key(hash), id.clone().into_bytes())));
    stored
}

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;
