//! Fetching everything because something was not understood, without a
//! storm: the first time at once, then further and further apart for as long
//! as it goes on. Pure: time is passed in.

use std::time::{Duration, Instant};

/// From one such fetch to the next, in seconds.
const APART_S: [u64; 7] = [0, 1, 2, 5, 10, 30, 60];

/// After this time without a cause the next fetch is at once again.
const FORGET_AFTER: Duration = Duration::from_secs(120);

/// When such fetches happen.
#[derive(Debug, Default)]
pub struct Calm {
    planned: Option<Instant>,
    level: usize,
}

impl Calm {
    /// Something was not understood. When to fetch everything for it; `None`
    /// if a fetch that will cover it is planned already.
    pub fn plan(&mut self, now: Instant) -> Option<Instant> {
        let since = self.planned.map(|planned| now.checked_duration_since(planned));
        self.level = match since {
            Some(None) => return None,
            Some(Some(since)) if since < FORGET_AFTER => (self.level + 1).min(APART_S.len() - 1),
            _ => 0,
        };
        let at = now + Duration::from_secs(APART_S.get(self.level).copied().unwrap_or_default());
        self.planned = Some(at);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_handful_of_fetches_and_calm_is_forgotten() {
        let start = Instant::now();
        let mut calm = Calm::default();
        let planned: Vec<u128> = (0..120_000)
            .filter_map(|ms| calm.plan(start + Duration::from_millis(ms)))
            .map(|at| at.duration_since(start).as_secs().into())
            .collect();
        assert_eq!(planned, [0, 1, 3, 8, 18, 48, 108, 168]);
        let later = start + Duration::from_secs(600);
        assert_eq!(calm.plan(later), Some(later));
    }
}
