//! Fetching everything because something was not understood, without a
//! storm: at once for a few, then one by one for as long as it goes on. Pure:
//! time is passed in.

use std::time::{Duration, Instant};

/// So many fetches may come one after the other.
const AT_ONCE: u32 = 10;

/// Each is forgotten after this time.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

/// Between two fetches.
const APART: Duration = Duration::from_millis(100);

/// When such fetches happen.
#[derive(Debug, Default)]
pub struct Calm {
    planned: Option<Instant>,
    /// Fetches that are not forgotten.
    taken: u32,
    forgotten_at: Option<Instant>,
}

impl Calm {
    /// Something was not understood. When to fetch everything for it; `None`
    /// if a fetch that will cover it is planned already.
    pub fn plan(&mut self, now: Instant) -> Option<Instant> {
        if self.planned.is_some_and(|planned| planned > now) {
            return None;
        }
        let since = self.forgotten_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let forgotten = u32::try_from(since.as_secs() / FORGOTTEN_AFTER.as_secs()).unwrap_or(u32::MAX);
        self.taken = self.taken.saturating_sub(forgotten);
        if forgotten > 0 || self.forgotten_at.is_none() {
            self.forgotten_at = Some(now);
        }
        let wait = if self.taken < AT_ONCE {
            self.taken += 1;
            self.planned.map_or(Duration::ZERO, |planned| APART.saturating_sub(now.duration_since(planned)))
        } else {
            FORGOTTEN_AFTER
        };
        self.planned = Some(now + wait);
        self.planned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_handful_of_fetches_and_calm_is_forgotten() {
        let start = Instant::now();
        let mut calm = Calm::default();
        let planned: Vec<Instant> = (0..30_000).filter_map(|ms| calm.plan(start + Duration::from_millis(ms))).collect();
        assert!((10..=16).contains(&planned.len()), "{}", planned.len());
        let later = start + Duration::from_secs(600);
        assert_eq!(calm.plan(later), Some(later));
    }

    #[test]
    fn a_few_are_answered_at_once() {
        let start = Instant::now();
        let mut calm = Calm::default();
        for second in 0..10 {
            let now = start + Duration::from_secs(second);
            assert_eq!(calm.plan(now), Some(now));
        }
    }
}
