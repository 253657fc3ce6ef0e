//! Requests that wait until the relay can answer for certain.
//!
//! 401 is permanent for most SDKs and 503 disables Python, so while
//! configuration is not known yet a request waits, then gets 500.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::snapshot::content::KeyHash;
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
    /// `None`: not known in time. `key` is what the question is about.
    pub async fn until<T>(
        &self,
        store: &Store,
        key: Option<&KeyHash>,
        look: impl Fn(&Index, bool) -> Look<T>,
    ) -> Option<Result<T, Absent>> {
        // Nearly always it is there, whatever is certain.
        if let Look::Found(found) = look(&store.index(), false) {
            return Some(Ok(found));
        }
        let certainty = store.certainty();
        let arrival = certainty.arrival();
        let now = || {
            let refused = key.is_some_and(|key| certainty.is_refused(key));
            // Certainty first: what made it certain is then in the index.
            let certain = refused || store.is_certain(arrival);
            match look(&store.index(), certain) {
                Look::Found(found) => Some(Ok(found)),
                Look::Absent => {
                    if let Some(key) = key.filter(|_| !refused) {
                        certainty.remember_refused(*key);
                    }
                    Some(Err(Absent))
                }
                Look::Unknown => None,
            }
        };
        if let Some(answer) = now() {
            return Some(answer);
        }
        let _place = self.places.try_acquire().ok()?;
        let _waiting = certainty.wait();
        let deadline = Instant::now() + HOLD;
        let mut seen = certainty.mark();
        loop {
            if let Some(answer) = now() {
                return Some(answer);
            }
            certainty.ask(arrival);
            tokio::time::timeout_at(deadline, seen.changed()).await.ok()?;
        }
    }
}

/// What was looked for does certainly not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent;
