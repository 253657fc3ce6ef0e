//! Finds what Go proxies stored, key by key.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use redis::Cmd;

use super::keys::go;
use super::link::{Failure, Link};
use super::mirror::{Found, FoundKind};
use crate::model::json::Json;
use crate::snapshot::content::{EnvironmentId, KeyHash};
use crate::snapshot::item::{Digest, ItemKey, ItemKind};

/// Questions under way at once.
const AT_ONCE: usize = 64;

/// Names of keys that are looked at: 10,000 environments have fewer.
const MOST_NAMES: usize = 5_000_000;

/// What a look over all keys found.
#[derive(Debug, Default)]
pub struct Seen {
    /// By environment, the hashes of its SDK keys.
    pub environments: BTreeMap<EnvironmentId, Vec<KeyHash>>,
    /// Single keys by environment and kind.
    singles: BTreeMap<(EnvironmentId, ItemKind), BTreeSet<String>>,
}

impl Seen {
    /// These environments, whose single keys nobody looked for.
    #[must_use]
    pub fn of(environments: BTreeMap<EnvironmentId, Vec<KeyHash>>) -> Self {
        Seen { environments, singles: BTreeMap::new() }
    }
}

/// Looks over all keys. Never log the names: some hold a proxy key.
///
/// # Errors
/// Redis does not say.
pub async fn look(link: &Link) -> Result<Seen, Failure> {
    let mut seen = Seen::default();
    let hashes: BTreeSet<String> =
        link.scan(&format!("{}*", go::AUTH_KEY_PREFIX), MOST_NAMES).await?.into_iter().collect();
    let answers = get_all(link, hashes.into_iter().collect()).await?;
    for (name, value) in answers {
        let hash = name.strip_prefix(go::AUTH_KEY_PREFIX).and_then(Digest::from_hex);
        if let (Some(hash), Ok(id)) = (hash, serde_json::from_slice::<String>(&value)) {
            seen.environments.entry(EnvironmentId::new(&id)).or_default().push(hash);
        }
    }
    for name in link.scan("env-*", MOST_NAMES).await? {
        if let Some((id, kind, identifier)) = single(&name, &seen.environments) {
            seen.singles.entry((id, kind)).or_default().insert(identifier);
        }
    }
    Ok(seen)
}

/// The environment, kind and identifier of a single key.
fn single(
    name: &str,
    environments: &BTreeMap<EnvironmentId, Vec<KeyHash>>,
) -> Option<(EnvironmentId, ItemKind, String)> {
    let rest = name.strip_prefix("env-")?;
    // Ids sort as their texts do: the nearest one before may begin the name.
    let (id, _) =
        environments.range(..=EnvironmentId::new(rest)).rev().find(|(id, _)| rest.starts_with(id.as_str()))?;
    [ItemKind::Flag, ItemKind::Segment, ItemKind::Target].into_iter().find_map(|kind| {
        let identifier = name.strip_prefix(&go::item_prefix(id, kind))?;
        Some((id.clone(), kind, identifier.to_owned()))
    })
}

/// Everything of one environment. Single keys are those that were seen,
/// those that the lists name, and those that events named.
///
/// # Errors
/// Redis does not say.
pub async fn find(link: &Link, id: &EnvironmentId, seen: &Seen, named: &BTreeSet<ItemKey>) -> Result<Found, Failure> {
    let mut found = Found {
        flags: kind(link, id, ItemKind::Flag, seen, named).await?,
        segments: kind(link, id, ItemKind::Segment, seen, named).await?,
        auth_keys: seen.environments.get(id).cloned().unwrap_or_default(),
        ..Found::default()
    };
    found.api_configs = get(link, go::api_configs(id)).await?;
    let targets = seen.singles.get(&(id.clone(), ItemKind::Target)).cloned().unwrap_or_default();
    found.targets = singles(link, id, ItemKind::Target, targets).await?;
    Ok(found)
}

async fn kind(
    link: &Link,
    id: &EnvironmentId,
    kind: ItemKind,
    seen: &Seen,
    named: &BTreeSet<ItemKey>,
) -> Result<FoundKind, Failure> {
    let list = get(link, go::list(id, kind)).await?;
    let latest = get(link, go::latest(id, kind)).await?;
    let mut identifiers = seen.singles.get(&(id.clone(), kind)).cloned().unwrap_or_default();
    identifiers.extend(list.iter().flat_map(|list| identifiers_of(list, kind)));
    identifiers.extend(named.iter().filter(|key| key.kind == kind).map(|key| key.identifier.to_string()));
    let singles = singles(link, id, kind, identifiers).await?;
    Ok(FoundKind { list, latest, singles })
}

fn identifiers_of(list: &[u8], kind: ItemKind) -> Vec<String> {
    let text = std::str::from_utf8(list).unwrap_or_default();
    let Ok(Json::Array(items)) = Json::parse(text) else { return Vec::new() };
    items.iter().filter_map(|item| item.get(kind.identifier_field())?.as_str().map(str::to_owned)).collect()
}

async fn singles(
    link: &Link,
    id: &EnvironmentId,
    kind: ItemKind,
    identifiers: BTreeSet<String>,
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let prefix = go::item_prefix(id, kind);
    let names = identifiers.into_iter().map(|identifier| format!("{prefix}{identifier}")).collect();
    let answers = get_all(link, names).await?;
    Ok(answers.into_iter().filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.to_owned(), value))).collect())
}

/// What these keys hold; those that are not there are left out.
async fn get_all(link: &Link, names: Vec<String>) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let calls: Vec<_> = names.into_iter().map(|name| get_named(link, name).boxed()).collect();
    let answers: Vec<_> = futures_util::stream::iter(calls).buffer_unordered(AT_ONCE).collect().await;
    let answers = answers.into_iter().collect::<Result<Vec<_>, Failure>>()?;
    Ok(answers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

async fn get_named(link: &Link, name: String) -> Result<(String, Option<Vec<u8>>), Failure> {
    let value = get(link, name.clone()).await?;
    Ok((name, value))
}

/// What a key holds.
///
/// # Errors
/// Redis does not say.
pub async fn get(link: &Link, name: String) -> Result<Option<Vec<u8>>, Failure> {
    let mut command = Cmd::new();
    command.arg("GET").arg(name);
    link.call(&command).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_keys_are_told_apart() {
        let environments = ["1", "1-a", "b"].map(|id| (EnvironmentId::new(id), Vec::new())).into();
        for (name, expected) in [
            ("env-1-feature-config-x", Some(("1", ItemKind::Flag, "x"))),
            ("env-1-a-segment-y-z", Some(("1-a", ItemKind::Segment, "y-z"))),
            ("env-b-target-config-", Some(("b", ItemKind::Target, ""))),
            ("env-b-feature-configs", None),
            ("env-b-feature-configs-latest", None),
            ("env-c-feature-config-x", None),
        ] {
            let found = single(name, &environments);
            let expected = expected.map(|(id, kind, name)| (EnvironmentId::new(id), kind, name.to_owned()));
            assert_eq!(found, expected, "{name}");
        }
    }
}
