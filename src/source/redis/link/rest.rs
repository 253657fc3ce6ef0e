//! How long to leave a server in peace that could not be reached.

use std::time::{Duration, Instant};

use super::failure::Failure;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

/// The pause after failed attempts: doubled by each, ended by a success. In
/// it everybody is given the last reason at once.
#[derive(Debug, Default)]
pub(super) struct Rest {
    last: Option<(Instant, Duration, Failure)>,
}

impl Rest {
    /// The last reason, while the pause lasts.
    pub fn reason(&self, now: Instant) -> Option<Failure> {
        self.last.as_ref().filter(|(since, pause, _)| now < *since + *pause).map(|(_, _, reason)| reason.clone())
    }

    pub fn failed(&mut self, now: Instant, reason: Failure) {
        let pause = self.last.as_ref().map_or(FIRST, |(_, pause, _)| (*pause * 2).min(LONGEST));
        self.last = Some((now, pause, reason));
    }

    pub fn succeeded(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let (mut rest, start) = (Rest::default(), Instant::now());
        assert_eq!(rest.reason(start), None);
        let mut now = start;
        for pause in [100, 200, 400, 800, 1000, 1000] {
            rest.failed(now, Failure::away("gone"));
            assert_eq!(rest.reason(now + Duration::from_millis(pause - 1)), Some(Failure::away("gone")));
            now += Duration::from_millis(pause);
            assert_eq!(rest.reason(now), None);
        }
        rest.succeeded();
        rest.failed(now, Failure::away("again"));
        assert_eq!(rest.reason(now + FIRST), None);
    }
}
