//! What changed in an item, and how members are compared.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::wording::shortened;

/// One thing that differs in an item.
#[derive(Debug, Serialize)]
pub struct Change {
    /// Names it for programs: a member, or a list's element such as
    /// `rules.beta`.
    pub what: String,
    /// Says it to people.
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl Change {
    pub(super) fn new(
        what: impl Into<String>,
        text: impl Into<String>,
        before: Option<&Value>,
        after: Option<&Value>,
    ) -> Self {
        Change { what: what.into(), text: text.into(), before: before.cloned(), after: after.cloned() }
    }
}

/// A member; `None` if it is missing or null, which mean the same.
pub(super) fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// Both sides of a member where it differs.
pub(super) fn differing<'a>(
    before: &'a Value,
    after: &'a Value,
    name: &str,
) -> Option<(Option<&'a Value>, Option<&'a Value>)> {
    let (old, new) = (member(before, name), member(after, name));
    (old != new).then_some((old, new))
}

/// The elements of a list by what names them, in the list's order where
/// nothing does.
pub(super) fn keyed<'a>(object: &'a Value, list: &str, key: &str) -> BTreeMap<String, &'a Value> {
    let elements = object.get(list).and_then(Value::as_array).into_iter().flatten().enumerate();
    let name = |(at, element): (usize, &'a Value)| {
        let named = element.get(key).and_then(Value::as_str).filter(|name| !name.is_empty());
        (named.map_or_else(|| format!("#{}", at + 1), str::to_owned), element)
    };
    elements.map(name).collect()
}

/// Elements of two lists that differ, by name.
pub(super) fn pairs<'a>(
    before: &BTreeMap<String, &'a Value>,
    after: &BTreeMap<String, &'a Value>,
) -> Vec<(String, Option<&'a Value>, Option<&'a Value>)> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let both = names.into_iter().map(|name| (name.clone(), before.get(name).copied(), after.get(name).copied()));
    both.filter(|(_, old, new)| old != new).collect()
}

/// Members that nobody has words for.
pub(super) fn generic(before: &Value, after: &Value, known: &[&str]) -> Vec<Change> {
    let names = |value: &Value| -> BTreeSet<String> {
        value.as_object().into_iter().flat_map(|members| members.keys().cloned()).collect()
    };
    let all: BTreeSet<String> = names(before).union(&names(after)).cloned().collect();
    let mut changes = Vec::new();
    for name in all.iter().filter(|name| !known.contains(&name.as_str())) {
        let (old, new) = (before.get(name), after.get(name));
        if old != new {
            let text = match (old, new) {
                (None, Some(new)) => format!("{name} {} is new", shortened(new)),
                (Some(old), None) => format!("{name} {} is gone", shortened(old)),
                (old, new) => {
                    let text = |value: Option<&Value>| value.map(shortened).unwrap_or_default();
                    format!("{name} {} → {}", text(old), text(new))
                }
            };
            changes.push(Change::new(name, text, old, new));
        }
    }
    changes
}
