//! What the tests stand on: a Redis that is a map, recorded contents, and
//! snapshots made of a few words.

use std::collections::BTreeMap;

use super::{Found, FoundKind, Write};
use crate::evaluate::CompileOptions;
use crate::model::json::Json;
use crate::snapshot::build::{Base, Input, build};
use crate::snapshot::content::{Content, EnvironmentId, KeyHash};
use crate::snapshot::item::{Digest, Item, ItemKind};
use crate::snapshot::ledger::Ledger;
use crate::snapshot::{Epoch, Snapshot};
use crate::source::redis::keys::go;

/// Redis as far as it is looked at here.
pub type Keys = BTreeMap<String, Vec<u8>>;

pub fn apply(keys: &mut Keys, writes: &[Write]) {
    for write in writes {
        match write {
            Write::Set { key, value } => drop(keys.insert(key.clone(), value.clone())),
            Write::Delete { key } => drop(keys.remove(key)),
        }
    }
}

/// Looks up what belongs to an environment.
pub fn find(keys: &Keys, environment: &EnvironmentId) -> Found {
    let singles = |kind| {
        let prefix = go::item_prefix(environment, kind);
        let named = |(key, value): (&String, &Vec<u8>)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone()));
        keys.iter().filter_map(named).collect()
    };
    let kind = |kind| FoundKind {
        list: keys.get(&go::list(environment, kind)).cloned(),
        latest: keys.get(&go::latest(environment, kind)).cloned(),
        singles: singles(kind),
    };
    let id = format!("\"{environment}\"").into_bytes();
    let hashes = keys.iter().filter(|(_, value)| **value == id);
    Found {
        flags: kind(ItemKind::Flag),
        segments: kind(ItemKind::Segment),
        targets: singles(ItemKind::Target),
        api_configs: keys.get(&go::api_configs(environment)).cloned(),
        auth_keys: hashes.filter_map(|(key, _)| Digest::from_hex(key.strip_prefix(go::AUTH_KEY_PREFIX)?)).collect(),
    }
}

/// A file of `tests/fixtures/redis`, with the texts as Go wrote them.
pub fn recorded(file: &str) -> (Keys, Vec<String>) {
    let (mut keys, mut events) = (Keys::new(), Vec::new());
    let Json::Object(members) = Json::parse(file).unwrap() else { panic!("no object") };
    for (key, member) in members {
        let value = member.get("value").unwrap();
        if let Some(json) = value.get("json") {
            keys.insert(key.to_string(), as_go_writes(json).into_bytes());
        } else if key == go::EVENTS {
            let entries = value.get("entries").and_then(Json::as_array).unwrap();
            let event = |entry: &Json<'_>| entry.get("fields")?.get(go::FIELD)?.as_str().map(str::to_owned);
            events = entries.iter().map(|entry| event(entry).unwrap()).collect();
        }
    }
    (keys, events)
}

fn as_go_writes(json: &Json<'_>) -> String {
    json.compact().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

pub fn environment() -> EnvironmentId {
    EnvironmentId::new("e-1")
}

pub fn item(kind: ItemKind, text: &str) -> std::sync::Arc<Item> {
    std::sync::Arc::new(Item::from_json(kind, &Json::parse(text).unwrap()).unwrap())
}

pub fn content(items: &[(ItemKind, &str)], keys: &[&str]) -> Content {
    let keys: Vec<KeyHash> = keys.iter().map(|key| Digest::of(key.as_bytes())).collect();
    Content::new(items.iter().map(|(kind, text)| item(*kind, text)).collect(), keys).unwrap()
}

/// The snapshot after another one, or the first; the same one again if
/// nothing changed.
pub fn snapshot(before: Option<&Snapshot>, content: Content) -> Snapshot {
    let make = |base, content| {
        let input = Input {
            environment: environment(),
            content,
            served: None,
            leader: None,
            credential: "".into(),
            base,
            new_epoch: Epoch(1),
            now_unix_s: 1_800_000_000,
            options: &CompileOptions::default(),
        };
        build(input).unwrap()
    };
    let fresh = |ledger| Base::Ledger { epoch: Epoch(1), sequence: 0, ledger, followed: false };
    let built = match before {
        Some(before) => {
            make(Base::Snapshot(before), content.clone()).or_else(|| make(fresh(before.ledger.clone()), content))
        }
        None => make(fresh(Ledger::default()), content),
    };
    built.unwrap().snapshot
}
