//! What changed in a segment (target group).

use std::collections::BTreeSet;

use serde_json::Value;

use super::members::{Change, differing, keyed, member, pairs};
use super::wording::{clause, clauses, names, text};

/// Members that this file has words for.
pub(super) const MEMBERS: &[&str] = &["name", "included", "excluded", "rules", "servingRules", "version"];

pub(super) fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some((old, new)) = differing(before, after, "name") {
        changes.push(Change::new("name", format!("name {} → {}", text(old), text(new)), old, new));
    }
    for list in ["included", "excluded"] {
        changes.extend(members(before, after, list));
    }
    changes.extend(rules(before, after));
    changes.extend(serving_rules(before, after));
    if let Some((old, new)) = differing(before, after, "version") {
        changes.push(Change::new("version", format!("version {} → {}", text(old), text(new)), old, new));
    }
    changes
}

fn members(before: &Value, after: &Value, list: &str) -> Option<Change> {
    let (old, new) = differing(before, after, list)?;
    let identifiers = |value: Option<&Value>| -> BTreeSet<String> {
        value.and_then(Value::as_array).into_iter().flatten().map(|it| text(it.get("identifier"))).collect()
    };
    let (was, is) = (identifiers(old), identifiers(new));
    let added: Vec<String> = is.difference(&was).cloned().collect();
    let removed: Vec<String> = was.difference(&is).cloned().collect();
    let said = match (added.is_empty(), removed.is_empty()) {
        (true, true) => return None,
        (false, true) => format!("{list}: + {}", names(added)),
        (true, false) => format!("{list}: - {}", names(removed)),
        (false, false) => format!("{list}: + {}; - {}", names(added), names(removed)),
    };
    Some(Change::new(list, said, old, new))
}

/// Rules of one clause each, which have no names that stay.
fn rules(before: &Value, after: &Value) -> Vec<Change> {
    let words = |segment: &Value| -> BTreeSet<String> {
        member(segment, "rules").and_then(Value::as_array).into_iter().flatten().map(clause).collect()
    };
    let (was, is) = (words(before), words(after));
    let added = is.difference(&was).map(|words| Change::new("rules", format!("rule added: if {words}"), None, None));
    let removed =
        was.difference(&is).map(|words| Change::new("rules", format!("rule removed: if {words}"), None, None));
    added.chain(removed).collect()
}

fn serving_rules(before: &Value, after: &Value) -> Vec<Change> {
    let list = |segment| keyed(segment, "servingRules", "ruleId");
    let condition = |rule: Option<&Value>| clauses(rule.and_then(|it| it.get("clauses")));
    let say = |(name, old, new): (String, Option<&Value>, Option<&Value>)| {
        let said = match (old, new) {
            (None, _) => format!("serving rule {name} added: if {}", condition(new)),
            (_, None) => format!("serving rule {name} removed: if {}", condition(old)),
            _ if condition(old) == condition(new) => format!("serving rule {name}: its priority or other members"),
            _ => format!("serving rule {name}: if {} → {}", condition(old), condition(new)),
        };
        Change::new(format!("servingRules.{name}"), said, old, new)
    };
    pairs(&list(before), &list(after)).into_iter().map(say).collect()
}
