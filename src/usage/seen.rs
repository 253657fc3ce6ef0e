//! Batches of other relays that were taken, so that one which is repeated
//! counts once.

use std::collections::{HashSet, VecDeque};

use super::batch::BatchId;

/// A batch is remembered for a day.
const REMEMBERED_MS: i64 = 24 * 3600 * 1000;
/// Of more than these the oldest are forgotten.
const MAX_REMEMBERED: usize = 100_000;

/// Ids by the time they came, Unix milliseconds.
#[derive(Debug, Default)]
pub struct Seen {
    ids: HashSet<BatchId>,
    order: VecDeque<(i64, BatchId)>,
}

impl Seen {
    /// Notes an id. False if it is known.
    pub fn insert(&mut self, id: BatchId, now_ms: i64) -> bool {
        self.forget(now_ms);
        let news = self.ids.insert(id);
        if news {
            self.order.push_back((now_ms, id));
        }
        news
    }

    /// True if it is known.
    #[must_use]
    pub fn contains(&self, id: BatchId) -> bool {
        self.ids.contains(&id)
    }

    /// What is remembered, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (BatchId, i64)> {
        self.order.iter().map(|(time_ms, id)| (*id, *time_ms))
    }

    fn forget(&mut self, now_ms: i64) {
        while let Some((time_ms, id)) = self.order.front() {
            if self.order.len() < MAX_REMEMBERED && now_ms.saturating_sub(*time_ms) <= REMEMBERED_MS {
                return;
            }
            self.ids.remove(id);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_remembered_for_a_day_within_a_bound() {
        let mut seen = Seen::default();
        assert!(seen.insert(BatchId(1), 0));
        assert!(seen.contains(BatchId(1)) && !seen.contains(BatchId(2)));
        assert!(!seen.insert(BatchId(1), REMEMBERED_MS));
        assert!(seen.insert(BatchId(1), REMEMBERED_MS + 1));
        for i in 0..MAX_REMEMBERED as u128 {
            assert!(seen.insert(BatchId(i + 2), REMEMBERED_MS + 1));
        }
        assert_eq!(seen.iter().count(), MAX_REMEMBERED);
        assert!(seen.insert(BatchId(1), REMEMBERED_MS + 1));
    }
}
