//! The room that counts may take: so many keys, so many bytes.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Texts of all keys held at once, the fixed part of each included.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A bound shared by everything that holds keys of one kind. What is taken
/// is given back by whoever lets the key go.
#[derive(Debug)]
pub struct Room {
    max_keys: usize,
    max_bytes: usize,
    keys: AtomicUsize,
    bytes: AtomicUsize,
}

impl Room {
    #[must_use]
    pub fn new(max_keys: usize, max_bytes: usize) -> Self {
        Room { max_keys, max_bytes, keys: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// Takes room for one key of `bytes`; false, and nothing taken, if there
    /// is none.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        if !add_below(&self.keys, 1, self.max_keys) {
            return false;
        }
        let fits = add_below(&self.bytes, bytes, self.max_bytes);
        if !fits {
            self.keys.fetch_sub(1, Ordering::Relaxed);
        }
        fits
    }

    /// Takes room for a key that was accepted in an earlier life.
    pub fn take_in_any_case(&self, bytes: usize) {
        self.keys.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives back the room of one key.
    pub fn give(&self, bytes: usize) {
        self.keys.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Keys held.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn add_below(count: &AtomicUsize, more: usize, limit: usize) -> bool {
    let add = |held: usize| held.checked_add(more).filter(|sum| *sum <= limit);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_hold_and_a_refusal_takes_nothing() {
        let room = Room::new(2, 100);
        assert!(room.take(60));
        assert!(!room.take(41), "bytes");
        assert!(room.take(40));
        assert!(!room.take(0), "keys");
        assert_eq!((room.keys(), room.bytes()), (2, 100));
        room.give(60);
        assert!(room.take(60));
        room.take_in_any_case(1000);
        assert_eq!((room.keys(), room.bytes()), (3, 1100));
    }
}
