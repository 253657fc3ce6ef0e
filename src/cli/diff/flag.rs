//! What changed in a flag.

use std::collections::BTreeSet;

use serde_json::Value;

use super::members::{Change, differing, keyed, member, pairs};
use super::wording::{clauses, names, serve, text};

/// Members that this file has words for.
pub(super) const MEMBERS: &[&str] = &[
    "state",
    "kind",
    "defaultServe",
    "offVariation",
    "variations",
    "rules",
    "prerequisites",
    "variationToTargetMap",
    "version",
];

pub(super) fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut simple = |name: &str, say: &dyn Fn(Option<&Value>, Option<&Value>) -> String| {
        if let Some((old, new)) = differing(before, after, name) {
            changes.push(Change::new(name, say(old, new), old, new));
        }
    };
    simple("state", &|_, new| format!("turned {}", text(new)));
    simple("kind", &|old, new| format!("kind {} → {}", text(old), text(new)));
    simple("defaultServe", &|old, new| format!("default serves {} → {}", serve(old), serve(new)));
    simple("offVariation", &|old, new| format!("off serves {} → {}", text(old), text(new)));
    changes.extend(variations(before, after));
    changes.extend(rules(before, after));
    changes.extend(prerequisites(before, after));
    changes.extend(target_map(before, after));
    if let Some((old, new)) = differing(before, after, "version") {
        changes.push(Change::new("version", format!("version {} → {}", text(old), text(new)), old, new));
    }
    changes
}

fn variations(before: &Value, after: &Value) -> Vec<Change> {
    let list = |flag| keyed(flag, "variations", "identifier");
    let say = |(name, old, new): (String, Option<&Value>, Option<&Value>)| {
        let value = |variation: Option<&Value>| text(variation.and_then(|it| member(it, "value")));
        let said = match (old, new) {
            (None, _) => format!("variation {name} added: {}", value(new)),
            (_, None) => format!("variation {name} removed"),
            _ if value(old) == value(new) => format!("variation {name}: its name or description"),
            _ => format!("variation {name}: {} → {}", value(old), value(new)),
        };
        Change::new(format!("variations.{name}"), said, old, new)
    };
    pairs(&list(before), &list(after)).into_iter().map(say).collect()
}

fn rules(before: &Value, after: &Value) -> Vec<Change> {
    let list = |flag| keyed(flag, "rules", "ruleId");
    let mut changes = Vec::new();
    for (name, old, new) in pairs(&list(before), &list(after)) {
        let part = |rule: Option<&Value>, member_name: &str| rule.and_then(|it| member(it, member_name)).cloned();
        let whole = |rule: Option<&Value>| {
            let condition = clauses(part(rule, "clauses").as_ref());
            format!("if {condition}: {}", serve(part(rule, "serve").as_ref()))
        };
        let said = match (old, new) {
            (None, _) => format!("rule {name} added: {}", whole(new)),
            (_, None) => format!("rule {name} removed: {}", whole(old)),
            _ => {
                let mut said = Vec::new();
                let [old_if, new_if] = [old, new].map(|rule| clauses(part(rule, "clauses").as_ref()));
                let [old_serve, new_serve] = [old, new].map(|rule| serve(part(rule, "serve").as_ref()));
                let [old_priority, new_priority] = [old, new].map(|rule| text(part(rule, "priority").as_ref()));
                for (what, old, new) in
                    [("if", old_if, new_if), ("serves", old_serve, new_serve), ("priority", old_priority, new_priority)]
                {
                    if old != new {
                        said.push(format!("{what} {old} → {new}"));
                    }
                }
                let said = if said.is_empty() { "other members".to_owned() } else { said.join("; ") };
                format!("rule {name}: {said}")
            }
        };
        changes.push(Change::new(format!("rules.{name}"), said, old, new));
    }
    changes
}

fn prerequisites(before: &Value, after: &Value) -> Vec<Change> {
    let list = |flag| keyed(flag, "prerequisites", "feature");
    let wanted = |it: Option<&Value>| {
        let variations = it.and_then(|it| it.get("variations")).and_then(Value::as_array);
        names(variations.into_iter().flatten().map(|it| text(Some(it))))
    };
    let say = |(name, old, new): (String, Option<&Value>, Option<&Value>)| {
        let said = match (old, new) {
            (None, _) => format!("prerequisite {name} added: one of {}", wanted(new)),
            (_, None) => format!("prerequisite {name} removed"),
            _ => format!("prerequisite {name}: one of {} → {}", wanted(old), wanted(new)),
        };
        Change::new(format!("prerequisites.{name}"), said, old, new)
    };
    pairs(&list(before), &list(after)).into_iter().map(say).collect()
}

fn target_map(before: &Value, after: &Value) -> Vec<Change> {
    let list = |flag| keyed(flag, "variationToTargetMap", "variation");
    let mut changes = Vec::new();
    for (name, old, new) in pairs(&list(before), &list(after)) {
        let mut said = Vec::new();
        for (what, of) in [("target", targets as fn(Option<&Value>) -> BTreeSet<String>), ("segment", segments)] {
            let (old, new) = (of(old), of(new));
            for (sign, some) in [("+", new.difference(&old)), ("-", old.difference(&new))] {
                let some: Vec<String> = some.cloned().collect();
                if !some.is_empty() {
                    said.push(format!("{sign} {what} {}", names(some)));
                }
            }
        }
        let said = if said.is_empty() { "other members".to_owned() } else { said.join("; ") };
        let text = format!("target map of {name}: {said}");
        changes.push(Change::new(format!("variationToTargetMap.{name}"), text, old, new));
    }
    changes
}

fn targets(entry: Option<&Value>) -> BTreeSet<String> {
    let list = entry.and_then(|it| it.get("targets")).and_then(Value::as_array);
    list.into_iter().flatten().map(|it| text(it.get("identifier"))).collect()
}

fn segments(entry: Option<&Value>) -> BTreeSet<String> {
    let list = entry.and_then(|it| it.get("targetSegments")).and_then(Value::as_array);
    list.into_iter().flatten().map(|it| text(Some(it))).collect()
}
