//! One environment as one follower has it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::snapshot::{Revision, Snapshot};
use crate::store::environment::Environment;

/// After a refusal the next attempt waits, longer each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What a follower has of one environment, and what is on its way.
#[derive(Debug)]
pub struct Followed {
    pub cell: Arc<Environment>,
    follower: u64,
    /// What it acknowledged, or said at the beginning that it has.
    known: Option<Revision>,
    /// Nothing was sent in this stream yet.
    fresh: bool,
    /// It refused the last update: it gets everything.
    full: bool,
    refusals: u32,
    not_before: Option<Instant>,
    in_flight: Option<InFlight>,
}

/// An update on its way.
#[derive(Clone, Copy, Debug)]
pub struct InFlight {
    pub update: u64,
    pub revision: Revision,
    place: u64,
}

/// What to do for an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Now,
    At(Instant),
    /// Nothing, or an answer is waited for.
    No,
    /// The follower knows more than this relay.
    Behind,
}

impl Followed {
    #[must_use]
    pub fn new(cell: Arc<Environment>, follower: u64, known: Option<Revision>) -> Self {
        Followed { cell, follower, known, fresh: true, full: false, refusals: 0, not_before: None, in_flight: None }
    }

    /// Whether an update should go out.
    #[must_use]
    pub fn due(&self, now: Instant) -> Due {
        let snapshot = self.cell.snapshot();
        let Some(snapshot) = snapshot.as_ref().filter(|_| self.in_flight.is_none()) else { return Due::No };
        let to = &snapshot.revision;
        if let Some(known) = &self.known
            && known.epoch == to.epoch
            && known.sequence > to.sequence
        {
            return Due::Behind;
        }
        if !self.fresh && !self.full && self.known.as_ref() == Some(to) {
            return Due::No;
        }
        match self.not_before.filter(|time| *time > now) {
            Some(time) => Due::At(time),
            None => Due::Now,
        }
    }

    /// From which state on the next update begins; `None`: from nothing.
    #[must_use]
    pub fn base(&self) -> Option<&Revision> {
        self.known.as_ref().filter(|_| !self.full)
    }

    /// An update goes out.
    pub fn sent(&mut self, update: u64, snapshot: &Snapshot) {
        self.fresh = false;
        self.in_flight = Some(InFlight { update, revision: snapshot.revision, place: snapshot.place });
    }

    /// The follower serves an update. `None` if it was not waited for.
    pub fn acknowledged(&mut self, update: u64) -> Option<Revision> {
        let in_flight = self.in_flight.take_if(|it| it.update == update)?;
        self.known = Some(in_flight.revision);
        (self.full, self.refusals, self.not_before) = (false, 0, None);
        self.cell.acknowledged(self.follower, in_flight.place);
        Some(in_flight.revision)
    }

    /// The follower cannot serve an update. False if it was not waited for.
    pub fn refused(&mut self, update: u64, now: Instant) -> bool {
        let refused = self.in_flight.take_if(|it| it.update == update).is_some();
        if refused {
            // The first time at once: everything may do what a difference cannot.
            let wait = match self.refusals {
                0 => Duration::ZERO,
                n => FIRST_WAIT.saturating_mul(1 << n.min(6)).min(LONGEST_WAIT),
            };
            (self.full, self.not_before) = (true, Some(now + wait));
            self.refusals = self.refusals.saturating_add(1);
        }
        refused
    }

    /// True while an answer is waited for.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.cell.left(self.follower);
    }
}
