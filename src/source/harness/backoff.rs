//! Waiting between attempts: exponential with full jitter, and what the
//! server asked for. No clock and no dice of its own.

use std::time::Duration;

/// Even the shortest wait lets others go first.
const LEAST: Duration = Duration::from_millis(20);

/// A server that asks for more than this is asked again after this.
const MOST_ASKED_FOR: Duration = Duration::from_secs(300);

/// Attempts that failed in a row.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// The first wait is up to `base`, later ones up to twice the one before,
    /// never above `cap`.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Backoff { base, cap, failures: 0 }
    }

    /// How long to wait after one more failure. `unit` is a random number of
    /// 0..1; `asked` what the server said in `Retry-After`.
    pub fn failed(&mut self, unit: f64, asked: Option<Duration>) -> Duration {
        let ceiling = self.base.saturating_mul(1 << self.failures.min(20)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        let jittered = ceiling.mul_f64(unit.clamp(0.0, 1.0)).max(LEAST);
        match asked {
            // Everybody was told the same time: spread over a little more.
            Some(asked) => {
                asked.min(MOST_ASKED_FOR) + self.base.min(Duration::from_secs(1)).mul_f64(unit.clamp(0.0, 1.0))
            }
            None => jittered,
        }
    }

    /// It worked.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_start_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        let waits: Vec<u64> = (0..6).map(|_| backoff.failed(1.0, None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        assert_eq!(backoff.failed(0.0, None), LEAST);
        backoff.succeeded();
        assert_eq!(backoff.failed(0.5, None), Duration::from_millis(500));
    }

    #[test]
    fn what_the_server_asks_for_is_kept_within_reason() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        let asked = Some(Duration::from_secs(7));
        assert!((7..=8).contains(&backoff.failed(0.9, asked).as_secs()));
        assert!(backoff.failed(0.0, Some(Duration::from_secs(86_400))) <= MOST_ASKED_FOR);
    }
}
