//! The JSON that SDKs get: the source's own, with the guarantees that SDKs
//! need to survive it (`http-api.md`, "Flags, segments").

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;

use super::item::{Item, ItemKind, only_clause};
use crate::model::json::{Json, JsonError};

/// One item with the version it is served with, ready to be sent.
#[derive(Clone, Debug)]
pub struct ServedItem {
    pub item: Arc<Item>,
    /// The served version, which only ever rises.
    pub version: i64,
    /// Flags: the one form. Segments: the form of `rules=v2`.
    pub json: Bytes,
    /// Segments without `rules=v2`; for flags the same bytes as `json`.
    pub legacy_json: Bytes,
    /// True if `legacy_json` leaves out rules that it cannot express.
    pub loses_rules: bool,
}

impl ServedItem {
    /// Renders an item.
    ///
    /// # Errors
    /// The item's text is no JSON: a fault of the code that made the item.
    pub fn render(item: &Arc<Item>, version: i64, and_rules: bool) -> Result<Self, JsonError> {
        let json = Json::parse(&item.text)?;
        let mut served = ServedItem {
            item: Arc::clone(item),
            version,
            json: Bytes::new(),
            legacy_json: Bytes::new(),
            loses_rules: false,
        };
        match item.key.kind {
            ItemKind::Segment => {
                let (segment, own_rules) = segment(json, version, and_rules);
                let (legacy, loses_rules) = legacy_segment(segment.clone(), own_rules);
                served.json = bytes(&segment);
                served.legacy_json = bytes(&legacy);
                served.loses_rules = loses_rules;
            }
            ItemKind::Flag | ItemKind::Target => {
                served.json = bytes(&flag(json, version));
                served.legacy_json = served.json.clone();
            }
        }
        Ok(served)
    }
}

fn bytes(json: &Json<'_>) -> Bytes {
    thread_local! {
        static DRAFT: RefCell<String> = const { RefCell::new(String::new()) };
    }
    DRAFT.with_borrow_mut(|draft| {
        draft.clear();
        json.write_compact(draft);
        Bytes::copy_from_slice(draft.as_bytes())
    })
}

/// Ruby and old .NET need the lists, Erlang `targets` in each map entry, Go
/// `version`, Python and Erlang no `null`, Java no empty `distribution`
/// beside a `variation`, Python every field that its reader calls required.
fn flag(mut json: Json<'_>, version: i64) -> Json<'_> {
    for list in ["prerequisites", "rules", "variationToTargetMap", "variations"] {
        ensure_list(&mut json, list);
    }
    for field in ["project", "environment"] {
        ensure_text(&mut json, field, String::new());
    }
    each(&mut json, "variationToTargetMap", |entry| {
        ensure_list(entry, "targets");
        each(entry, "targets", ensure_target_name);
        drop_null_elements(entry, "targetSegments");
    });
    each(&mut json, "prerequisites", |prerequisite| ensure_list(prerequisite, "variations"));
    each(&mut json, "rules", |rule| {
        ensure_rule(rule);
        member(rule, "serve", serve);
    });
    member(&mut json, "defaultServe", serve);
    json.set("version", Json::number(version));
    without_nulls(&mut json);
    json
}

/// The form for `rules=v2`, and the source's own legacy rules.
fn segment(mut json: Json<'_>, version: i64, and_rules: bool) -> (Json<'_>, Json<'_>) {
    let identifier = json.get("identifier").and_then(Json::as_str).unwrap_or_default().to_owned();
    ensure_text(&mut json, "name", identifier);
    for list in ["included", "excluded"] {
        ensure_list(&mut json, list);
        each(&mut json, list, |target| {
            ensure_target_name(target);
            for field in ["account", "org", "environment", "project"] {
                ensure_text(target, field, String::new());
            }
        });
    }
    for list in ["rules", "servingRules"] {
        ensure_list(&mut json, list);
    }
    each(&mut json, "rules", clause);
    each(&mut json, "servingRules", ensure_rule);
    each(&mut json, "tags", tag);
    let own_rules = json.get("rules").cloned().unwrap_or(Json::Null);
    if and_rules && !is_empty(&json, "servingRules") {
        json.set("rules", Json::Array(Vec::new()));
    }
    if !and_rules {
        // The Go proxy v2's default: it widens the group, see evaluation.md.
        let serving = json.remove("servingRules");
        if is_empty(&json, "rules") {
            json.set("rules", Json::Array(first_clauses(serving.as_ref())));
        }
    }
    json.set("version", Json::number(version));
    without_nulls(&mut json);
    (json, own_rules)
}

/// SDKs that do not ask for `rules=v2` know only a flat list of clauses of
/// which any may hold. A serving rule of several clauses cannot be said in
/// it and is left out: fewer targets, never more. Legacy rules that the
/// source itself gives are served as they are.
fn legacy_segment<'a>(mut json: Json<'a>, own_rules: Json<'a>) -> (Json<'a>, bool) {
    let serving = json.remove("servingRules");
    if own_rules.as_array().is_some_and(|rules| !rules.is_empty()) {
        json.set("rules", own_rules);
        return (json, false);
    }
    let Some(rules) = serving.as_ref().and_then(Json::as_array).filter(|rules| !rules.is_empty()) else {
        return (json, false);
    };
    let clauses: Vec<Json<'_>> = rules.iter().filter_map(only_clause).cloned().collect();
    let loses_rules = clauses.len() < rules.len();
    json.set("rules", Json::Array(clauses));
    (json, loses_rules)
}

