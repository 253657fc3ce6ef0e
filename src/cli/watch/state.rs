//! What was seen of each environment, and what an update changes in it: pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::cli::diff::{Change, changes};
use crate::cli::print::count;
use crate::model::json::Json;
use crate::proto::inspect::v1::Revision;
use crate::proto::snapshot::v1 as proto;
use crate::proto::snapshot::v1::environment_update::Change as Update;
use crate::snapshot::item::{Item, ItemKey, ItemKind};

/// One thing that happened.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    pub environment: String,
    /// `create`, `patch`, `delete` of an item; `state`, `keys`, `stale`,
    /// `fresh`, `added`, `removed` of an environment.
    #[serde(rename = "event")]
    pub what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// More about it, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

impl Event {
    fn of(environment: &str, event: &'static str, detail: impl Into<String>) -> Self {
        Event {
            environment: environment.to_owned(),
            what: event,
            kind: None,
            identifier: None,
            version: None,
            sequence: None,
            detail: detail.into(),
            changes: Vec::new(),
        }
    }

    /// True for what changed, false for what is only said.
    pub(super) fn is_change(&self) -> bool {
        matches!(self.what, "create" | "patch" | "delete" | "keys" | "added" | "removed")
    }
}

/// Everything that was seen.
#[derive(Default)]
pub(super) struct World {
    environments: BTreeMap<String, Seen>,
    stale: BTreeSet<String>,
    /// The first set of environments is no news.
    begun: bool,
}

#[derive(Default)]
struct Seen {
    revision: Option<Revision>,
    items: BTreeMap<ItemKey, Item>,
    keys: BTreeSet<Vec<u8>>,
}

impl World {
    pub(super) fn known(&self) -> Vec<proto::EnvironmentRevision> {
        let revision = |(id, seen): (&String, &Seen)| {
            let revision = Some(seen.revision.clone()?);
            Some(proto::EnvironmentRevision { environment_id: id.clone(), revision })
        };
        self.environments.iter().filter_map(revision).collect()
    }

    pub(super) fn environments(&mut self, set: &proto::EnvironmentSet) -> Vec<Event> {
        let mut events = Vec::new();
        let named: BTreeSet<&String> = set.environment_ids.iter().collect();
        for id in &named {
            if !self.environments.contains_key(*id) {
                self.environments.insert((*id).clone(), Seen::default());
                events.extend(self.begun.then(|| Event::of(id, "added", "environment added")));
            }
        }
        if set.complete {
            let gone: Vec<String> = self.environments.keys().filter(|id| !named.contains(id)).cloned().collect();
            for id in gone {
                self.environments.remove(&id);
                events.push(Event::of(&id, "removed", "environment removed"));
            }
        }
        self.begun = true;
        events
    }

    pub(super) fn progress(&mut self, progress: &proto::Progress) -> Vec<Event> {
        let now: BTreeSet<String> = progress.stale_environment_ids.iter().cloned().collect();
        let became = now.difference(&self.stale).map(|id| Event::of(id, "stale", "its source is lost to the relay"));
        let fresh = self.stale.difference(&now).map(|id| Event::of(id, "fresh", "its source is back"));
        let events = became.chain(fresh).collect();
        self.stale = now;
        events
    }

    /// # Errors
    /// Why the update cannot be applied, for the relay's operators.
    pub(super) fn apply(&mut self, environment: &str, update: Update) -> Result<Vec<Event>, String> {
        let seen = self.environments.entry(environment.to_owned()).or_default();
        match update {
            Update::Unchanged(unchanged) => {
                seen.revision = unchanged.revision.or(seen.revision.take());
                Ok(Vec::new())
            }
            Update::FullState(full) => seen.full(environment, full),
            Update::Delta(delta) => seen.delta(environment, delta),
        }
    }
}

impl Seen {
    fn full(&mut self, environment: &str, full: proto::FullState) -> Result<Vec<Event>, String> {
        let ledger = full.ledger.unwrap_or_default();
        let mut items = BTreeMap::new();
        for item in &full.items {
            let item = read(item)?;
            items.insert(item.key.clone(), item);
        }
        let first = self.revision.is_none();
        let sequence = full.revision.as_ref().map(|revision| revision.sequence);
        let mut events = Vec::new();
        if first {
            let of = |kind| items.keys().filter(|key| key.kind == kind).count() as u64;
            let (flags, segments) = (count(of(ItemKind::Flag), "flag"), count(of(ItemKind::Segment), "segment"));
            events.push(Event { sequence, ..Event::of(environment, "state", format!("{flags}, {segments}")) });
        } else {
            let gone = self.items.keys().filter(|key| !items.contains_key(*key));
            events.extend(gone.map(|key| item_event(environment, "delete", key, sequence, &ledger)));
            for item in items.values() {
                events.extend(self.put_event(environment, item, sequence, &ledger));
            }
        }
        events.extend(self.keys(environment, full.key_hashes, sequence).filter(|_| !first));
        self.items = items;
        self.revision = full.revision;
        Ok(events)
    }

