//! Answers that are made for one request alone: together they are bounded,
//! because a client that is slow to read decides how long one is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// They may take this much memory together; further requests get 500 until
/// some were sent.
pub const MAX_UNSHARED_BYTES: usize = 512 * 1024 * 1024;

/// What such answers take now.
#[derive(Debug, Default)]
pub struct UnsharedAnswers {
    bytes: Arc<AtomicUsize>,
}

/// Room for one answer.
#[derive(Debug)]
pub struct Room {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl UnsharedAnswers {
    /// Room for so many bytes; `None` if there is none now.
    #[must_use]
    pub fn room(&self, bytes: usize) -> Option<Room> {
        let fits = |taken: usize| Some(taken.saturating_add(bytes)).filter(|sum| *sum <= MAX_UNSHARED_BYTES);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Room { bytes, all: Arc::clone(&self.bytes) })
    }

    /// What they take now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Room {
    /// This room made as large as its answer has become; `None`, and none is
    /// held any more, if there is not so much.
    #[must_use]
    pub fn grown_to(mut self, bytes: usize) -> Option<Room> {
        let more = bytes.saturating_sub(self.bytes);
        let fits = |taken: usize| Some(taken.saturating_add(more)).filter(|sum| *sum <= MAX_UNSHARED_BYTES);
        self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        self.bytes += more;
        Some(self)
    }

    /// An answer that keeps its room until its last byte was sent.
    #[must_use]
    pub fn hold(self, answer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Held { answer, _room: self })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Held {
    answer: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded_and_given_back_with_the_last_copy() {
        let answers = UnsharedAnswers::default();
        let half = answers.room(MAX_UNSHARED_BYTES / 2).unwrap();
        assert!(answers.room(MAX_UNSHARED_BYTES).is_none());
        let body = half.hold(b"[]".to_vec());
        let copy = body.slice(1..);
        drop(body);
        assert_eq!((&*copy, answers.bytes()), (&b"]"[..], MAX_UNSHARED_BYTES / 2));
        drop(copy);
        assert!(answers.room(MAX_UNSHARED_BYTES).is_some());
    }

    #[test]
    fn room_grows_with_its_answer() {
        let answers = UnsharedAnswers::default();
        let small = answers.room(10).unwrap().grown_to(5).unwrap();
        assert_eq!(answers.bytes(), 10);
        let large = small.grown_to(MAX_UNSHARED_BYTES - 10).unwrap();
        assert!(answers.room(10).unwrap().grown_to(11).is_none());
        assert_eq!(answers.bytes(), MAX_UNSHARED_BYTES - 10);
        drop(large);
        assert_eq!(answers.bytes(), 0);
    }
}
