//! What to write so that Go proxies find the environment as it is.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{event, stored};
use crate::model::json::Json;
use crate::snapshot::Snapshot;
use crate::snapshot::content::{EnvironmentId, KeyHash};
use crate::snapshot::item::{Item, ItemKey, ItemKind};
use crate::snapshot::ledger::ChangeKind;
use crate::snapshot::served::ServedItem;
use crate::source::redis::keys::go;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Set { key: String, value: Vec<u8> },
    Delete { key: String },
}

impl Write {
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Write::Set { key, .. } | Write::Delete { key } => key,
        }
    }
}

/// The steps from one state of an environment to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be done in this order: single items, lists, `…-latest`,
    /// `…-api-configs`, `auth-key-…`.
    ///
    /// An `auth-key-…` may be deleted only while it holds this environment's
    /// id: the SDK key may have gone over to another environment.
    pub writes: Vec<Write>,
    /// Values of `proxy:sse_events`' field: flags, then segments.
    pub events: Vec<String>,
    /// What `…-feature-configs-latest` holds afterwards, without the quotes;
    /// "" if it is gone.
    pub flags_latest: String,
    /// The same for `…-segments-latest`.
    pub segments_latest: String,
}

/// Plans the step to `after`. `before` is what the mirror was last written
/// from; without it everything is written, and told as created.
///
/// Reads each list once, so it takes time by the environment's size.
#[must_use]
pub fn plan(before: Option<&Snapshot>, after: &Snapshot) -> Plan {
    let environment = &after.environment;
    let mut plan = Plan::default();
    let (mut lists, mut latest) = (Vec::new(), Vec::new());
    let flags = (before.map_or(&[][..], |before| &before.flags), &after.flags[..]);
    let segments = (before.map_or(&[][..], |before| &before.segments), &after.segments[..]);
    let mut hashes = [String::new(), String::new()];
    for ((kind, (old, new)), hash) in
        [(ItemKind::Flag, flags), (ItemKind::Segment, segments)].into_iter().zip(&mut hashes)
    {
        let differences = difference(old, new, |served| served.item.identifier(), is_same);
        let list = stored::items(new);
        *hash = stored::latest(list.as_bytes());
        if before.is_none() || !differences.is_empty() {
            latest.push(set(go::latest(environment, kind), quoted(hash)));
            lists.push(set(go::list(environment, kind), list));
        }
        for row in differences {
            plan.item(after, row);
        }
    }
    let [flags_latest, segments_latest] = hashes;
    (plan.flags_latest, plan.segments_latest) = (flags_latest, segments_latest);
    let old_targets = before.map_or(&[][..], |before| &before.content.targets);
    lists.extend(plan.targets(environment, old_targets, &after.content.targets));
    plan.writes.extend(lists);
    plan.writes.extend(latest);
    plan.keys(environment, before.map(|before| &before.content.key_hashes[..]), &after.content.key_hashes);
    plan
}

/// Plans to remove an environment that went, as far as it is known here:
/// what SDKs are let in by first, then from the lists to the single items.
///
/// No events: they would make SDKs drop every flag one by one.
#[must_use]
pub fn removal(before: &Snapshot) -> Plan {
    let (environment, content) = (&before.environment, &before.content);
    let kinds = [ItemKind::Flag, ItemKind::Segment];
    let mut keys: Vec<String> = content.key_hashes.iter().map(go::auth_key).collect();
    keys.push(go::api_configs(environment));
    keys.extend(kinds.map(|kind| go::latest(environment, kind)));
    keys.extend(kinds.map(|kind| go::list(environment, kind)));
    keys.push(go::list(environment, ItemKind::Target));
    keys.extend(content.items().chain(&content.targets).map(|item| go::item(environment, &item.key)));
    Plan { writes: keys.into_iter().map(|key| Write::Delete { key }).collect(), ..Plan::default() }
}

