//! Targets that SDKs brought at authentication. Android, iOS, PHP and .NET
//! send attributes only there, so evaluation needs them later.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::model::Target;

/// One target's JSON may have this many bytes.
pub const MAX_TARGET_BYTES: usize = 256 * 1024;

/// All stored targets of one environment may have this many bytes.
pub const MAX_ENVIRONMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Not yet written targets remembered per environment; older ones are still
/// in the cache and are written with the next compaction.
const MAX_UNWRITTEN: usize = 10_000;

/// A target with the JSON it came as.
#[derive(Debug)]
pub struct StoredTarget {
    pub target: Target,
    pub json: Box<str>,
}

/// Bounded by count and bytes, least recently used first out.
#[derive(Debug)]
pub struct StoredTargets {
    max_targets: usize,
    // Made with the first target: most environments of a large relay have
    // server-side SDKs only.
    cache: OnceLock<Cache<Arc<str>, Arc<StoredTarget>>>,
    unwritten: Mutex<Vec<Arc<StoredTarget>>>,
}

impl StoredTargets {
    #[must_use]
    pub fn new(max_targets: usize) -> Self {
        StoredTargets { max_targets: max_targets.max(1), cache: OnceLock::new(), unwritten: Mutex::new(Vec::new()) }
    }

    #[must_use]
    pub fn get(&self, identifier: &str) -> Option<Arc<StoredTarget>> {
        self.cache.get()?.get(identifier)
    }

    /// Stores a target, and remembers to write it if that is news.
    /// Returns whether it was.
    pub fn put(&self, stored: impl Into<Arc<StoredTarget>>) -> bool {
        let stored = stored.into();
        if self.get(&stored.target.identifier).is_some_and(|known| known.json == stored.json) {
            return false;
        }
        let stored = self.restore(stored);
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        if unwritten.len() < MAX_UNWRITTEN {
            unwritten.push(stored);
        }
        true
    }

    /// Stores a target that was read from disk.
    pub fn restore(&self, stored: impl Into<Arc<StoredTarget>>) -> Arc<StoredTarget> {
        let stored = stored.into();
        let key = Arc::from(stored.target.identifier.as_str());
        self.cache().insert(key, Arc::clone(&stored));
        stored
    }

    /// Takes what has to be written.
    #[must_use]
    pub fn take_unwritten(&self) -> Vec<Arc<StoredTarget>> {
        std::mem::take(&mut *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives back what could not be written.
    pub fn put_back(&self, news: Vec<Arc<StoredTarget>>) {
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_UNWRITTEN.saturating_sub(unwritten.len());
        unwritten.extend(news.into_iter().take(room));
    }

    /// Every stored target, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<StoredTarget>> {
        self.cache.get().map(|cache| cache.iter().map(|(_, stored)| stored).collect()).unwrap_or_default()
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.cache.get().map_or(0, |cache| {
            cache.run_pending_tasks();
            cache.entry_count()
        })
    }

    fn cache(&self) -> &Cache<Arc<str>, Arc<StoredTarget>> {
        self.cache.get_or_init(|| {
            // One weight keeps both bounds: no target weighs less than its
            // share of the bytes.
            let share = MAX_ENVIRONMENT_BYTES / self.max_targets as u64;
            Cache::builder()
                .max_capacity(MAX_ENVIRONMENT_BYTES)
                .weigher(move |key: &Arc<str>, stored: &Arc<StoredTarget>| {
                    let bytes = (key.len() + stored.json.len() * 2) as u64;
                    u32::try_from(bytes.max(share)).unwrap_or(u32::MAX)
                })
                .eviction_policy(EvictionPolicy::lru())
                .build()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(identifier: &str, padding: usize) -> StoredTarget {
        let json = format!("{{\"identifier\":\"{identifier}\",\"attributes\":{{\"x\":\"{}\"}}}}", "y".repeat(padding));
        StoredTarget { target: serde_json::from_str(&json).unwrap(), json: json.into() }
    }

    #[test]
    fn count_and_bytes_are_bounded() {
        let targets = StoredTargets::new(100);
        (0..500).for_each(|i| assert!(targets.put(stored(&format!("t{i}"), 10))));
        assert!(targets.count() <= 100);
        assert!(targets.get("t499").is_some() && targets.get("t0").is_none());
        let targets = StoredTargets::new(100_000);
        (0..400).for_each(|i| assert!(targets.put(stored(&format!("t{i}"), 200_000))));
        assert!(targets.count() <= 170, "{}", targets.count());
    }

    #[test]
    fn only_news_is_written() {
        let targets = StoredTargets::new(10);
        assert!(targets.put(stored("a", 1)));
        assert!(!targets.put(stored("a", 1)));
        assert!(targets.put(stored("a", 2)));
        assert_eq!(targets.take_unwritten().len(), 2);
        assert!(targets.take_unwritten().is_empty());
    }
}
