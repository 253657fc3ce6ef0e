//! What one environment has to send, and what follows from each attempt. At
//! most one batch is under way; no clock, no task, no randomness of its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::aggregate::{Rooms, Rows};
use super::backoff::{Backoff, MAX_RETRY_AFTER, Waits};
use super::batch::{Batch, BatchId};
use super::body::Lost;
use super::carrier::Delivery;

/// Without anything new or any success for so long, an environment is taken
/// to be gone, and what it has is dropped.
pub const GONE_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Attempts must have failed for so long, too: the clock on the wall may
/// have jumped.
pub const GONE_TRIED_FOR: Duration = Duration::from_secs(3600);

/// Between attempts to find the row that is refused: all of them may be.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

/// The batches and closed rows of one environment.
#[derive(Debug)]
pub struct Lane {
    batches: VecDeque<Waiting>,
    /// Rows that go out next, not frozen yet.
    pub closed: Rows,
    under_way: bool,
    backoff: Backoff,
    not_before: Instant,
    failing_since: Option<Instant>,
    /// The last sign of life, Unix milliseconds.
    pub active_ms: i64,
}

#[derive(Debug)]
struct Waiting {
    batch: Batch,
    /// An attempt was made and nobody knows what became of it.
    uncertain: bool,
}

/// The front batch goes out now.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    pub batch: Batch,
    /// It may have been counted before.
    pub again: bool,
}

/// What an attempt came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Settled {
    /// Upstream has it. `failures` in a row were before.
    Taken { id: BatchId, failures: u32 },
    /// It was refused for what is in it, and stands in two halves now.
    Halved { id: BatchId, into: [Batch; 2], status: u16 },
    /// The one row of it is refused.
    Dropped { id: BatchId, lost: Lost, status: u16 },
    /// It waits for its next attempt, the `failures`-th since a success.
    /// `certain`: it was not counted.
    Waits { id: BatchId, certain: bool, failures: u32, wait: Duration },
}

/// What an attempt needs from outside.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    /// In `0.0..1.0`.
    pub random: f64,
    pub ids: [BatchId; 2],
}

impl Lane {
    #[must_use]
    pub fn new(now: Instant, active_ms: i64) -> Self {
        Lane {
            batches: VecDeque::new(),
            closed: Rows::default(),
            under_way: false,
            backoff: Backoff::default(),
            not_before: now,
            failing_since: None,
            active_ms,
        }
    }

    /// Puts a batch of an earlier life at the end. `attempted`: it may have
    /// been sent.
    pub fn restore(&mut self, batch: Batch, attempted: bool) {
        self.batches.push_back(Waiting { batch, uncertain: attempted });
    }

