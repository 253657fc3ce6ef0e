//! How sure the relay is that a key it does not know does not exist.
//!
//! 401 stops most SDKs for good, so it is given only when certain; until
//! then a request waits here (`http-api.md`, "Authentication").

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Notify, watch};

use super::Store;
use crate::snapshot::content::KeyHash;

/// A key that was found unknown, or was withdrawn, is refused at once for
/// this long.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// Keys remembered so.
const MAX_REFUSED: u64 = 10_000;

/// Readings of the key lists, numbered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rounds {
    begun: u64,
    ended: u64,
    /// The newest that read every list.
    complete: u64,
}

/// What is known of the keys that are not known.
#[derive(Debug)]
pub struct KeyCertainty {
    /// True once the key list of every environment was read from its source
    /// and the source has not been lost since.
    certain: watch::Sender<bool>,
    /// Counts index changes, so that who waits looks again.
    changes: watch::Sender<u64>,
    /// True where the source can be asked: then certainty also needs a
    /// reading that began after the question.
    asks: AtomicBool,
    rounds: watch::Sender<Rounds>,
    asked: Notify,
    /// Questions that wait for a reading.
    waiting: AtomicUsize,
    refused: Cache<KeyHash, ()>,
}

impl Default for KeyCertainty {
    fn default() -> Self {
        KeyCertainty {
            certain: watch::Sender::new(false),
            changes: watch::Sender::new(0),
            asks: AtomicBool::new(false),
            rounds: watch::Sender::new(Rounds::default()),
            asked: Notify::new(),
            waiting: AtomicUsize::new(0),
            refused: Cache::builder().max_capacity(MAX_REFUSED).time_to_live(REFUSED_FOR).build(),
        }
    }
}

/// When a question came, counted in readings of the key lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival(u64);

impl KeyCertainty {
    /// A question that comes now.
    #[must_use]
    pub fn arrival(&self) -> Arrival {
        Arrival(self.rounds.borrow().begun)
    }

    /// True if a key that is unknown now does certainly not exist, seen from
    /// a question that came then.
    #[must_use]
    pub fn is_certain(&self, arrival: Arrival) -> bool {
        *self.certain.borrow() && (!self.can_be_asked() || self.rounds.borrow().complete > arrival.0)
    }

    /// True while the key lists are complete and fresh.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *self.certain.borrow()
    }

    /// True where the source can be asked about a key.
    #[must_use]
    pub fn can_be_asked(&self) -> bool {
        self.asks.load(Ordering::Relaxed)
    }

    /// Asks for a reading of the key lists, where that is possible and none
    /// that would do is under way.
    pub fn ask(&self, arrival: Arrival) {
        let rounds = *self.rounds.borrow();
        let under_way = rounds.begun > rounds.ended && rounds.begun > arrival.0;
        if self.can_be_asked() && !under_way && rounds.complete <= arrival.0 {
            self.asked.notify_one();
        }
    }

    /// True for a key that was found unknown, or was withdrawn, lately.
    #[must_use]
    pub fn is_refused(&self, key: &KeyHash) -> bool {
        self.refused.contains_key(key)
    }

    /// Remembers a key that was found unknown.
    pub fn remember_refused(&self, key: KeyHash) {
        self.refused.insert(key, ());
    }

    /// Counts a question for as long as it waits.
    #[must_use]
    pub fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }

    /// True while a question waits: who asked may have been answered since.
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Ends when somebody asks for a reading.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// A reading of the key lists begins. Returns its number.
    pub fn begin_reading(&self) -> u64 {
        let mut number = 0;
        self.rounds.send_modify(|rounds| {
            rounds.begun += 1;
            number = rounds.begun;
        });
        number
    }

    /// A reading is over; `complete` if it got every list.
    pub fn end_reading(&self, number: u64, complete: bool) {
        self.rounds.send_modify(|rounds| {
            rounds.ended = rounds.ended.max(number);
            if complete {
                rounds.complete = rounds.complete.max(number);
            }
        });
    }

    /// Says whether the key lists are complete and fresh.
    pub fn set(&self, certain: bool) {
        self.certain.send_if_modified(|now| std::mem::replace(now, certain) != certain);
    }

    /// Says whether the source can be asked about a key.
    pub fn set_asks(&self, asks: bool) {
        self.asks.store(asks, Ordering::Relaxed);
        self.changes.send_modify(|count| *count += 1);
    }

    /// These keys are good no more.
    pub(super) fn gone<'a>(&self, keys: impl Iterator<Item = &'a KeyHash>) {
        keys.for_each(|key| self.refused.insert(*key, ()));
    }

    /// These keys are good from now on; the index has changed.
    pub(super) fn come<'a>(&self, keys: impl Iterator<Item = &'a KeyHash>) {
        keys.for_each(|key| self.refused.invalidate(key));
        self.changes.send_modify(|count| *count += 1);
    }

    /// A mark from which [`Seen::changed`] counts.
    #[must_use]
    pub fn mark(&self) -> Seen {
        Seen { certain: self.certain.subscribe(), changes: self.changes.subscribe(), rounds: self.rounds.subscribe() }
    }
}

/// A question of another relay that waits: as [`Waiting`], and it may be kept.
#[derive(Debug)]
pub struct OtherWaiting(Store);

impl OtherWaiting {
    #[must_use]
    pub fn at(store: &Store) -> Self {
        store.certainty().waiting.fetch_add(1, Ordering::Relaxed);
        OtherWaiting(store.clone())
    }
}

impl Drop for OtherWaiting {
    fn drop(&mut self) {
        self.0.certainty().waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A question that waits.
#[derive(Debug)]
pub struct Waiting<'a>(&'a KeyCertainty);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a waiting request has already looked at.
#[derive(Debug)]
pub struct Seen {
    certain: watch::Receiver<bool>,
    changes: watch::Receiver<u64>,
    rounds: watch::Receiver<Rounds>,
}

impl Seen {
    /// Ends when certainty, the index or the readings have changed.
    pub async fn changed(&mut self) {
        tokio::select! {
            _ = self.certain.changed() => {}
            _ = self.changes.changed() => {}
            _ = self.rounds.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::item::Digest;

    #[test]
    fn where_the_source_can_be_asked_a_later_reading_decides() {
        let keys = KeyCertainty::default();
        assert!(!keys.is_certain(keys.arrival()));
        keys.set(true);
        assert!(keys.is_certain(keys.arrival()));
        keys.set_asks(true);
        let early = keys.begin_reading();
        let arrival = keys.arrival();
        keys.end_reading(early, true);
        assert!(!keys.is_certain(arrival), "that reading began before the question");
        let late = keys.begin_reading();
        assert!(!keys.is_certain(arrival));
        keys.end_reading(late, true);
        assert!(keys.is_certain(arrival));
        keys.set(false);
        assert!(!keys.is_certain(arrival));
    }

    #[test]
    fn withdrawn_keys_are_refused_until_they_come_back() {
        let (keys, key) = (KeyCertainty::default(), Digest::of(b"k"));
        keys.gone(std::iter::once(&key));
        assert!(keys.is_refused(&key));
        keys.come(std::iter::once(&key));
        assert!(!keys.is_refused(&key));
    }
}
