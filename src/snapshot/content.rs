//! What a source says about one environment: the input of a snapshot.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::difference::difference;
use super::digests::Digests;
use super::item::{Digest, Item, ItemKind};

/// The id of an environment, a UUID as Harness gives it, but taken as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentId(pub Arc<str>);

impl EnvironmentId {
    #[must_use]
    pub fn new(id: &str) -> Self {
        EnvironmentId(Arc::from(id))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for EnvironmentId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvironmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of an SDK key. The key itself is never kept.
pub type KeyHash = Digest;

/// Flags, segments, key hashes and configured targets of one environment,
/// each sorted and without duplicates.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pub flags: Vec<Arc<Item>>,
    pub segments: Vec<Arc<Item>>,
    pub targets: Vec<Arc<Item>>,
    pub key_hashes: Vec<KeyHash>,
}

impl Content {
    /// Sorts what a source read. An identifier that stands twice is an error.
    ///
    /// # Errors
    /// The kind and identifier of the first duplicate.
    pub fn new(items: Vec<Arc<Item>>, key_hashes: Vec<KeyHash>) -> Result<Self, DuplicateItem> {
        let mut sorted = items;
        // Stable, because lists mostly come sorted.
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        if let Some((item, _)) = sorted.iter().zip(sorted.iter().skip(1)).find(|(a, b)| a.key == b.key) {
            return Err(DuplicateItem { kind: item.key.kind, identifier: item.identifier().to_owned() });
        }
        let mut content = Content { key_hashes, ..Content::default() };
        content.key_hashes.sort_unstable();
        content.key_hashes.dedup();
        for item in sorted {
            match item.key.kind {
                ItemKind::Flag => content.flags.push(item),
                ItemKind::Segment => content.segments.push(item),
                ItemKind::Target => content.targets.push(item),
            }
        }
        Ok(content)
    }

    /// Flags and segments: what SDKs are told of, in the order of change logs.
    pub fn items(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.flags.iter().chain(&self.segments)
    }

    /// Uses the items of `previous` in place of equal ones, so that they are
    /// held once and later steps see by pointer that nothing changed.
    pub fn share_with(&mut self, previous: &Content) {
        share(&mut self.flags, &previous.flags);
        share(&mut self.segments, &previous.segments);
        share(&mut self.targets, &previous.targets);
    }

    /// True if both are the same allocations.
    #[must_use]
    pub fn is(&self, other: &Content) -> bool {
        let same =
            |a: &[Arc<Item>], b: &[Arc<Item>]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b));
        same(&self.flags, &other.flags)
            && same(&self.segments, &other.segments)
            && same(&self.targets, &other.targets)
            && self.key_hashes == other.key_hashes
    }

    /// The environment's digest over source content, see `offline-config.md`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digests::of(self).whole
    }
}

fn share(items: &mut [Arc<Item>], previous: &[Arc<Item>]) {
    let replaced: Vec<(usize, Arc<Item>)> = difference(previous, items)
        .filter_map(|row| match (row.before, row.now) {
            (Some(old), Some(new)) if old.digest == new.digest && old.text == new.text => {
                Some((row.places.1, Arc::clone(old)))
            }
            _ => None,
        })
        .collect();
    for (place, old) in replaced {
        if let Some(item) = items.get_mut(place) {
            *item = old;
        }
    }
}

/// The item with this identifier in a sorted list.
#[must_use]
pub fn find<'a>(items: &'a [Arc<Item>], identifier: &str) -> Option<&'a Arc<Item>> {
    items.binary_search_by(|item| item.identifier().cmp(identifier)).ok().and_then(|index| items.get(index))
}

/// Two items of one kind with one identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} '{identifier}' stands twice")]
pub struct DuplicateItem {
    pub kind: ItemKind,
    pub identifier: String,
}