    /// Nothing to send and nothing under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.closed.is_empty()
    }

    /// When the next attempt may begin; `None` while one is under way or
    /// there is nothing.
    #[must_use]
    pub fn next_attempt(&self) -> Option<Instant> {
        (!self.under_way && !self.is_empty()).then_some(self.not_before)
    }

    /// The next attempt needs a batch to be frozen.
    #[must_use]
    pub fn wants_batch(&self) -> bool {
        self.batches.is_empty() && !self.closed.is_empty()
    }

    /// Freezes the next rows, if no batch waits.
    pub fn freeze(&mut self, id: BatchId, rooms: &Rooms) -> Option<&Batch> {
        if !self.wants_batch() {
            return None;
        }
        let batch = Batch::freeze(&mut self.closed, id, rooms)?;
        if self.closed.is_empty() {
            // Give memory back to the last row.
            self.closed = Rows::default();
        }
        self.batches.push_back(Waiting { batch, uncertain: false });
        self.batches.back().map(|waiting| &waiting.batch)
    }

    /// Begins an attempt with the front batch.
    pub fn start(&mut self) -> Option<Start> {
        if self.under_way {
            return None;
        }
        let front = self.batches.front_mut()?;
        self.under_way = true;
        Some(Start { batch: front.batch.clone(), again: std::mem::take(&mut front.uncertain) })
    }

    /// Ends the attempt. `None` if none was under way.
    pub fn settle(&mut self, delivery: &Delivery, now: Instant, waits: Waits, chance: Chance) -> Option<Settled> {
        if !std::mem::take(&mut self.under_way) {
            return None;
        }
        let front = self.batches.front_mut()?;
        let id = front.batch.id;
        // Turns are taken by time: who has just had one comes last.
        self.not_before = now;
        let (certain, retry_after) = match delivery {
            Delivery::Taken => {
                let failures = self.backoff.failures();
                self.backoff.succeeded();
                self.failing_since = None;
                self.batches.pop_front();
                return Some(Settled::Taken { id, failures });
            }
            Delivery::Refused { status: Some(status @ (400 | 413 | 422)), retry_after, .. } => {
                self.not_before = now + retry_after.unwrap_or_default().clamp(REFUSED_PAUSE, MAX_RETRY_AFTER);
                let refused = self.batches.pop_front()?.batch;
                let Some(into) = refused.halve(chance.ids) else {
                    return Some(Settled::Dropped { id, lost: refused.sum, status: *status });
                };
                for half in into.iter().rev() {
                    self.batches.push_front(Waiting { batch: half.clone(), uncertain: false });
                }
                return Some(Settled::Halved { id, into, status: *status });
            }
            Delivery::Refused { retry_after, .. } => (true, *retry_after),
            Delivery::Uncertain { retry_after, .. } => (false, *retry_after),
        };
        front.uncertain = !certain;
        self.failing_since.get_or_insert(now);
        let wait = self.backoff.failed(waits, chance.random, retry_after);
        self.not_before = now + wait;
        Some(Settled::Waits { id, certain, failures: self.backoff.failures(), wait })
    }

    /// Forgets the wait: it may be the last chance.
    pub fn hurry(&mut self, now: Instant) {
        self.not_before = self.not_before.min(now);
        self.backoff.succeeded();
    }

    /// Failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// The environment is taken to be gone.
    #[must_use]
    pub fn is_gone(&self, now: Instant, now_ms: i64) -> bool {
        let limit_ms = i64::try_from(GONE_AFTER.as_millis()).unwrap_or(i64::MAX);
        let tried = self.failing_since.is_some_and(|since| now.saturating_duration_since(since) >= GONE_TRIED_FOR);
        tried && !self.under_way && now_ms.saturating_sub(self.active_ms) > limit_ms
    }

    /// Every batch that waits, and whether it may have been sent.
    pub fn batches(&self) -> impl Iterator<Item = (&Batch, bool)> {
        self.batches.iter().enumerate().map(|(place, waiting)| {
            let sent = waiting.uncertain || (place == 0 && self.under_way);
            (&waiting.batch, sent)
        })
    }

    /// Bytes of its batches.
    #[must_use]
    pub fn frozen_bytes(&self) -> usize {
        self.batches.iter().map(|waiting| waiting.batch.body.len()).sum()
    }

    /// Evaluations and targets that it still has.
    #[must_use]
    pub fn sum(&self) -> Lost {
        let mut sum = self.closed.sum();
        self.batches.iter().for_each(|waiting| sum.add(waiting.batch.sum));
        sum
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::usage::key::{RowKey, Tally};
    use crate::usage::room::Room;

    fn rooms() -> Rooms {
        Rooms { rows: Room::new(0, 0), targets: Room::new(0, 0) }
    }

    fn lane(now: Instant, rooms: &Rooms, flags: usize) -> Lane {
        let mut lane = Lane::new(now, 0);
        for i in 0..flags {
            let identity = Arc::from(format!("[\"f{i}\",null,null,null,null,null]"));
            let key = RowKey { identity, target: None };
            rooms.rows.take_in_any_case(key.bytes());
            lane.closed.rows.push((key, Tally { count: 1, timestamp: 1 }));
        }
        lane
    }

    fn refused(status: Option<u16>, after_s: Option<u64>) -> Delivery {
        Delivery::Refused { status, reason: String::new(), retry_after: after_s.map(Duration::from_secs) }
    }

    fn uncertain() -> Delivery {
        Delivery::Uncertain { reason: String::new(), retry_after: None }
    }

    fn chance(first: u128) -> Chance {
        Chance { random: 1.0, ids: [BatchId(first), BatchId(first + 1)] }
    }

    #[test]
    fn what_follows_from_each_outcome() {
        let now = Instant::now();
        for (delivery, certain, wait_s) in [
            (refused(None, None), true, 1),
            (refused(Some(401), None), true, 1),
            (refused(Some(404), None), true, 1),
            (refused(Some(429), Some(7)), true, 7),
            (refused(Some(503), Some(100_000)), true, 300),
            (uncertain(), false, 1),
        ] {
            let rooms = rooms();
            let mut lane = lane(now, &rooms, 3);
            assert_eq!(lane.next_attempt(), Some(now));
            assert!(lane.start().is_none(), "nothing is frozen yet");
            let batch = lane.freeze(BatchId(1), &rooms).unwrap().clone();
            let first = lane.start().unwrap();
            assert_eq!(first, Start { batch, again: false });
            assert!(lane.start().is_none() && lane.next_attempt().is_none(), "one at a time");
            let settled = lane.settle(&delivery, now, Waits::default(), chance(2)).unwrap();
            let wait = Duration::from_secs(wait_s);
            assert_eq!(settled, Settled::Waits { id: BatchId(1), certain, failures: 1, wait });
            assert_eq!(lane.next_attempt(), Some(now + wait));
            assert_eq!(lane.batches().next().map(|(_, sent)| sent), Some(!certain));
            let second = lane.start().unwrap();
            assert_eq!((&second.batch, second.again), (&first.batch, !certain));
            let taken = lane.settle(&Delivery::Taken, now, Waits::default(), chance(2));
            assert_eq!(taken, Some(Settled::Taken { id: BatchId(1), failures: 1 }));
            assert!(lane.is_empty() && lane.failures() == 0);
        }
    }

    #[test]
    fn an_uncertain_attempt_counts_once() {
        let (now, rooms) = (Instant::now(), rooms());
        let mut lane = lane(now, &rooms, 1);
        lane.freeze(BatchId(1), &rooms).unwrap();
        let mut again = Vec::new();
        for delivery in [uncertain(), refused(None, None), uncertain(), uncertain(), Delivery::Taken] {
            again.push(lane.start().unwrap().again);
            lane.settle(&delivery, now, Waits::default(), chance(2)).unwrap();
        }
        assert_eq!(again, [false, true, false, true, true]);
    }

    #[test]
    fn a_bad_row_is_found_by_halving() {
        for status in [400, 413, 422] {
            let (now, rooms) = (Instant::now(), rooms());
            let mut lane = lane(now, &rooms, 100);
            lane.freeze(BatchId(0), &rooms).unwrap();
            let (mut taken, mut dropped, mut attempts, mut next_id) = (0, 0, 0, 1);
            while let Some(start) = lane.start() {
                attempts += 1;
                let bad = String::from_utf8_lossy(&start.batch.body).contains("\"f42\"");
                let delivery = if bad { refused(Some(status), None) } else { Delivery::Taken };
                match lane.settle(&delivery, now, Waits::default(), chance(next_id)).unwrap() {
                    Settled::Taken { .. } => taken += start.batch.sum.evaluations,
                    Settled::Dropped { lost, .. } => dropped += lost.evaluations,
                    Settled::Halved { into, .. } => assert_ne!(into[0].id, into[1].id),
                    Settled::Waits { .. } => panic!("it need not wait"),
                }
                next_id += 2;
            }
            assert_eq!((taken, dropped), (99, 1));
            assert!(attempts <= 15, "{attempts}");
        }
    }

    #[test]
    fn environments_are_gone_after_a_day_of_failures() {
        let (now, rooms) = (Instant::now(), rooms());
        let mut lane = lane(now, &rooms, 1);
        let day_ms = 24 * 3600 * 1000;
        assert!(!lane.is_gone(now + GONE_TRIED_FOR, day_ms + 1), "nothing was tried");
        lane.freeze(BatchId(1), &rooms).unwrap();
        lane.start().unwrap();
        lane.settle(&refused(None, None), now, Waits::default(), chance(2)).unwrap();
        assert!(!lane.is_gone(now, day_ms + 1), "a jump of the clock");
        assert!(!lane.is_gone(now + GONE_TRIED_FOR, day_ms));
        assert!(lane.is_gone(now + GONE_TRIED_FOR, day_ms + 1));
        lane.start().unwrap();
        assert!(!lane.is_gone(now + GONE_TRIED_FOR, day_ms + 1), "under way");
    }
}
