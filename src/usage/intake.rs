//! Where accepted usage is summed until it is sent. SDK requests hold its
//! lock for the time of [`ROWS_A_TURN`] rows, never longer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::aggregate::{Aggregate, Rooms, Rows};
use super::body::{Lost, Sums};
use super::room::{MAX_BYTES, Room};
use crate::snapshot::content::EnvironmentId;

/// Rows that are moved under one hold of the lock.
pub const ROWS_A_TURN: usize = 1000;

/// Memory of all bodies that are being read at once.
const MAX_BODIES_BYTES: usize = 128 * 1024 * 1024;

/// The sums of every environment since they were last closed.
#[derive(Debug)]
pub struct Intake {
    open: Mutex<HashMap<EnvironmentId, Aggregate>>,
    /// Taken by open sums and by those closed but not frozen.
    pub rooms: Rooms,
    /// Taken by bodies that are being read.
    pub bodies: Arc<Room>,
}

impl Intake {
    /// `max_keys` is for rows, and again for rows of `targetData`.
    #[must_use]
    pub fn new(max_keys: usize) -> Self {
        Intake {
            open: Mutex::default(),
            rooms: Rooms { rows: Room::new(max_keys, MAX_BYTES), targets: Room::new(max_keys, MAX_BYTES) },
            bodies: Arc::new(Room::new(usize::MAX, MAX_BODIES_BYTES)),
        }
    }

    /// Adds what a body came to. Returns what there was no room for.
    pub fn add(&self, environment: &EnvironmentId, sums: Sums, now_ms: i64) -> Lost {
        let mut lost = sums.lost;
        let (mut rows, mut targets) = (sums.rows.into_iter().peekable(), sums.targets.into_iter().peekable());
        while rows.peek().is_some() || targets.peek().is_some() {
            let mut open = self.lock();
            let aggregate = open.entry(environment.clone()).or_default();
            aggregate.active_ms = aggregate.active_ms.max(now_ms);
            for (key, tally) in rows.by_ref().take(ROWS_A_TURN) {
                lost.add(aggregate.add_row(key, tally, &self.rooms));
            }
            for (identifier, json) in targets.by_ref().take(ROWS_A_TURN) {
                lost.add(aggregate.add_target(identifier, json, &self.rooms));
            }
        }
        lost
    }

    /// Environments with open sums.
    #[must_use]
    pub fn environments(&self) -> Vec<EnvironmentId> {
        self.lock().keys().cloned().collect()
    }

    /// When something was last added, Unix milliseconds.
    #[must_use]
    pub fn active_ms(&self, environment: &EnvironmentId) -> Option<i64> {
        self.lock().get(environment).map(|aggregate| aggregate.active_ms)
    }

    /// The next sums that the journal has not been told; empty when it knows
    /// all.
    #[must_use]
    pub fn take_unwritten(&self, environment: &EnvironmentId) -> Rows {
        self.lock().get_mut(environment).map(|aggregate| aggregate.take_unwritten(ROWS_A_TURN)).unwrap_or_default()
    }

    /// Closes an environment's sums: what the journal has not been told of
    /// them, and all of them.
    #[must_use]
    pub fn close(&self, environment: &EnvironmentId) -> Option<(Rows, Rows)> {
        let mut aggregate = self.lock().remove(environment)?;
        Some((aggregate.take_unwritten(usize::MAX), aggregate.close()))
    }

    /// What the journal was told of an environment's open sums.
    #[must_use]
    pub fn written(&self, environment: &EnvironmentId) -> Rows {
        self.lock().get(environment).map(Aggregate::written).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EnvironmentId, Aggregate>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