fn first_clauses<'a>(serving: Option<&Json<'a>>) -> Vec<Json<'a>> {
    let rules = serving.and_then(Json::as_array).unwrap_or_default();
    rules.iter().filter_map(|rule| rule.get("clauses")?.as_array()?.first().cloned()).collect()
}

/// Python reads no rule without `ruleId` and `priority`.
fn ensure_rule(rule: &mut Json<'_>) {
    ensure_text(rule, "ruleId", String::new());
    if !matches!(rule.get("priority"), Some(Json::Number(_))) {
        rule.set("priority", Json::number(0));
    }
    ensure_list(rule, "clauses");
    each(rule, "clauses", clause);
}

/// A target's name is its identifier where it has none.
fn ensure_target_name(target: &mut Json<'_>) {
    let identifier = target.get("identifier").and_then(Json::as_str).unwrap_or_default().to_owned();
    ensure_text(target, "identifier", String::new());
    ensure_text(target, "name", identifier);
}

/// Tags come as `{name, value}` and as `{identifier, name}`; Python starts
/// with neither field missing.
fn tag(tag: &mut Json<'_>) {
    let text = |field: &str| tag.get(field).and_then(Json::as_str).map(str::to_owned);
    let name = text("name").or_else(|| text("identifier")).unwrap_or_default();
    let identifier = text("value").unwrap_or_else(|| name.clone());
    ensure_text(tag, "identifier", identifier);
    ensure_text(tag, "name", name);
}

fn clause(clause: &mut Json<'_>) {
    if !matches!(clause.get("negate"), Some(Json::Bool(_))) {
        clause.set("negate", Json::Bool(false));
    }
    ensure_list(clause, "values");
}

fn serve(serve: &mut Json<'_>) {
    let has_variation = matches!(serve.get("variation"), Some(Json::String(_)));
    let empty = serve.get("distribution").is_some_and(|distribution| is_empty(distribution, "variations"));
    if has_variation && empty {
        serve.remove("distribution");
    }
    member(serve, "distribution", |distribution| ensure_list(distribution, "variations"));
}

fn is_empty(json: &Json<'_>, list: &str) -> bool {
    json.get(list).and_then(Json::as_array).is_none_or(<[_]>::is_empty)
}

fn ensure_list(json: &mut Json<'_>, list: &'static str) {
    if json.get(list).and_then(Json::as_array).is_none() {
        json.set(list, Json::Array(Vec::new()));
    }
    drop_null_elements(json, list);
}

fn drop_null_elements(json: &mut Json<'_>, list: &str) {
    member(json, list, |value| {
        if let Json::Array(elements) = value {
            elements.retain(|element| *element != Json::Null);
        }
    });
}

fn ensure_text(json: &mut Json<'_>, field: &'static str, default: String) {
    if json.get(field).and_then(Json::as_str).is_none() {
        json.set(field, Json::String(Cow::Owned(default)));
    }
}

fn member<'a>(json: &mut Json<'a>, key: &str, change: impl FnOnce(&mut Json<'a>)) {
    if let Json::Object(members) = json
        && let Some((_, value)) = members.iter_mut().find(|(k, _)| k == key)
    {
        change(value);
    }
}

fn each<'a>(json: &mut Json<'a>, list: &str, mut change: impl FnMut(&mut Json<'a>)) {
    member(json, list, |value| {
        if let Json::Array(elements) = value {
            elements.iter_mut().for_each(&mut change);
        }
    });
}

