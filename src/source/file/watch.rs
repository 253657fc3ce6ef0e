//! When a change on disk is believed: a pure state machine over scans, with
//! time passed in.
//!
//! A directory gives no sign of being complete, so two identical scans one
//! second apart are asked for; an archive with a manifest is complete by
//! itself. What vanished is believed late.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::scan::Scan;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::report::Problem;

/// Two identical scans must lie this far apart.
pub const SETTLE: Duration = Duration::from_secs(1);

/// An environment that vanished is believed to be gone after this long.
pub const REMOVAL: Duration = Duration::from_secs(10);

/// A refused state is tried again after this long: what cannot be read now
/// (a network file system, too many open files) may be readable then, with
/// the same stamps.
pub const RETRY: Duration = Duration::from_secs(10);

/// What to do after a scan.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing changed, or not for long enough.
    Wait,
    /// Try to load this state, without these environments.
    Load { removed: BTreeSet<EnvironmentId> },
    /// What lies there is not usable.
    Refuse(Problem),
}

/// What the watcher remembers.
#[derive(Debug)]
pub struct Watcher {
    name: String,
    /// The state that is served.
    loaded: Scan,
    /// Environments of directories that are served.
    served: BTreeSet<EnvironmentId>,
    /// The newest other state, and since when it has been so.
    candidate: Option<(Scan, Instant)>,
    /// A state that was tried and refused, with what was removed.
    refused: Option<(Scan, BTreeSet<EnvironmentId>, Instant)>,
    vanished: BTreeMap<EnvironmentId, Instant>,
}

impl Watcher {
    /// Watches from the state that was loaded at start.
    #[must_use]
    pub fn new(name: String, loaded: Scan) -> Self {
        let served = loaded.environments.keys().cloned().collect();
        Watcher { name, loaded, served, candidate: None, refused: None, vanished: BTreeMap::new() }
    }

    /// The state that is served.
    #[must_use]
    pub fn loaded(&self) -> &Scan {
        &self.loaded
    }

    /// True if an archive changed and it is worth a look at once: a manifest
    /// may vouch for it.
    #[must_use]
    pub fn is_new_archive(&self, scan: &Scan) -> bool {
        let seen = self.candidate.as_ref().is_some_and(|(candidate, _)| candidate == scan);
        scan.archive.is_some() && *scan != self.loaded && !seen && !self.was_refused(scan)
    }

    /// Takes one look into account.
    pub fn step(&mut self, scan: &Scan, now: Instant) -> Step {
        if scan.archive.is_none() && scan.environments.is_empty() {
            let advice = "put the environments back; what was loaded before is served until then";
            return Step::Refuse(Problem::new(&self.name, "it holds no environment any more", advice));
        }
        let removed = self.believed_gone(scan, now);
        if scan == &self.loaded {
            (self.candidate, self.refused) = (None, None);
            return if removed.is_empty() { Step::Wait } else { Step::Load { removed } };
        }
        if let Some(problem) = self.missing_file(scan) {
            self.candidate = None;
            return Step::Refuse(problem);
        }
        match &self.candidate {
            Some((candidate, since)) if candidate == scan => {
                let known = self.refused.as_ref().is_some_and(|(refused, gone, at)| {
                    refused == scan && *gone == removed && now.duration_since(*at) < RETRY
                });
                // Only some environments are missing, and not for long yet.
                let nothing_else = removed.is_empty() && self.only_vanished(scan);
                if now.duration_since(*since) < SETTLE || known || nothing_else {
                    return Step::Wait;
                }
                Step::Load { removed }
            }
            _ => {
                self.candidate = Some((scan.clone(), now));
                Step::Wait
            }
        }
    }

    /// A state was loaded and is served.
    pub fn accepted(&mut self, scan: Scan, removed: &BTreeSet<EnvironmentId>) {
        self.served.extend(scan.environments.keys().cloned());
        self.served.retain(|id| !removed.contains(id));
        self.vanished.retain(|id, _| !removed.contains(id));
        (self.loaded, self.candidate, self.refused) = (scan, None, None);
    }

    /// A state was tried and is not usable; it is left alone for a while.
    pub fn refused(&mut self, scan: Scan, removed: BTreeSet<EnvironmentId>, now: Instant) {
        self.refused = Some((scan, removed, now));
    }

    fn was_refused(&self, scan: &Scan) -> bool {
        self.refused.as_ref().is_some_and(|(refused, ..)| refused == scan)
    }

    fn believed_gone(&mut self, scan: &Scan, now: Instant) -> BTreeSet<EnvironmentId> {
        if scan.archive.is_some() {
            return BTreeSet::new();
        }
        self.vanished.retain(|id, _| !scan.environments.contains_key(id));
        for id in self.served.iter().filter(|id| !scan.environments.contains_key(*id)) {
            self.vanished.entry(id.clone()).or_insert(now);
        }
        let long_gone = self.vanished.iter().filter(|(_, since)| now.duration_since(**since) >= REMOVAL);
        long_gone.map(|(id, _)| id.clone()).collect()
    }

    fn only_vanished(&self, scan: &Scan) -> bool {
        let kept: BTreeMap<_, _> =
            self.loaded.environments.iter().filter(|(id, _)| scan.environments.contains_key(*id)).collect();
        scan.archive.is_none() && scan.ledger == self.loaded.ledger && kept.into_iter().eq(scan.environments.iter())
    }

    fn missing_file(&self, scan: &Scan) -> Option<Problem> {
        for (id, parts) in &scan.environments {
            let Some(before) = self.loaded.environments.get(id) else { continue };
            if let Some((path, _)) = before.iter().find(|(part, _)| !parts.contains_key(part)).map(|(_, found)| found) {
                let advice = "put it back; write [] into it if there is nothing of its kind any more";
                return Some(Problem::new(&super::scan::name(path), "the file was there and is gone", advice));
            }
        }
        None
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
