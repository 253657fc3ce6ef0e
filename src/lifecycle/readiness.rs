//! Readiness as a fold over facts that each part holds.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a part is not ready; `None` if it is.
pub type Fact = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// Ready when every fact says so and draining has not begun.
pub struct Readiness {
    facts: Vec<Fact>,
    draining: AtomicBool,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("reasons", &self.reasons()).finish()
    }
}

impl Readiness {
    #[must_use]
    pub fn new(facts: Vec<Fact>) -> Self {
        Readiness { facts, draining: AtomicBool::new(false) }
    }

    /// From now on not ready, for good.
    pub fn begin_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Why not ready; empty if ready.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let draining = self.draining.load(Ordering::Relaxed).then(|| "the relay is shutting down".to_owned());
        self.facts.iter().filter_map(|fact| fact()).chain(draining).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_counts_and_draining_is_for_good() {
        let readiness = Readiness::new(vec![Box::new(|| None)]);
        assert!(readiness.reasons().is_empty());
        readiness.begin_draining();
        assert_eq!(readiness.reasons(), ["the relay is shutting down"]);
        let readiness = Readiness::new(vec![Box::new(|| None), Box::new(|| Some("no snapshot".to_owned()))]);
        assert_eq!(readiness.reasons(), ["no snapshot"]);
    }
}
