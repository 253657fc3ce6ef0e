//! What a source says about one environment: the input of a snapshot.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

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
        let mut sorted = BTreeMap::new();
        for item in items {
            let key = item.key.clone();
            if sorted.insert(key.clone(), item).is_some() {
                return Err(DuplicateItem { kind: key.kind, identifier: key.identifier.to_string() });
            }
        }
        let mut content = Content { key_hashes, ..Content::default() };
        content.key_hashes.sort_unstable();
        content.key_hashes.dedup();
        for (key, item) in sorted {
            match key.kind {
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

    /// The environment's digest over source content, see `offline-config.md`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut buckets: Vec<Option<Sha256>> = vec![None; 256];
        for item in self.items() {
            if let Some(slot) = buckets.get_mut(usize::from(item.bucket)) {
                let hash = slot.get_or_insert_with(Sha256::new);
                hash.update(item.key.kind.domain());
                hash.update([0]);
                hash.update(item.identifier());
                hash.update([0]);
                hash.update(item.digest.0);
            }
        }
        let mut whole = Sha256::new();
        for bucket in buckets {
            whole.update(bucket.unwrap_or_default().finalize());
        }
        let mut keys = Sha256::new();
        for hash in &self.key_hashes {
            keys.update(hash.0);
        }
        whole.update(keys.finalize());
        let mut targets = Sha256::new();
        for item in &self.targets {
            targets.update(item.identifier());
            targets.update([0]);
            targets.update(item.digest.0);
        }
        whole.update(targets.finalize());
        Digest(whole.finalize().into())
    }
}

fn share(items: &mut [Arc<Item>], previous: &[Arc<Item>]) {
    for item in items {
        if let Some(old) = find(previous, item.identifier())
            && old.digest == item.digest
            && old.text == item.text
        {
            *item = Arc::clone(old);
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
