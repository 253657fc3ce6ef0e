//! Which of two states of an environment is the newer one, and what follows
//! from that. Pure.

use crate::snapshot::{Revision, Snapshot};

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// Takes over what is there: a replica, a primary that stands by.
    Follows,
    /// Has the lease. `in_sync`: its own source gave what it serves, and is
    /// not behind.
    Leads { in_sync: bool },
}

/// What to do about an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Nothing,
    /// Serve what is there.
    Take,
    /// Write what is served.
    Put,
}

/// What is served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ours {
    pub revision: Revision,
    /// It was read from Redis, where others may have read it, too.
    pub followed: bool,
    /// What is there was written or confirmed under a later lease.
    pub outdated: bool,
}

impl Ours {
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        Ours { revision: snapshot.revision, followed: snapshot.followed, outdated: false }
    }
}

/// `ours` is what is served here, `theirs` what Redis has.
#[must_use]
pub fn decide(stance: Stance, ours: Option<Ours>, theirs: Option<&Revision>) -> Step {
    let leads = stance != Stance::Follows;
    let kept = ours.is_some_and(|ours| ours.followed && !ours.outdated);
    let ours = ours.as_ref().map(|ours| &ours.revision);
    match (ours, theirs) {
        (None, None) => Step::Nothing,
        // What Redis lost a follower still has; only the leader writes.
        (Some(_), None) => {
            if leads {
                Step::Put
            } else {
                Step::Nothing
            }
        }
        (Some(ours), Some(theirs)) if ours == theirs => Step::Nothing,
        (Some(ours), Some(theirs)) if ours.epoch == theirs.epoch => {
            if theirs.sequence >= ours.sequence {
                // Followers that have it take nothing below it, so even a
                // leader in sync goes on from there.
                Step::Take
            } else if leads {
                // A failover lost it.
                Step::Put
            } else if kept {
                // A failover lost it; the leader has it, too.
                Step::Nothing
            } else {
                // This relay made it while it was alone, or a later leader,
                // in sync with its source, goes by the older one.
                Step::Take
            }
        }
        (Some(_), Some(_)) if stance == (Stance::Leads { in_sync: true }) => Step::Put,
        (_, Some(_)) => Step::Take,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Epoch;
    use crate::snapshot::item::Digest;

    #[test]
    fn the_newer_state_is_served_and_only_the_leader_writes() {
        use Step::{Nothing, Put, Take};
        let revision = |epoch, sequence| Some(Revision { epoch: Epoch(epoch), sequence, digest: Digest::of(b"") });
        let stances = [Stance::Follows, Stance::Leads { in_sync: false }, Stance::Leads { in_sync: true }];
        for (ours, theirs, expected) in [
            (None, None, [Nothing, Nothing, Nothing]),
            (None, revision(1, 1), [Take, Take, Take]),
            (revision(1, 1), None, [Nothing, Put, Put]),
            (revision(1, 1), revision(1, 1), [Nothing, Nothing, Nothing]),
            (revision(1, 1), revision(1, 2), [Take, Take, Take]),
            (revision(1, 2), revision(1, 1), [Nothing, Put, Put]),
            (revision(1, 9), revision(2, 1), [Take, Take, Put]),
        ] {
            let ours = ours.map(|revision| Ours { revision, followed: true, outdated: false });
            let decided = stances.map(|stance| decide(stance, ours, theirs.as_ref()));
            assert_eq!(decided, expected, "{ours:?} {theirs:?}");
        }
        for (followed, outdated) in [(false, false), (true, true)] {
            let own = revision(1, 2).map(|revision| Ours { revision, followed, outdated });
            let decided = stances.map(|stance| decide(stance, own, revision(1, 1).as_ref()));
            assert_eq!(decided, [Take, Put, Put], "made while alone, or given up since");
        }
    }
}
