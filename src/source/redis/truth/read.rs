//! From the fields of a hash to content. What does not fit is an error,
//! never a guess: the digest has to come out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use redis::Cmd;

use super::Truth;
use super::fields::{FLOOR, KEYS, NAMES, REVISION, ROW_PREFIX, TOKEN, key_of, read_keys, read_names, read_row};
use crate::model::json::Json;
use crate::snapshot::Revision;
use crate::snapshot::content::{Content, EnvironmentId};
use crate::snapshot::item::{Item, ItemKey};
use crate::source::redis::keys::own;
use crate::source::redis::link::{Failure, Link};

/// An answer of many megabytes takes longer than others.
const LARGE: Duration = Duration::from_secs(20);

/// The revision that is there, `None` if nothing is, and the lease under
/// which it was written or confirmed.
///
/// # Errors
/// Redis does not say.
pub async fn head(link: &Link, id: &EnvironmentId) -> Result<(Option<Revision>, u64), Failure> {
    let mut command = Cmd::new();
    command.arg("HMGET").arg(own::truth(id)).arg(REVISION).arg(TOKEN);
    match link.call::<(Option<String>, Option<u64>)>(&command).await {
        Ok((text, token)) => Ok((text.as_deref().and_then(Revision::parse), token.unwrap_or(0))),
        // Something else has its name: the leader writes over it.
        Err(Failure::Wrong(_)) => Ok((None, 0)),
        Err(failure) => Err(failure),
    }
}

/// Everything; `None`: nothing is there.
///
/// # Errors
/// Redis does not say, or what it says is no environment.
pub async fn whole(link: &Link, id: &EnvironmentId) -> Result<Option<Truth>, Failure> {
    let mut command = Cmd::new();
    command.arg("HGETALL").arg(own::truth(id));
    let fields: HashMap<String, Vec<u8>> = link.call_within(&command, LARGE).await?;
    if !fields.contains_key(REVISION) {
        return Ok(None);
    }
    let read = tokio::task::spawn_blocking(move || read_whole(&fields)).await;
    let read = read.unwrap_or_else(|error| Err(error.to_string()));
    read.map(Some).map_err(|reason| Failure::Wrong(format!("environment {id} in Redis: {reason}")))
}

/// Every environment that is registered, one after another.
///
/// # Errors
/// Redis does not say, or one of them is damaged.
pub async fn all(link: &Link) -> Result<BTreeMap<EnvironmentId, Truth>, Failure> {
    let mut command = Cmd::new();
    command.arg("HKEYS").arg(own::ENVIRONMENTS);
    let registered: Vec<String> = link.call(&command).await?;
    let mut environments = BTreeMap::new();
    for id in registered.iter().map(|id| EnvironmentId::new(id)) {
        if let Some(truth) = whole(link, &id).await? {
            environments.insert(id, truth);
        }
    }
    Ok(environments)
}

/// The named parts on top of what is known. `Ok(None)`: what is there is
/// another state than `to`, or does not follow from the base.
///
/// # Errors
/// Redis does not say, or what it says is no environment.
pub async fn part(
    link: &Link,
    id: &EnvironmentId,
    base: &Content,
    named: &BTreeSet<String>,
    to: &Revision,
) -> Result<Option<Truth>, Failure> {
    let mut command = Cmd::new();
    command.arg("HMGET").arg(own::truth(id)).arg(REVISION).arg(FLOOR).arg(NAMES).arg(TOKEN);
    let mut asked = Vec::new();
    for name in named {
        command.arg(name);
        asked.push(name.clone());
        if name != KEYS {
            let row = format!("{ROW_PREFIX}{name}");
            command.arg(&row);
            asked.push(row);
        }
    }
    let answers: Vec<Option<Vec<u8>>> = link.call(&command).await?;
    let names = [REVISION, FLOOR, NAMES, TOKEN].into_iter().map(str::to_owned).chain(asked);
    let fields: HashMap<String, Option<Vec<u8>>> = names.zip(answers).collect();
    let there = fields.get(REVISION).and_then(Option::as_deref).and_then(|it| Revision::parse(&text(it).ok()?));
    if there.as_ref() != Some(to) {
        return Ok(None);
    }
    let read = read_part(base, &fields, *to);
    let truth = read.map_err(|reason| Failure::Wrong(format!("environment {id} in Redis: {reason}")))?;
    Ok((truth.content.digest() == to.digest).then_some(truth))
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a field is not UTF-8".to_owned())
}

