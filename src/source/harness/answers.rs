//! Harness's answers, read. What is cut short, no JSON or of a wrong shape is
//! an error, and never content.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::call_error::CallError;
use crate::model::json::Json;
use crate::model::json_parser::Parser;
use crate::model::{FeatureConfig, Segment, Target};
use crate::snapshot::content::{EnvironmentId, KeyHash};
use crate::snapshot::item::{Digest, Item, ItemKey, ItemKind};

fn unusable(what: impl ToString) -> CallError {
    CallError::Unusable(what.to_string())
}

fn text(body: &[u8]) -> Result<&str, CallError> {
    std::str::from_utf8(body).map_err(|_| unusable("it is not UTF-8"))
}

/// `{"authToken":"…"}`
pub fn token(body: &[u8]) -> Result<String, CallError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        auth_token: String,
    }
    // What stands in it is not repeated: it may be a token.
    serde_json::from_slice::<Answer>(body)
        .ok()
        .map(|answer| answer.auth_token)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| unusable("it holds no authToken"))
}

/// A list of flags or segments; `null` means none.
pub fn items(kind: ItemKind, body: &[u8]) -> Result<Vec<Arc<Item>>, CallError> {
    let elements = Parser::new(text(body)?).list().map_err(unusable)?;
    elements.iter().map(|(_, _, json)| read_item(kind, json)).collect::<Result<_, _>>().map(unique)
}

/// One flag or segment, which must be the one that was asked for.
pub fn item(key: &ItemKey, body: &[u8]) -> Result<Arc<Item>, CallError> {
    let json = Json::parse(text(body)?).map_err(unusable)?;
    let item = read_item(key.kind, &json)?;
    if item.key != *key {
        return Err(unusable(format!("it is another {} than the one asked for", key.kind)));
    }
    Ok(item)
}

fn read_item(kind: ItemKind, json: &Json<'_>) -> Result<Arc<Item>, CallError> {
    let item = Item::from_json(kind, json).map_err(unusable)?;
    let shape = match kind {
        ItemKind::Flag => serde_json::from_str::<FeatureConfig>(&item.text).err(),
        ItemKind::Segment => serde_json::from_str::<Segment>(&item.text).err(),
        ItemKind::Target => serde_json::from_str::<Target>(&item.text).err(),
    };
    match shape {
        Some(error) => Err(unusable(format!("{kind} '{}': {error}", item.identifier()))),
        None => Ok(Arc::new(item)),
    }
}

/// Of two items with one identifier the last counts, as in Go's maps.
fn unique(items: Vec<Arc<Item>>) -> Vec<Arc<Item>> {
    let by_key: BTreeMap<_, _> = items.into_iter().map(|item| (item.key.clone(), item)).collect();
    by_key.into_values().collect()
}

/// One page of key hashes.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyPage {
    pub hashes: Vec<KeyHash>,
    /// Rows on the page, those without a hash included.
    pub rows: usize,
    /// `None` where the answer does not say.
    pub page_count: Option<usize>,
}

/// `{"apiKeys":[{"key":"<sha256 hex>"…}],"pageCount":n…}`; rows without a
/// `key` are skipped.
pub fn key_page(body: &[u8]) -> Result<KeyPage, CallError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        api_keys: Option<Vec<Row>>,
        page_count: Option<usize>,
    }
    #[derive(Deserialize)]
    struct Row {
        key: Option<String>,
    }
    // The JSON error could repeat a key.
    let answer: Answer = serde_json::from_slice(body).map_err(|_| unusable("it is no list of API keys"))?;
    let rows = answer.api_keys.unwrap_or_default();
    let hashes = rows.iter().filter_map(|row| Digest::from_hex(row.key.as_deref()?)).collect();
    Ok(KeyPage { hashes, rows: rows.len(), page_count: answer.page_count })
}

