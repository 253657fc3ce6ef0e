//! The texts that stand in the mirror.

use std::borrow::Cow;
use std::sync::Arc;

use super::rules;
use crate::model::json::Json;
use crate::snapshot::item::{Digest, Item, ItemKind};
use crate::snapshot::served::ServedItem;

/// A flag or segment: the source's text with the served version, and a
/// segment's `rules` filled where nothing is widened by it.
#[must_use]
pub(super) fn item(served: &ServedItem) -> Cow<'_, str> {
    let item = &*served.item;
    let has_version = item.version == Some(served.version);
    // Most items are stored as they came; that is seen without parsing.
    let may_be_filled = item.key.kind == ItemKind::Segment && item.text.contains("\"servingRules\"");
    if has_version && !may_be_filled {
        return Cow::Borrowed(&item.text);
    }
    let Ok(mut json) = Json::parse(&item.text) else {
        return Cow::Borrowed(&item.text);
    };
    if !has_version {
        json.set("version", Json::number(served.version));
    }
    if may_be_filled {
        rules::fill(&mut json);
    }
    Cow::Owned(json.compact())
}

/// The list of all flags or segments.
#[must_use]
pub(super) fn items(items: &[Arc<ServedItem>]) -> String {
    list(items.iter().map(|served| item(served)))
}

/// The list of configured targets.
#[must_use]
pub(super) fn targets(targets: &[Arc<Item>]) -> String {
    list(targets.iter().map(|target| Cow::Borrowed(&*target.text)))
}

fn list<'a>(texts: impl Iterator<Item = Cow<'a, str>>) -> String {
    let mut list = String::from("[");
    for text in texts {
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(&text);
    }
    list.push(']');
    list
}

/// The SHA-256 of a list's text, in lower-case hexadecimal.
#[must_use]
pub(super) fn latest(list: &[u8]) -> String {
    Digest::of(list).to_string()
}