/// Removes every member that is `null`, at any depth.
fn without_nulls(json: &mut Json<'_>) {
    match json {
        Json::Object(members) => {
            members.retain(|(_, value)| *value != Json::Null);
            members.iter_mut().for_each(|(_, value)| without_nulls(value));
        }
        Json::Array(elements) => elements.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(kind: ItemKind, text: &str, and_rules: bool) -> (String, String, bool) {
        let item = Arc::new(Item::from_json(kind, &Json::parse(text).unwrap()).unwrap());
        let served = ServedItem::render(&item, 7, and_rules).unwrap();
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&served.json), text(&served.legacy_json), served.loses_rules)
    }

    #[test]
    fn a_flag_gets_what_sdks_need_and_keeps_the_rest() {
        let (json, ..) = render(
            ItemKind::Flag,
            r#"{"feature":"f","x":{"y":1.50,"z":null},"prerequisites":null,
                "variationToTargetMap":[{"variation":"a","targets":null,"targetSegments":null}],
                "defaultServe":{"variation":"a","distribution":{"bucketBy":"","variations":[]}},
                "rules":[{"clauses":[{"op":"in"}],"serve":{"variation":"a","distribution":null}}]}"#,
            true,
        );
        assert_eq!(
            json,
            concat!(
                r#"{"feature":"f","x":{"y":1.50},"prerequisites":[],"#,
                r#""variationToTargetMap":[{"variation":"a","targets":[]}],"defaultServe":{"variation":"a"},"#,
                r#""rules":[{"clauses":[{"op":"in","negate":false,"values":[]}],"serve":{"variation":"a"},"#,
                r#""ruleId":"","priority":0}],"variations":[],"project":"","environment":"","version":7}"#
            )
        );
    }

    const GROUP: &str = r#"{"identifier":"s","included":[{"identifier":"t"}],"servingRules":[
        {"ruleId":"a","clauses":[{"op":"in","values":["1"]}]},
        {"ruleId":"b","clauses":[{"op":"in","values":["2"]},{"op":"gt","values":["3"]}]}]}"#;

    #[test]
    fn a_segment_has_serving_rules_or_what_older_sdks_can_read() {
        let (v2, legacy, loses) = render(ItemKind::Segment, GROUP, true);
        assert!(v2.contains(r#""servingRules":[{"ruleId":"a""#) && v2.contains(r#""rules":[]"#), "{v2}");
        assert!(!legacy.contains("servingRules"), "{legacy}");
        assert!(legacy.contains(r#""rules":[{"op":"in","values":["1"],"negate":false}]"#), "{legacy}");
        assert!(loses);
        assert!(v2.contains(
            r#""included":[{"identifier":"t","name":"t","account":"","org":"","environment":"","project":""}]"#
        ));
        let (v2, legacy, loses) =
            render(ItemKind::Segment, r#"{"identifier":"s","rules":[{"op":"in","values":[]}]}"#, true);
        let both = r#"{"identifier":"s","rules":[{"op":"gt","values":[]}],"servingRules":[{"clauses":[{"op":"in"}]}]}"#;
        let (both_v2, both_legacy, _) = render(ItemKind::Segment, both, true);
        assert!(both_v2.contains(r#""rules":[]"#) && both_legacy.contains(r#""rules":[{"op":"gt""#), "{both_legacy}");
        assert!(v2.contains(r#""rules":[{"op":"in""#) && legacy.contains(r#""rules":[{"op":"in""#) && !loses);
    }

    #[test]
    fn tags_have_both_fields_that_python_needs() {
        let (json, ..) = render(
            ItemKind::Segment,
            r#"{"identifier":"s","tags":[{"name":"team","value":"a"},{"identifier":"x"},{}]}"#,
            true,
        );
        let tags = r#""tags":[{"name":"team","value":"a","identifier":"a"},{"identifier":"x","name":"x"},{"identifier":"","name":""}]"#;
        assert!(json.contains(tags), "{json}");
    }

    #[test]
    fn without_and_rules_the_first_clauses_widen_the_group() {
        let (v2, legacy, _) = render(ItemKind::Segment, GROUP, false);
        assert_eq!(v2, legacy);
        assert!(!v2.contains("servingRules"));
        assert!(
            v2.contains(r#""values":["1"]"#) && v2.contains(r#""values":["2"]"#) && !v2.contains(r#""values":["3"]"#)
        );
    }
}
