//! One kind's list beside its single keys, which drift apart.
//!
//! * In both: the higher version. Of equal versions the single key's, which
//!   Go proxies and relays write first.
//! * In the list only: deleted, unless there are no single keys at all and
//!   no event named it; then the single keys are lost, not the items.
//! * A single key only: deleted; from v1 it is kept if it is newer than the
//!   whole list or an event named it, because v1 rewrites the list only when
//!   it polls. Without a readable list all single keys are kept: v2 does
//!   remove the list with its last segment and leave that one's key, but a
//!   deleted segment too many does less harm than every segment missing.
//! * A copy that cannot be read: the other one. Where there is no other, the
//!   whole read is an error: nobody is served without a flag unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{FoundKind, Layout, rules};
use crate::model::json::Json;
use crate::model::json_parser::Parser;
use crate::snapshot::item::{Item, ItemKey, ItemKind};

/// A copy of an item, or why it cannot be read.
type Reading = Result<Arc<Item>, String>;

/// What decides beside the two sides.
pub(super) struct Rules<'a> {
    pub kind: ItemKind,
    pub layout: Layout,
    /// Items that `proxy:sse_events` named.
    pub named: &'a BTreeSet<ItemKey>,
}

/// Brings both sides together.
///
/// # Errors
/// A sentence: an item that neither side holds in readable form.
pub(super) fn reconcile(
    rules: &Rules<'_>,
    found: &FoundKind,
    problems: &mut Vec<String>,
) -> Result<Vec<Arc<Item>>, String> {
    let kind = rules.kind;
    let list = List::read(kind, found.list.as_deref());
    if let Some(damage) = &list.damage {
        if list.copies.is_empty() && found.singles.is_empty() {
            return Err(format!("the list of {kind}s {damage}, and there are no single keys"));
        }
        problems.push(format!("the list of {kind}s {damage}; single keys are used where it does not help"));
    }
    let singles: BTreeMap<&str, Reading> =
        found.singles.iter().map(|(name, text)| (name.as_str(), single(kind, name, text))).collect();
    let unlisted = singles.keys().filter(|name| !list.copies.contains_key(**name)).count();
    if list.nameless > unlisted {
        return Err(format!("{} {kind}s of the list cannot be read and have no single key", list.nameless - unlisted));
    }
    if found.list.is_none() && !singles.is_empty() {
        problems.push(format!("the list of {kind}s is missing; all {} single keys are used", singles.len()));
    }
    let names: BTreeSet<&str> = singles.keys().copied().chain(list.copies.keys().map(String::as_str)).collect();
    let (mut items, mut deleted) = (Vec::with_capacity(names.len()), Vec::new());
    for name in names {
        let copy = match (list.copies.get(name), singles.get(name)) {
            (Some(listed), Some(single)) => better(kind, name, listed, single, problems).map(Some)?,
            (Some(listed), None) if rules.lost_its_key(name, &singles) => Some(only(kind, name, listed)?),
            (None, Some(single)) if rules.outlives_list(single, &list) => Some(only(kind, name, single)?),
            _ => None,
        };
        match copy {
            Some(item) => items.push(item),
            None => deleted.push(name),
        }
    }
    if let Some(first) = deleted.first() {
        let count = deleted.len();
        problems.push(format!(
            "{count} {kind}s stand in only one of the list and the single keys and count as deleted; the first is '{first}'"
        ));
    }
    Ok(items)
}

impl Rules<'_> {
    fn is_named(&self, name: &str) -> bool {
        self.named.contains(&ItemKey { kind: self.kind, identifier: Arc::from(name) })
    }

    fn lost_its_key(&self, name: &str, singles: &BTreeMap<&str, Reading>) -> bool {
        singles.is_empty() && !self.is_named(name)
    }

    fn outlives_list(&self, single: &Reading, list: &List) -> bool {
        if !list.is_complete() {
            return true;
        }
        match (self.layout, single) {
            (Layout::V2, _) => false,
            // It may be a new one: to leave it out would go unnoticed.
            (Layout::V1, Err(_)) => true,
            (Layout::V1, Ok(item)) => {
                list.highest.is_none_or(|highest| version(item) > highest) || self.is_named(item.identifier())
            }
        }
    }
}

