//! The key hashes of one environment: those that are configured, and those
//! that upstream lists. Pure: time is passed in.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::assembly::{Began, REMEMBERED, SECOND_LOOK};
use crate::snapshot::content::KeyHash;

/// Removals remembered against answers that are behind.
const MAX_REMOVED: usize = 10_000;

/// Which keys are good.
#[derive(Debug, Default)]
pub struct KeyList {
    /// Always good, whatever a list says.
    configured: BTreeSet<KeyHash>,
    listed: BTreeSet<KeyHash>,
    /// Added by a message: a list that began before does not know them.
    added: HashMap<KeyHash, Began>,
    removed: HashMap<KeyHash, (Began, Instant)>,
    /// Missing from a list, and since when: gone on a second look.
    lacking: HashMap<KeyHash, Instant>,
}

impl KeyList {
    #[must_use]
    pub fn new(configured: Vec<KeyHash>) -> Self {
        KeyList { configured: configured.into_iter().collect(), ..KeyList::default() }
    }

    /// One more that is always good.
    pub fn configure(&mut self, hash: KeyHash) {
        self.configured.insert(hash);
    }

    /// Takes over what an earlier life knew.
    pub fn restore(&mut self, hashes: &[KeyHash]) {
        self.listed.extend(hashes);
    }

    /// Every good key, sorted.
    #[must_use]
    pub fn hashes(&self) -> Vec<KeyHash> {
        self.configured.union(&self.listed).copied().collect()
    }

    /// Takes a whole list. Returns true if something in it is not believed
    /// yet.
    pub fn list(&mut self, hashes: &[KeyHash], began: Began, now: Instant) -> bool {
        let listed: BTreeSet<KeyHash> = hashes.iter().copied().collect();
        self.removed.retain(|_, (_, at)| now.duration_since(*at) < REMEMBERED);
        self.added.retain(|_, added| *added > began);
        let behind = |hash: &KeyHash| {
            let removed = self.removed.get(hash);
            removed.is_some_and(|(removal, at)| *removal > began || now.duration_since(*at) < SECOND_LOOK)
        };
        let (unbelieved, believed): (Vec<KeyHash>, Vec<KeyHash>) = listed.iter().partition(|hash| behind(hash));
        self.listed.extend(believed);
        let missing = self.listed.iter().filter(|hash| !listed.contains(*hash) && !self.added.contains_key(*hash));
        let mut gone = BTreeSet::new();
        let mut lacking = HashMap::new();
        for hash in missing {
            let since = self.lacking.get(hash).copied().unwrap_or(now);
            if now.duration_since(since) < SECOND_LOOK {
                lacking.insert(*hash, since);
            } else {
                gone.insert(*hash);
            }
        }
        self.listed.retain(|hash| !gone.contains(hash));
        self.lacking = lacking;
        !self.lacking.is_empty() || !unbelieved.is_empty()
    }

    /// A message said so: believed at once.
    pub fn add(&mut self, hash: KeyHash, began: Began) {
        self.removed.remove(&hash);
        self.lacking.remove(&hash);
        self.listed.insert(hash);
        self.added.insert(hash, began);
    }

    /// A message said so: believed at once.
    pub fn remove(&mut self, hash: &KeyHash, began: Began, now: Instant) {
        self.listed.remove(hash);
        self.added.remove(hash);
        self.removed.retain(|_, (_, at)| now.duration_since(*at) < REMEMBERED);
        if self.removed.len() < MAX_REMOVED {
            self.removed.insert(*hash, (began, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::snapshot::item::Digest;

    fn key(name: &str) -> KeyHash {
        Digest::of(name.as_bytes())
    }

    #[test]
    fn a_list_that_lacks_a_key_is_believed_on_a_second_look() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut keys = KeyList::new(vec![key("own")]);
        assert!(!keys.list(&[key("a"), key("b")], Began(1), at(0)));
        assert_eq!(keys.hashes().len(), 3);
        assert!(keys.list(&[key("a")], Began(2), at(1)));
        assert!(keys.list(&[key("a")], Began(3), at(10)));
        assert_eq!(keys.hashes().len(), 3);
        assert!(!keys.list(&[key("a")], Began(4), at(11)));
        assert!(!keys.hashes().contains(&key("b")));
        assert!(keys.list(&[], Began(5), at(20)));
        assert!(!keys.list(&[key("a")], Began(6), at(40)), "it came back");
        assert_eq!(keys.hashes().len(), 2);
    }

    #[test]
    fn messages_are_believed_at_once_and_older_lists_are_not() {
        let now = Instant::now();
        let mut keys = KeyList::new(Vec::new());
        keys.list(&[key("a")], Began(1), now);
        keys.add(key("new"), Began(5));
        assert!(!keys.list(&[key("a")], Began(4), now), "it began before the message");
        assert!(keys.hashes().contains(&key("new")));
        keys.remove(&key("a"), Began(6), now);
        assert!(keys.list(&[key("a"), key("new")], Began(7), now), "a cache that is behind");
        assert!(!keys.hashes().contains(&key("a")));
        let later = now + SECOND_LOOK;
        assert!(!keys.list(&[key("a"), key("new")], Began(8), later));
        assert!(keys.hashes().contains(&key("a")));
    }
}
