//! What became of each configured key: which are good, which were refused,
//! and whether the key lists of all good ones are known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::call_error::CallError;
use crate::snapshot::content::EnvironmentId;

/// One configured key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyState {
    /// Not tried yet, or upstream cannot be asked.
    #[default]
    Undecided,
    /// The same, but what an earlier life got with it is served.
    Restored,
    Accepted(EnvironmentId),
    Refused(String),
}

/// How reading a list ended.
#[derive(Clone, Debug)]
struct Reading {
    error: Option<CallError>,
    /// What upstream asked for.
    not_before: Option<Instant>,
}

/// All configured keys.
#[derive(Debug)]
pub struct Roster {
    keys: Mutex<Vec<KeyState>>,
    /// How the last reading of each environment's list ended.
    lists: Mutex<BTreeMap<EnvironmentId, Reading>>,
    asked: AtomicBool,
}

impl Roster {
    /// Of so many keys.
    #[must_use]
    pub fn new(keys: usize) -> Self {
        Roster {
            keys: Mutex::new(vec![KeyState::default(); keys]),
            lists: Mutex::default(),
            asked: AtomicBool::new(false),
        }
    }

    fn keys(&self) -> MutexGuard<'_, Vec<KeyState>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lists(&self) -> MutexGuard<'_, BTreeMap<EnvironmentId, Reading>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.keys().len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The source begins anew: what was accepted has to be tried again. What
    /// was refused is, too, and nobody waits for it.
    pub fn begin(&self) {
        let begin = |key: &mut KeyState| {
            if !matches!(key, KeyState::Refused(_)) {
                *key = KeyState::default();
            }
        };
        self.keys().iter_mut().for_each(begin);
        self.lists().clear();
    }

    /// Notes what became of a key. Returns true if that is news.
    pub fn set(&self, index: usize, state: KeyState) -> bool {
        let mut keys = self.keys();
        keys.get_mut(index).is_some_and(|known| std::mem::replace(known, state.clone()) != state)
    }

    /// Notes how reading a key list went. Logs when that changes.
    pub fn keys_read(&self, environment: &EnvironmentId, error: Option<CallError>, now: Instant) {
        let not_before = error.as_ref().and_then(CallError::retry_after).map(|wait| now + wait);
        let reading = Reading { error: error.clone(), not_before };
        let before = self.lists().insert(environment.clone(), reading).and_then(|reading| reading.error);
        match (before, error) {
            (None, Some(error)) => {
                tracing::warn!(environment = %environment, %error, "the list of SDK keys cannot be read; unknown keys wait");
            }
            (Some(_), None) => tracing::info!(environment = %environment, "the list of SDK keys can be read again"),
            _ => {}
        }
    }

    /// The error of a list that upstream does not want to be asked for yet.
    #[must_use]
    pub fn is_throttled(&self, environment: &EnvironmentId, now: Instant) -> Option<CallError> {
        let lists = self.lists();
        let reading = lists.get(environment).filter(|reading| reading.not_before.is_some_and(|time| time > now))?;
        reading.error.clone()
    }

    /// True while the list of a good key has not been asked for yet.
    #[must_use]
    pub fn is_reading_first(&self) -> bool {
        let lists = self.lists();
        let keys = self.keys();
        keys.iter().any(|key| matches!(key, KeyState::Accepted(id) if !lists.contains_key(id)))
    }

    /// Environments of good keys.
    #[must_use]
    pub fn accepted(&self) -> BTreeSet<EnvironmentId> {
        let of = |key: &KeyState| if let KeyState::Accepted(id) = key { Some(id.clone()) } else { None };
        self.keys().iter().filter_map(of).collect()
    }

    /// Accepted, refused, undecided.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let keys = self.keys();
        let accepted = keys.iter().filter(|key| matches!(key, KeyState::Accepted(_))).count();
        let refused = keys.iter().filter(|key| matches!(key, KeyState::Refused(_))).count();
        (accepted, refused, keys.len() - accepted - refused)
    }

    /// Keys whose environment is not known yet, not even from earlier.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.keys().iter().filter(|key| **key == KeyState::Undecided).count()
    }

    /// True once every key was accepted or refused.
    #[must_use]
    pub fn all_decided(&self) -> bool {
        self.counts().2 == 0
    }

    /// True once the list of every good key was read, and none has failed
    /// since.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        let lists = self.lists();
        let read = |id: &EnvironmentId| lists.get(id).is_some_and(|reading| reading.error.is_none());
        let keys = self.keys();
        // Where upstream refuses every key, it may be upstream that is wrong.
        keys.iter().any(|key| matches!(key, KeyState::Accepted(_)))
            && keys.iter().all(|key| match key {
                KeyState::Undecided | KeyState::Restored => false,
                KeyState::Accepted(id) => read(id),
                KeyState::Refused(_) => true,
            })
    }

    /// True if all lists were read before, on request or at an interval.
    pub(super) fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn note_asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }
}