fn version(item: &Item) -> i64 {
    item.version.unwrap_or(0)
}

fn better(
    kind: ItemKind,
    name: &str,
    listed: &Reading,
    single: &Reading,
    problems: &mut Vec<String>,
) -> Result<Arc<Item>, String> {
    match (listed, single) {
        (Ok(listed), Ok(single)) if version(listed) > version(single) => Ok(Arc::clone(listed)),
        (Ok(_), Ok(single)) => Ok(Arc::clone(single)),
        (Ok(listed), Err(why)) => {
            problems.push(format!("the single key of {kind} '{name}' {why}; the list's copy is used"));
            Ok(Arc::clone(listed))
        }
        (Err(why), Ok(single)) => {
            problems.push(format!("{kind} '{name}' in the list {why}; the single key is used"));
            Ok(Arc::clone(single))
        }
        (Err(_), Err(why)) => Err(format!("{kind} '{name}' cannot be read, neither in the list nor alone: it {why}")),
    }
}

fn only(kind: ItemKind, name: &str, copy: &Reading) -> Result<Arc<Item>, String> {
    copy.clone().map_err(|why| format!("{kind} '{name}' cannot be read, and there is no other copy: it {why}"))
}

/// The list's side.
#[derive(Default)]
struct List {
    copies: BTreeMap<String, Reading>,
    /// The highest version in it.
    highest: Option<i64>,
    /// Elements that do not say which item they are.
    nameless: usize,
    is_there: bool,
    damage: Option<String>,
}

impl List {
    fn read(kind: ItemKind, text: Option<&[u8]>) -> Self {
        let mut list = List { is_there: text.is_some(), ..List::default() };
        let Some(text) = text else {
            return list;
        };
        let elements = std::str::from_utf8(text)
            .map_err(|_| "is not UTF-8".to_owned())
            .and_then(|text| Parser::new(text).list().map_err(|error| format!("is damaged ({error})")));
        match elements {
            Ok(elements) => elements.into_iter().for_each(|(_, _, json)| list.add(kind, json)),
            Err(damage) => list.damage = Some(damage),
        }
        if list.nameless > 0 {
            list.damage = Some(format!("has {} elements that cannot be read", list.nameless));
        }
        list
    }

    fn add(&mut self, kind: ItemKind, json: Json<'_>) {
        let name = json.get(kind.identifier_field()).and_then(Json::as_str).filter(|name| !name.is_empty());
        let Some(name) = name.map(str::to_owned) else {
            self.nameless += 1;
            return;
        };
        let copy = item(kind, json);
        if let Ok(item) = &copy {
            self.highest = self.highest.max(Some(version(item)));
        }
        // Of two with one name the newer one counts.
        let newer = match (self.copies.get(&name), &copy) {
            (Some(Ok(known)), Ok(copy)) => version(copy) >= version(known),
            (Some(Ok(_)), Err(_)) => false,
            _ => true,
        };
        if newer {
            self.copies.insert(name, copy);
        }
    }

    /// Whether what it does not name is not there.
    fn is_complete(&self) -> bool {
        self.is_there && self.damage.is_none()
    }
}

fn single(kind: ItemKind, name: &str, text: &[u8]) -> Reading {
    let text = std::str::from_utf8(text).map_err(|_| "is not UTF-8".to_owned())?;
    let json = Json::parse(text).map_err(|error| format!("is damaged ({error})"))?;
    let item = item(kind, json)?;
    if item.identifier() != name {
        return Err(format!("holds '{}'", item.identifier()));
    }
    Ok(item)
}

fn item(kind: ItemKind, json: Json<'_>) -> Reading {
    let json = if kind == ItemKind::Segment { rules::without_first_clauses(json) } else { json };
    Item::from_json(kind, &json).map(Arc::new).map_err(|why| format!("is damaged ({why})"))
}

#[cfg(test)]
#[path = "drift_tests.rs"]
mod tests;