impl Plan {
    fn item(&mut self, after: &Snapshot, row: Difference<'_, Arc<ServedItem>>) {
        let environment = &after.environment;
        let (Difference::Added(served) | Difference::Changed(served) | Difference::Removed(served)) = row;
        let key = &served.item.key;
        let (kind, version) = match row {
            Difference::Added(_) => (ChangeKind::Create, served.version),
            Difference::Changed(_) => (ChangeKind::Patch, served.version),
            Difference::Removed(_) => (ChangeKind::Delete, deletion(after, key, served.version)),
        };
        let name = go::item(environment, key);
        self.writes.push(match kind {
            ChangeKind::Delete => Write::Delete { key: name },
            ChangeKind::Create | ChangeKind::Patch => set(name, stored::item(served).into_owned()),
        });
        self.events.push(event::text(environment, key, kind, version));
    }

    /// The single targets; gives back what to do with their list. There is
    /// none without configured targets: Go proxies keep their own in it.
    fn targets(&mut self, environment: &EnvironmentId, old: &[Arc<Item>], new: &[Arc<Item>]) -> Option<Write> {
        let same = |a: &Arc<Item>, b: &Arc<Item>| Arc::ptr_eq(a, b) || a.text == b.text;
        let differences = difference(old, new, |item| item.identifier(), same);
        let is_changed = !differences.is_empty();
        self.writes.extend(differences.into_iter().map(|row| match row {
            Difference::Added(item) | Difference::Changed(item) => {
                set(go::item(environment, &item.key), item.text.to_string())
            }
            Difference::Removed(item) => Write::Delete { key: go::item(environment, &item.key) },
        }));
        let key = go::list(environment, ItemKind::Target);
        match (is_changed, new.is_empty()) {
            (false, _) => None,
            (true, true) => Some(Write::Delete { key }),
            (true, false) => Some(set(key, stored::targets(new))),
        }
    }

    fn keys(&mut self, environment: &EnvironmentId, old: Option<&[KeyHash]>, new: &[KeyHash]) {
        if old == Some(new) {
            return;
        }
        let names = new.iter().map(|hash| Json::String(go::auth_key(hash).into())).collect();
        self.writes.push(set(go::api_configs(environment), Json::Array(names).compact()));
        let rows = difference(old.unwrap_or_default(), new, |hash| hash, |_, _| true);
        self.writes.extend(rows.into_iter().map(|row| match row {
            Difference::Added(hash) | Difference::Changed(hash) => {
                set(go::auth_key(hash), quoted(environment.as_str()))
            }
            Difference::Removed(hash) => Write::Delete { key: go::auth_key(hash) },
        }));
    }
}

/// The version that a deletion was told with; above the item's if the ledger
/// has forgotten it.
fn deletion(after: &Snapshot, key: &ItemKey, version: i64) -> i64 {
    let known = after.ledger.entries.get(key).filter(|entry| entry.deleted);
    known.map_or_else(|| version.max(after.ledger.floor).saturating_add(1), |entry| entry.served)
}

/// Equal texts are stored: the text is made of nothing else.
fn is_same(a: &Arc<ServedItem>, b: &Arc<ServedItem>) -> bool {
    a.version == b.version && (Arc::ptr_eq(&a.item, &b.item) || a.item.text == b.item.text)
}

fn set(key: String, value: String) -> Write {
    Write::Set { key, value: value.into_bytes() }
}

pub(super) fn quoted(text: &str) -> String {
    Json::String(text.into()).compact()
}

/// What became of one element.
#[derive(Clone, Copy)]
enum Difference<'a, T> {
    Added(&'a T),
    Changed(&'a T),
    Removed(&'a T),
}

/// Compares two lists that are sorted by `name`, in one walk.
fn difference<'a, T, N: Ord + ?Sized>(
    old: &'a [T],
    new: &'a [T],
    name: fn(&T) -> &N,
    same: impl Fn(&T, &T) -> bool,
) -> Vec<Difference<'a, T>> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut rows = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(a), Some(b)) => name(a).cmp(name(b)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return rows,
        };
        let gone = if order.is_le() { old.next() } else { None };
        let here = if order.is_ge() { new.next() } else { None };
        match (gone, here) {
            (Some(a), Some(b)) if same(a, b) => {}
            (Some(_), Some(b)) => rows.push(Difference::Changed(b)),
            (Some(a), None) => rows.push(Difference::Removed(a)),
            (None, Some(b)) => rows.push(Difference::Added(b)),
            (None, None) => return rows,
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
