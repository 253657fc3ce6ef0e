//! Values of flags in words.

use serde_json::Value;

/// Longer JSON is cut.
const MAX_CHARS: usize = 80;

/// Names listed one by one; more are a number.
const MAX_NAMES: usize = 8;

/// JSON in one line.
pub(super) fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= MAX_CHARS {
        return text;
    }
    format!("{}…", text.chars().take(MAX_CHARS).collect::<String>())
}

/// A text member; anything else as JSON.
pub(super) fn text(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => shortened(other),
    }
}

/// What a `serve` serves: a variation, or a rollout.
pub(super) fn serve(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    if let Some(distribution) = value.get("distribution").filter(|it| !it.is_null()) {
        let share =
            |it: &Value| format!("{} {} %", text(it.get("variation")), it.get("weight").unwrap_or(&Value::Null));
        let shares = distribution.get("variations").and_then(Value::as_array).into_iter().flatten().map(share);
        let by = text(distribution.get("bucketBy").filter(|it| it.as_str() != Some("")));
        return format!("a rollout by {by} ({})", shares.collect::<Vec<_>>().join(", "));
    }
    text(value.get("variation"))
}

/// Clauses joined as a rule joins them.
pub(super) fn clauses(value: Option<&Value>) -> String {
    let all = value.and_then(Value::as_array).into_iter().flatten().map(clause).collect::<Vec<_>>();
    if all.is_empty() { "nothing".to_owned() } else { all.join(" and ") }
}

pub(super) fn clause(value: &Value) -> String {
    let op = text(value.get("op"));
    let values = value.get("values").and_then(Value::as_array).into_iter().flatten().map(|it| text(Some(it)));
    let values = names(values);
    let not = if value.get("negate") == Some(&Value::Bool(true)) { "not " } else { "" };
    match value.get("attribute").and_then(Value::as_str).filter(|attribute| !attribute.is_empty()) {
        Some(attribute) => format!("{not}{attribute} {op} {values}"),
        None => format!("{not}{op} {values}"),
    }
}

/// A list of names, the rest as a number.
pub(super) fn names(all: impl IntoIterator<Item = String>) -> String {
    let mut all = all.into_iter();
    let shown: Vec<String> = all.by_ref().take(MAX_NAMES).collect();
    match (shown.is_empty(), all.count()) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}
