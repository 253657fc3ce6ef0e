//! A rate that all streams share, without a lock: each caller is given the
//! time of its turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Hands out turns a fixed time apart.
#[derive(Debug)]
pub struct Pace {
    start: Instant,
    step_ns: u64,
    next_ns: AtomicU64,
}

impl Pace {
    /// `per_second` turns a second.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Pace {
            start: Instant::now(),
            step_ns: 1_000_000_000 / u64::from(per_second.max(1)),
            next_ns: AtomicU64::new(0),
        }
    }

    /// The last moment up to `at` that is a multiple of so many milliseconds
    /// after the start.
    #[must_use]
    pub fn on_grid(&self, at: Instant, grid_ms: u64) -> Instant {
        let since = u64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX);
        self.start + Duration::from_millis(since - since % grid_ms.max(1))
    }

    /// The time of the caller's turn, now or later.
    pub fn turn(&self, now: Instant) -> Instant {
        let now_ns = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let step = |next: u64| Some(next.max(now_ns).saturating_add(self.step_ns));
        let turn = match self.next_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
            Ok(before) | Err(before) => before.max(now_ns),
        };
        self.start + Duration::from_nanos(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_on_the_grid_are_not_later() {
        let pace = Pace::new(10);
        let after = |ms| pace.start + Duration::from_millis(ms);
        for (at, grid, found) in [(0, 200, 0), (199, 200, 0), (200, 200, 200), (1399, 200, 1200), (7, 0, 7)] {
            assert_eq!(pace.on_grid(after(at), grid), after(found), "{at}");
        }
    }

    #[test]
    fn turns_are_a_step_apart_and_idle_time_is_not_saved_up() {
        let pace = Pace::new(10);
        let start = pace.start;
        let step = Duration::from_millis(100);
        assert_eq!(pace.turn(start), start);
        assert_eq!(pace.turn(start), start + step);
        assert_eq!(pace.turn(start + step * 10), start + step * 10);
        assert_eq!(pace.turn(start + step * 10), start + step * 11);
    }
}
