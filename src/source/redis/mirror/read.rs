//! From what was found to content.

use std::collections::BTreeSet;

use super::drift::{Rules, reconcile};
use super::{Found, FoundKind, Layout, keys, stored};
use crate::model::json::Json;
use crate::snapshot::content::Content;
use crate::snapshot::item::{Item, ItemKey, ItemKind};

/// What a mirror says.
#[derive(Clone, Debug)]
pub struct Read {
    /// Without targets, see `learnt`.
    pub content: Content,
    /// Identifier and JSON of every target, sorted by identifier.
    ///
    /// Nothing tells for sure which of them are configured: both kinds lie in
    /// the same keys. `account` and `org` come from upstream only, but a
    /// configured target's key outlives the target, and offline directories
    /// name neither. So none is taken for content.
    pub learnt: Vec<(String, String)>,
    /// Sentences for a log: what was mended or left out, and by which rule.
    /// They name flags and segments, no target and no key.
    pub problems: Vec<String>,
    pub layout: Layout,
    /// False if a list is not the one that its `…-latest` was made of: then
    /// somebody is writing, and it is worth reading again.
    pub settled: bool,
}

/// Reads an environment. `named` are the items that `proxy:sse_events` named.
///
/// # Errors
/// A sentence: nothing is stored, or too little to serve the environment.
pub fn read(found: &Found, named: &BTreeSet<ItemKey>) -> Result<Read, String> {
    let layout = found.layout();
    complete(found, layout)?;
    let mut problems = Vec::new();
    if layout == Layout::V1 {
        problems.push("a Go proxy v1 wrote this: it drops serving rules, so segments may have too few targets".into());
    }
    if found.flags.list.is_none() && found.flags.singles.is_empty() {
        problems.push("no flag is stored: the environment has none, or is not filled yet".into());
    }
    let mut items = Vec::new();
    for (kind, found) in [(ItemKind::Flag, &found.flags), (ItemKind::Segment, &found.segments)] {
        items.extend(reconcile(&Rules { kind, layout, named }, found, &mut problems)?);
    }
    let key_hashes = keys::read(found, &mut problems);
    let learnt = learnt(found, &mut problems);
    let content = Content::new(items, key_hashes).map_err(|duplicate| duplicate.to_string())?;
    let settled = is_settled(&found.flags) && is_settled(&found.segments);
    Ok(Read { content, learnt, problems, layout, settled })
}

/// v1 always stores both lists, so without one it has not come so far yet.
/// v2 stores no list for nothing, but then it has written `…-api-configs` or
/// a `…-latest`.
fn complete(found: &Found, layout: Layout) -> Result<(), String> {
    let is_empty = |kind: &FoundKind| kind.list.is_none() && kind.singles.is_empty();
    let (no_flags, no_segments) = (is_empty(&found.flags), is_empty(&found.segments));
    match layout {
        Layout::V1 if no_flags && no_segments && found.auth_keys.is_empty() => Err("nothing is stored".into()),
        Layout::V1 if no_flags && no_segments => Err("nothing but SDK keys is stored".into()),
        Layout::V1 if no_flags => Err("the list of flags is not stored".into()),
        Layout::V1 if no_segments => Err("the list of segments is not stored".into()),
        _ => Ok(()),
    }
}

fn is_settled(found: &FoundKind) -> bool {
    match (&found.list, &found.latest) {
        (Some(list), Some(latest)) => *latest == format!("\"{}\"", stored::latest(list)).into_bytes(),
        _ => true,
    }
}

fn learnt(found: &Found, problems: &mut Vec<String>) -> Vec<(String, String)> {
    let read = |(name, text): (&String, &Vec<u8>)| {
        let json = Json::parse(std::str::from_utf8(text).ok()?).ok()?;
        let item = Item::from_json(ItemKind::Target, &json).ok().filter(|item| item.identifier() == name)?;
        Some((name.clone(), item.text.into_string()))
    };
    let learnt: Vec<_> = found.targets.iter().filter_map(read).collect();
    let lost = found.targets.len() - learnt.len();
    if lost > 0 {
        problems.push(format!("{lost} targets cannot be read and are left out"));
    }
    learnt
}
