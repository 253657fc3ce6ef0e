//! What changed in a configured target.

use std::collections::BTreeMap;

use serde_json::Value;

use super::members::{Change, differing, pairs};
use super::wording::text;

/// Members that this file has words for.
pub(super) const MEMBERS: &[&str] = &["name", "attributes"];

pub(super) fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some((old, new)) = differing(before, after, "name") {
        changes.push(Change::new("name", format!("name {} → {}", text(old), text(new)), old, new));
    }
    let (old, new) = (attributes(before), attributes(after));
    for (name, old, new) in pairs(&old, &new) {
        let said = format!("attribute {name}: {} → {}", text(old), text(new));
        changes.push(Change::new(format!("attributes.{name}"), said, old, new));
    }
    changes
}

fn attributes(target: &Value) -> BTreeMap<String, &Value> {
    let members = target.get("attributes").and_then(Value::as_object);
    members.into_iter().flatten().map(|(name, value)| (name.clone(), value)).collect()
}
