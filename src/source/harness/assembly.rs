//! One environment's content, put together from answers and messages.
//!
//! Which answer is newer is judged by when its fetch began (`http-api.md`,
//! versions), never by versions: [`Began`] numbers fetches and messages in
//! that order. What removes much at once, or goes back, needs a second look.
//! Pure: time is passed in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::key_list::KeyList;
use crate::snapshot::content::{Content, KeyHash};
use crate::snapshot::item::{Digest, Item, ItemKey, ItemKind};

/// What is believed only on a second look needs this much time between the
/// two (`upstream.md`, "Behaviour under trouble").
pub const SECOND_LOOK: Duration = Duration::from_secs(10);

/// Removals are remembered for longer than any fetch takes.
pub const REMEMBERED: Duration = Duration::from_secs(900);

/// Deletions remembered against answers that are behind.
const MAX_DELETED: usize = 10_000;

/// The place of a fetch's beginning, or of a message, in the order of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Began(pub u64);

/// What came of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ListOutcome {
    /// Something is different from before.
    pub changed: bool,
    /// Items that came with a lower version and other content: the old ones
    /// stay until each was fetched once more, alone or in a list.
    pub doubtful: Vec<ItemKey>,
    /// Something is not believed yet: look again after [`SECOND_LOOK`].
    pub look_again: bool,
}

#[derive(Debug)]
struct Held {
    item: Arc<Item>,
    began: Began,
}

#[derive(Debug)]
struct Deleted {
    began: Began,
    at: Instant,
    version: i64,
}

/// Flags, or segments, or targets.
#[derive(Debug, Default)]
struct Kind {
    held: BTreeMap<Arc<str>, Held>,
    deleted: HashMap<Arc<str>, Deleted>,
    /// What a list said of items that went back, until it is said again.
    doubted: HashMap<Arc<str>, Digest>,
    /// A whole list was read, or restored.
    loaded: bool,
    list_began: Began,
    empty_since: Option<Instant>,
}

/// The state of one environment.
#[derive(Debug)]
pub struct Assembly {
    flags: Kind,
    segments: Kind,
    targets: Kind,
    pub keys: KeyList,
}

fn version(item: &Item) -> i64 {
    item.version.unwrap_or(0)
}

impl Assembly {
    /// Knows nothing but the keys that are configured for it.
    #[must_use]
    pub fn new(configured: Vec<KeyHash>) -> Self {
        Assembly {
            flags: Kind::default(),
            segments: Kind::default(),
            targets: Kind::default(),
            keys: KeyList::new(configured),
        }
    }

    /// Starts from what an earlier life knew.
    #[must_use]
    pub fn restored(configured: Vec<KeyHash>, content: &Content) -> Self {
        let kind = |items: &[Arc<Item>]| Kind {
            held: items
                .iter()
                .map(|item| {
                    let held = Held { item: Arc::clone(item), began: Began::default() };
                    (Arc::clone(&item.key.identifier), held)
                })
                .collect(),
            loaded: true,
            ..Kind::default()
        };
        let mut assembly = Assembly::new(configured);
        assembly.flags = kind(&content.flags);
        assembly.segments = kind(&content.segments);
        assembly.targets = kind(&content.targets);
        assembly.keys.restore(&content.key_hashes);
        assembly
    }

    fn kind(&mut self, kind: ItemKind) -> &mut Kind {
        match kind {
            ItemKind::Flag => &mut self.flags,
            ItemKind::Segment => &mut self.segments,
            ItemKind::Target => &mut self.targets,
        }
    }

    /// Everything there is, once flags and segments were read.
    #[must_use]
    pub fn content(&self) -> Option<Content> {
        let items = |kind: &Kind| kind.held.values().map(|held| Arc::clone(&held.item)).collect();
        (self.flags.loaded && self.segments.loaded).then(|| Content {
            flags: items(&self.flags),
            segments: items(&self.segments),
            targets: items(&self.targets),
            key_hashes: self.keys.hashes(),
        })
    }

    /// Takes a whole list.
    pub fn list(&mut self, kind: ItemKind, began: Began, items: Vec<Arc<Item>>, now: Instant) -> ListOutcome {
        self.kind(kind).list(began, items, now)
    }