    fn delta(&mut self, environment: &str, delta: proto::Delta) -> Result<Vec<Event>, String> {
        let digest = |revision: Option<&Revision>| revision.map(|revision| revision.digest.clone());
        if digest(delta.from.as_ref()) != digest(self.revision.as_ref()) {
            return Err("the delta is from a state that is not here".to_owned());
        }
        let ledger = delta.ledger.unwrap_or_default();
        let sequence = delta.to.as_ref().map(|revision| revision.sequence);
        let upserts = delta.upserts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut removals = delta.removals.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        if delta.all_targets {
            let stays = |key: &ItemKey| upserts.iter().any(|item| item.key == *key);
            removals.extend(self.items.keys().filter(|key| key.kind == ItemKind::Target && !stays(key)).cloned());
        }
        let mut events = Vec::new();
        for key in removals {
            if self.items.remove(&key).is_some() {
                events.push(item_event(environment, "delete", &key, sequence, &ledger));
            }
        }
        for item in upserts {
            events.extend(self.put_event(environment, &item, sequence, &ledger));
            self.items.insert(item.key.clone(), item);
        }
        events.extend(delta.key_hashes.and_then(|keys| self.keys(environment, Some(keys), sequence).next()));
        self.revision = delta.to;
        Ok(events)
    }

    fn put_event(
        &self,
        environment: &str,
        item: &Item,
        sequence: Option<u64>,
        ledger: &proto::Ledger,
    ) -> Option<Event> {
        let event = |event| {
            let made = item_event(environment, event, &item.key, sequence, ledger);
            Event { version: made.version.or(item.version), ..made }
        };
        match self.items.get(&item.key) {
            None => Some(event("create")),
            Some(before) if before.digest == item.digest => None,
            Some(before) => {
                let changes = changes(item.key.kind, before, item);
                let texts: Vec<&str> = changes.iter().map(|change| change.text.as_str()).collect();
                Some(Event { detail: texts.join("; "), changes, ..event("patch") })
            }
        }
    }

    fn keys(
        &mut self,
        environment: &str,
        keys: Option<proto::KeyHashes>,
        sequence: Option<u64>,
    ) -> impl Iterator<Item = Event> + use<> {
        let now: BTreeSet<Vec<u8>> = keys.unwrap_or_default().hashes.into_iter().collect();
        let (added, removed) = (now.difference(&self.keys).count(), self.keys.difference(&now).count());
        self.keys = now;
        let detail = format!("{} added, {removed} removed", count(added as u64, "SDK key"));
        let event = Event { sequence, ..Event::of(environment, "keys", detail) };
        (added + removed > 0).then_some(event).into_iter()
    }
}

fn item_event(
    environment: &str,
    event: &'static str,
    key: &ItemKey,
    sequence: Option<u64>,
    ledger: &proto::Ledger,
) -> Event {
    let row = ledger.rows.iter().find(|row| {
        row.key.as_ref().is_some_and(|it| it.identifier == *key.identifier && kind(it.kind()) == Some(key.kind))
    });
    let word = match key.kind {
        ItemKind::Flag => "flag",
        ItemKind::Segment => "segment",
        ItemKind::Target => "target",
    };
    Event {
        kind: Some(word),
        identifier: Some(key.identifier.to_string()),
        version: row.map(|row| row.served),
        sequence,
        ..Event::of(environment, event, "")
    }
}

fn kind(kind: proto::ItemKind) -> Option<ItemKind> {
    match kind {
        proto::ItemKind::Flag => Some(ItemKind::Flag),
        proto::ItemKind::Segment => Some(ItemKind::Segment),
        proto::ItemKind::Target => Some(ItemKind::Target),
        proto::ItemKind::Unspecified => None,
    }
}

fn key(it: &proto::ItemKey) -> Result<ItemKey, String> {
    let kind = kind(it.kind()).ok_or("an item has no kind")?;
    Ok(ItemKey { kind, identifier: it.identifier.as_str().into() })
}

fn read(it: &proto::Item) -> Result<Item, String> {
    let kind = kind(it.kind()).ok_or("an item has no kind")?;
    let text = std::str::from_utf8(&it.json).map_err(|error| error.to_string())?;
    let json = Json::parse(text).map_err(|error| format!("a {kind} is no JSON: {}", error.what))?;
    Item::from_json(kind, &json)
}
