//! What of Redis does not work, for health and one line in the log.

use super::Member;
use crate::source::redis::link::Failure;
use crate::telemetry::clock::unix_now_ms;

/// What a call was for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Lease,
    Reading,
    Writing,
}

/// Why each does not work; all of it has to for Redis to be healthy.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    lease: Option<String>,
    reading: Option<String>,
    writing: Option<String>,
}

impl Troubles {
    fn of(&mut self, part: Part) -> &mut Option<String> {
        match part {
            Part::Lease => &mut self.lease,
            Part::Reading => &mut self.reading,
            Part::Writing => &mut self.writing,
        }
    }

    fn first(&self) -> Option<&String> {
        self.lease.as_ref().or(self.reading.as_ref()).or(self.writing.as_ref())
    }
}

impl Member {
    /// A call did not work.
    pub(super) fn fails(&mut self, part: Part, failure: &Failure) {
        self.trouble(part, Some(failure.to_string()));
    }

    /// It works, or nobody asks for it any more.
    pub(super) fn works(&mut self, part: Part) {
        self.trouble(part, None);
    }

    /// Notes how it went, and says it once.
    pub(super) fn trouble(&mut self, part: Part, reason: Option<String>) {
        if self.troubles.of(part).is_none() && reason.is_none() {
            return;
        }
        *self.troubles.of(part) = reason;
        let error = self.troubles.first().cloned();
        let before = self.parts.store.redis().and_then(|state| state.error.clone());
        if before == error {
            return;
        }
        let redis = self.parts.link.name();
        match (&before, &error) {
            (None, Some(reason)) => {
                tracing::error!(redis, reason, "Redis cannot be used; what is in memory is served");
            }
            (Some(_), None) => tracing::info!(redis, "Redis can be used again"),
            _ => {}
        }
        let now_ms = unix_now_ms();
        self.parts.store.note_redis(|state| {
            if state.error.is_some() != error.is_some() {
                state.since_ms = now_ms;
            }
            state.error = error;
        });
    }
}
