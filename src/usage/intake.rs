//! Where accepted usage is summed until it is sent. SDK requests hold its
//! lock for the time of [`ROWS_A_TURN`] rows, never longer.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::aggregate::{Aggregate, Rooms, Rows};
use super::batch::BatchId;
use super::body::{Lost, Sums};
use super::room::{MAX_BYTES, Room};
use super::seen::Seen;
use crate::snapshot::content::EnvironmentId;

/// Rows that are moved under one hold of the lock.
pub const ROWS_A_TURN: usize = 1000;

/// Memory of all bodies that are being read at once.
const MAX_BODIES_BYTES: usize = 128 * 1024 * 1024;

/// The sums of every environment since they were last closed.
#[derive(Debug)]
pub struct Intake {
    open: Mutex<Open>,
    /// Taken by open sums and by those closed but not frozen.
    pub rooms: Rooms,
    /// Taken by bodies that are being read.
    pub bodies: Arc<Room>,
    tellings_begun: AtomicU64,
    tellings_ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Open {
    sums: HashMap<EnvironmentId, Aggregate>,
    seen: Seen,
}

impl Open {
    fn add(&mut self, environment: &EnvironmentId, now_ms: i64) -> &mut Aggregate {
        let aggregate = self.sums.entry(environment.clone()).or_default();
        aggregate.active_ms = aggregate.active_ms.max(now_ms);
        aggregate
    }
}

impl Intake {
    /// `max_keys` is for rows, and again for rows of `targetData`.
    #[must_use]
    pub fn new(max_keys: usize) -> Self {
        Intake {
            open: Mutex::default(),
            rooms: Rooms { rows: Room::new(max_keys, MAX_BYTES), targets: Room::new(max_keys, MAX_BYTES) },
            bodies: Arc::new(Room::new(usize::MAX, MAX_BODIES_BYTES)),
            tellings_begun: AtomicU64::new(0),
            tellings_ended: watch::Sender::new(0),
        }
    }

    /// Adds what a body came to. Returns what there was no room for.
    pub fn add(&self, environment: &EnvironmentId, sums: Sums, now_ms: i64) -> Lost {
        let mut lost = sums.lost;
        let (mut rows, mut targets) = (sums.rows.into_iter().peekable(), sums.targets.into_iter().peekable());
        while rows.peek().is_some() || targets.peek().is_some() {
            let mut open = self.lock();
            let aggregate = open.add(environment, now_ms);
            for (key, tally) in rows.by_ref().take(ROWS_A_TURN) {
                lost.add(aggregate.add_row(key, tally, &self.rooms));
            }
            for (identifier, json) in targets.by_ref().take(ROWS_A_TURN) {
                lost.add(aggregate.add_target(identifier, json, &self.rooms));
            }
        }
        lost
    }

    /// Adds a batch of another relay (at most 1,000 rows), once a day.
    /// `None` if it was added before.
    pub fn add_once(&self, environment: &EnvironmentId, id: BatchId, sums: Sums, now_ms: i64) -> Option<Lost> {
        let mut lost = sums.lost;
        // One hold of the lock: the journal is told of all or nothing.
        let mut open = self.lock();
        if !open.seen.insert(id, now_ms) {
            return None;
        }
        let aggregate = open.add(environment, now_ms);
        aggregate.note_report(id);
        for (key, tally) in sums.rows {
            lost.add(aggregate.add_row(key, tally, &self.rooms));
        }
        for (identifier, json) in sums.targets {
            lost.add(aggregate.add_target(identifier, json, &self.rooms));
        }
        Some(lost)
    }

    /// Remembers batches that an earlier process took.
    pub fn restore_seen(&self, seen: Vec<(BatchId, i64)>) {
        let mut open = self.lock();
        for (id, time_ms) in seen {
            open.seen.insert(id, time_ms);
        }
    }

    /// The batches of other relays that the journal was told of.
    #[must_use]
    pub fn written_seen(&self) -> Vec<(BatchId, i64)> {
        let open = self.lock();
        let unwritten: HashSet<BatchId> = open.sums.values().flat_map(Aggregate::unwritten_reports).collect();
        open.seen.iter().filter(|(id, _)| !unwritten.contains(id)).collect()
    }

    /// The journal is going to be told of everything that is here. Returns
    /// the number of the telling.
    pub fn begin_telling(&self) -> u64 {
        self.tellings_begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// It was, and it is on disk, if there is one.
    pub fn end_telling(&self, number: u64) {
        self.tellings_ended.send_replace(number);
    }

    /// Ends when a telling has ended that began after this call.
    pub async fn told(&self) {
        let next = self.tellings_begun.load(Ordering::SeqCst) + 1;
        // The sender is in `self`, so it is not gone.
        let _ = self.tellings_ended.subscribe().wait_for(|ended| *ended >= next).await;
    }

    /// Environments with open sums.
    #[must_use]
    pub fn environments(&self) -> Vec<EnvironmentId> {
        self.lock().sums.keys().cloned().collect()
    }

    /// When something was last added, Unix milliseconds.
    #[must_use]
    pub fn active_ms(&self, environment: &EnvironmentId) -> Option<i64> {
        self.lock().sums.get(environment).map(|aggregate| aggregate.active_ms)
    }

    /// The next sums that the journal has not been told; empty when it knows
    /// all.
    #[must_use]
    pub fn take_unwritten(&self, environment: &EnvironmentId) -> Rows {
        self.lock().sums.get_mut(environment).map(|aggregate| aggregate.take_unwritten(ROWS_A_TURN)).unwrap_or_default()
    }

    /// Closes an environment's sums: what the journal has not been told of
    /// them, and all of them.
    #[must_use]
    pub fn close(&self, environment: &EnvironmentId) -> Option<(Rows, Rows)> {
        let mut aggregate = self.lock().sums.remove(environment)?;
        Some((aggregate.take_unwritten(usize::MAX), aggregate.close()))
    }

    /// What the journal was told of an environment's open sums.
    #[must_use]
    pub fn written(&self, environment: &EnvironmentId) -> Rows {
        self.lock().sums.get(environment).map(Aggregate::written).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