    /// Takes one item as it was fetched alone. Returns whether that changed
    /// something.
    pub fn item(&mut self, item: Arc<Item>, began: Began) -> bool {
        let kind = self.kind(item.key.kind);
        let identifier = Arc::clone(&item.key.identifier);
        let newer = kind.held.get(&identifier).is_some_and(|held| held.began > began)
            || kind.deleted.get(&identifier).is_some_and(|deleted| deleted.began > began);
        if newer {
            return false;
        }
        kind.deleted.remove(&identifier);
        kind.doubted.remove(&identifier);
        let before = kind.held.insert(identifier, Held { item: Arc::clone(&item), began });
        before.is_none_or(|before| before.item.digest != item.digest || before.item.version != item.version)
    }

    /// A message said that an item is deleted: believed at once. Returns
    /// whether it was there.
    pub fn delete(&mut self, key: &ItemKey, began: Began, now: Instant) -> bool {
        let kind = self.kind(key.kind);
        if kind.held.get(&key.identifier).is_some_and(|held| held.began > began) {
            return false;
        }
        let before = kind.held.remove(&key.identifier);
        kind.deleted.retain(|_, deleted| now.duration_since(deleted.at) < REMEMBERED);
        if kind.deleted.len() < MAX_DELETED {
            let version = before.as_ref().map_or(i64::MIN, |held| version(&held.item));
            kind.deleted.insert(Arc::clone(&key.identifier), Deleted { began, at: now, version });
        }
        before.is_some()
    }

    /// Version and digest of an item that is held.
    #[must_use]
    pub fn held(&self, key: &ItemKey) -> Option<(i64, Digest)> {
        let kind = match key.kind {
            ItemKind::Flag => &self.flags,
            ItemKind::Segment => &self.segments,
            ItemKind::Target => &self.targets,
        };
        kind.held.get(&key.identifier).map(|held| (version(&held.item), held.item.digest))
    }
}

impl Kind {
    fn list(&mut self, began: Began, items: Vec<Arc<Item>>, now: Instant) -> ListOutcome {
        let mut outcome = ListOutcome::default();
        if began < self.list_began {
            // A newer list has been taken meanwhile.
            return outcome;
        }
        if items.is_empty() && !self.held.is_empty() {
            let since = *self.empty_since.get_or_insert(now);
            if now.duration_since(since) < SECOND_LOOK {
                outcome.look_again = true;
                return outcome;
            }
        }
        self.empty_since = None;
        outcome.changed = !std::mem::replace(&mut self.loaded, true);
        self.list_began = began;
        let listed: BTreeSet<Arc<str>> = items.iter().map(|item| Arc::clone(&item.key.identifier)).collect();
        let before = self.held.len();
        self.held.retain(|identifier, held| held.began > began || listed.contains(identifier));
        outcome.changed |= self.held.len() != before;
        self.doubted.retain(|identifier, _| listed.contains(identifier));
        for item in items {
            self.take(item, began, now, &mut outcome);
        }
        self.deleted.retain(|_, deleted| now.duration_since(deleted.at) < REMEMBERED);
        outcome
    }

    fn take(&mut self, item: Arc<Item>, began: Began, now: Instant, outcome: &mut ListOutcome) {
        let identifier = &item.key.identifier;
        if let Some(deleted) = self.deleted.get(identifier) {
            // The answer is older than the deletion, or comes from a cache
            // that does not know of it yet.
            let behind = now.duration_since(deleted.at) < SECOND_LOOK && version(&item) <= deleted.version;
            if deleted.began > began || behind {
                outcome.look_again = true;
                return;
            }
        }
        match self.held.get_mut(identifier) {
            Some(held) if held.began > began => {}
            Some(held) if held.item.digest == item.digest && held.item.version == item.version => held.began = began,
            Some(held)
                if version(&item) < version(&held.item) && self.doubted.get(identifier) != Some(&item.digest) =>
            {
                self.doubted.insert(Arc::clone(identifier), item.digest);
                outcome.doubtful.push(item.key.clone());
            }
            Some(held) => {
                self.doubted.remove(identifier);
                *held = Held { item, began };
                outcome.changed = true;
            }
            None => {
                self.deleted.remove(identifier);
                self.held.insert(Arc::clone(identifier), Held { item, began });
                outcome.changed = true;
            }
        }
    }
}

#[cfg(test)]
#[path = "assembly_tests.rs"]
mod tests;