fn item(key: &ItemKey, bytes: &[u8]) -> Result<Arc<Item>, String> {
    let text = text(bytes)?;
    let json =
        Json::parse(&text).map_err(|error| format!("{} '{}' is no JSON: {}", key.kind, key.identifier, error.what))?;
    let item = Item::from_json(key.kind, &json)?;
    if item.key != *key {
        return Err(format!("{} '{}' is stored as '{}'", key.kind, item.key.identifier, key.identifier));
    }
    Ok(Arc::new(item))
}

fn number<N: FromStr + Default>(bytes: Option<&[u8]>) -> N {
    bytes.and_then(|it| text(it).ok()?.parse().ok()).unwrap_or_default()
}

fn read_whole(fields: &HashMap<String, Vec<u8>>) -> Result<Truth, String> {
    let get = |name: &str| fields.get(name).map(Vec::as_slice);
    let revision = get(REVISION).and_then(|it| Revision::parse(&text(it).ok()?)).ok_or("its revision is none")?;
    let key_hashes = read_keys(get(KEYS).unwrap_or_default()).ok_or("its key hashes are none")?;
    let (mut items, mut rows) = (Vec::new(), BTreeMap::new());
    for (name, value) in fields {
        if let Some(key) = name.strip_prefix(ROW_PREFIX).and_then(key_of) {
            let row =
                read_row(&text(value)?).ok_or_else(|| format!("the ledger's row of '{}' is none", key.identifier))?;
            rows.insert(key, row);
        } else if let Some(key) = key_of(name) {
            items.push(item(&key, value)?);
        }
    }
    let content = Content::new(items, key_hashes).map_err(|duplicate| duplicate.to_string())?;
    let digest = content.digest();
    if digest != revision.digest {
        return Err(format!("its digest is {digest} and should be {}", revision.digest));
    }
    let names = read_names(get(NAMES).unwrap_or_default());
    Ok(Truth { revision, floor: number(get(FLOOR)), token: number(get(TOKEN)), rows, complete: true, content, names })
}

fn read_part(base: &Content, fields: &HashMap<String, Option<Vec<u8>>>, revision: Revision) -> Result<Truth, String> {
    let get = |name: &str| fields.get(name).and_then(Option::as_deref);
    let known = base.items().chain(&base.targets);
    let mut items: BTreeMap<ItemKey, Arc<Item>> = known.map(|item| (item.key.clone(), Arc::clone(item))).collect();
    let (mut rows, mut key_hashes) = (BTreeMap::new(), base.key_hashes.clone());
    for (name, value) in fields {
        let value = value.as_deref();
        if name == KEYS {
            key_hashes = read_keys(value.unwrap_or_default()).ok_or("its key hashes are none")?;
        } else if let Some(key) = name.strip_prefix(ROW_PREFIX).and_then(key_of) {
            if let Some(value) = value {
                rows.insert(key, read_row(&text(value)?).ok_or("a row of the ledger is none")?);
            }
        } else if let Some(key) = key_of(name) {
            match value {
                Some(value) => drop(items.insert(key.clone(), item(&key, value)?)),
                None => drop(items.remove(&key)),
            }
        }
    }
    let content = Content::new(items.into_values().collect(), key_hashes).map_err(|duplicate| duplicate.to_string())?;
    let names = read_names(get(NAMES).unwrap_or_default());
    Ok(Truth { revision, floor: number(get(FLOOR)), token: number(get(TOKEN)), rows, complete: false, content, names })
}
