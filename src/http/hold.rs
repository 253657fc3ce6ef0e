//! Requests that wait until the relay can answer for certain.
//!
//! 401 is permanent for most SDKs and 503 disables Python, so while
//! configuration is not known yet a request waits, then gets 500.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::store::{Index, Store};

/// A request waits this long at most.
pub const HOLD: Duration = Duration::from_secs(8);

/// More requests than this are answered at once.
const MAX_HELD: usize = 1_000;

/// Bounds how many requests wait.
#[derive(Debug)]
pub struct Hold {
    places: Semaphore,
}

impl Default for Hold {
    fn default() -> Self {
        Hold { places: Semaphore::new(MAX_HELD) }
    }
}

/// What a look at the store says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<T> {
    Found(T),
    /// Certainly not there.
    Absent,
    /// Not known yet.
    Unknown,
}

impl Hold {
    /// Looks until there is an answer, no place to wait, or no time left.
    /// `None`: not known in time.
    pub async fn until<T>(&self, store: &Store, look: impl Fn(&Index, bool) -> Look<T>) -> Option<Result<T, Absent>> {
        let now = |certain: bool| match look(&store.index(), certain) {
            Look::Found(found) => Some(Ok(found)),
            Look::Absent => Some(Err(Absent)),
            Look::Unknown => None,
        };
        if let Some(answer) = now(store.certainty().is_certain()) {
            return Some(answer);
        }
        let _place = self.places.try_acquire().ok()?;
        let deadline = Instant::now() + HOLD;
        let mut seen = store.certainty().mark();
        loop {
            if let Some(answer) = now(store.certainty().is_certain()) {
                return Some(answer);
            }
            tokio::time::timeout_at(deadline, store.certainty().changed(&mut seen)).await.ok()?;
        }
    }
}

/// What was looked for does certainly not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent;