/// One page of targets.
#[derive(Debug)]
pub struct TargetPage {
    pub targets: Vec<Arc<Item>>,
    pub rows: usize,
    pub page_count: Option<usize>,
}

/// `{"targets":[Target…],"pageCount":n…}`; rows without an identifier are
/// skipped.
pub fn target_page(body: &[u8]) -> Result<TargetPage, CallError> {
    let json = Json::parse(text(body)?).map_err(unusable)?;
    if !matches!(json, Json::Object(_)) {
        return Err(unusable("it is no page of targets"));
    }
    let rows = match json.get("targets") {
        None | Some(Json::Null) => &[],
        Some(Json::Array(rows)) => rows.as_slice(),
        Some(_) => return Err(unusable("its targets are no list")),
    };
    let named = rows.iter().filter(|row| row.get("identifier").and_then(Json::as_str).is_some_and(|id| !id.is_empty()));
    let targets = named.map(|row| read_item(ItemKind::Target, row)).collect::<Result<Vec<_>, _>>()?;
    Ok(TargetPage { targets, rows: rows.len(), page_count: count(&json, "pageCount") })
}

/// One environment of `/proxy/config`.
#[derive(Debug)]
pub struct ConfigEnvironment {
    pub id: EnvironmentId,
    pub hashes: Vec<KeyHash>,
    pub flags: Vec<Arc<Item>>,
    pub segments: Vec<Arc<Item>>,
}

/// One page of `/proxy/config`.
#[derive(Debug)]
pub struct ConfigPage {
    /// Each is usable, or not, by itself.
    pub environments: Vec<(EnvironmentId, Result<ConfigEnvironment, CallError>)>,
    pub page_count: Option<usize>,
}

/// `{"environments":[{"id","apiKeys","featureConfigs","segments"}],…}`
pub fn config_page(body: &[u8]) -> Result<ConfigPage, CallError> {
    let json = Json::parse(text(body)?).map_err(unusable)?;
    let rows = match json.get("environments") {
        Some(Json::Array(rows)) => rows.as_slice(),
        Some(Json::Null) => &[],
        _ => return Err(unusable("it has no environments")),
    };
    let environments = rows.iter().map(named_environment).collect::<Result<_, _>>()?;
    Ok(ConfigPage { environments, page_count: count(&json, "pageCount") })
}

fn named_environment(json: &Json<'_>) -> Result<(EnvironmentId, Result<ConfigEnvironment, CallError>), CallError> {
    let id = json.get("id").and_then(Json::as_str).filter(|id| !id.is_empty());
    let id = EnvironmentId::new(id.ok_or_else(|| unusable("an environment has no id"))?);
    let environment = config_environment(id.clone(), json);
    Ok((id, environment))
}

fn config_environment(id: EnvironmentId, json: &Json<'_>) -> Result<ConfigEnvironment, CallError> {
    let list = |name: &str| match json.get(name) {
        None | Some(Json::Null) => Ok(&[][..]),
        Some(Json::Array(rows)) => Ok(rows.as_slice()),
        Some(_) => Err(unusable(format!("{name} of environment {id} is no list"))),
    };
    let items =
        |kind, name: &str| list(name)?.iter().map(|row| read_item(kind, row)).collect::<Result<_, _>>().map(unique);
    let hash = |row: &Json<'_>| row.as_str().and_then(Digest::from_hex);
    let hashes = list("apiKeys")?.iter().map(|row| hash(row).ok_or_else(|| unusable("an API key is no SHA-256")));
    Ok(ConfigEnvironment {
        hashes: hashes.collect::<Result<_, _>>()?,
        flags: items(ItemKind::Flag, "featureConfigs")?,
        segments: items(ItemKind::Segment, "segments")?,
        id,
    })
}

fn count(json: &Json<'_>, name: &str) -> Option<usize> {
    json.get(name).and_then(Json::as_i64).and_then(|count| usize::try_from(count).ok())
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
