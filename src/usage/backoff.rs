//! Waiting times after failures: exponential, with full jitter, so that
//! relays which failed together do not come back together.

use std::time::Duration;

/// A `Retry-After` beyond this is not believed.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// How long the first and the longest waits may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    pub first: Duration,
    pub longest: Duration,
}

impl Default for Waits {
    /// 1 s … 60 s.
    fn default() -> Self {
        Waits { first: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }
}

/// Counts failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: anything up to the ceiling, but not
    /// less than the server asked for. `random` is in `0.0..1.0`.
    pub fn failed(&mut self, waits: Waits, random: f64, retry_after: Option<Duration>) -> Duration {
        let factor = 1_u32.checked_shl(self.failures.min(31)).unwrap_or(u32::MAX);
        let ceiling = waits.first.checked_mul(factor).unwrap_or(waits.longest).min(waits.longest);
        self.failures = self.failures.saturating_add(1);
        let jittered = ceiling.mul_f64(random.clamp(0.0, 1.0));
        jittered.max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER))
    }

    /// Forgets the failures.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_up_to_the_longest_and_start_again() {
        let mut backoff = Backoff::default();
        let mut ceiling = || backoff.failed(Waits::default(), 1.0, None).as_secs();
        assert_eq!([ceiling(), ceiling(), ceiling(), ceiling()], [1, 2, 4, 8]);
        let last = (0..100).map(|_| ceiling()).last();
        assert_eq!(last, Some(60));
        backoff.succeeded();
        assert_eq!(backoff.failed(Waits::default(), 0.5, None), Duration::from_millis(500));
    }

    #[test]
    fn retry_after_is_a_floor_with_a_limit() {
        for (asked_s, random, wait_s) in [(7, 0.0, 7), (0, 1.0, 1), (100_000, 0.3, 300)] {
            let wait = Backoff::default().failed(Waits::default(), random, Some(Duration::from_secs(asked_s)));
            assert_eq!(wait, Duration::from_secs(wait_s), "{asked_s}");
        }
    }
}
