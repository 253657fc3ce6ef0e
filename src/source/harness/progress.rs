//! How the synchronisation of one environment is doing, as operators see it:
//! one phase, and a log that tells its story without repeating.

use crate::snapshot::content::EnvironmentId;
use crate::store::sync_state::{Phase, StreamState, SyncState};

/// The facts from which the phase follows.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own; the phase is what follows from them")]
pub struct Progress {
    environment: EnvironmentId,
    state: SyncState,
    has_content: bool,
    refused: bool,
    stream_up: bool,
    /// Everything was fetched since the stream came up, or went down.
    fetched: bool,
    failing: bool,
    /// An item that a message spoke of could not be fetched yet.
    item_failing: bool,
    /// The credential could not be tried.
    unreachable: bool,
    /// What was last looked at for the log.
    told: (Phase, bool),
    /// When what is served may have begun to be behind.
    trouble_since_ms: Option<i64>,
}

impl Progress {
    /// `restored`: an earlier life's content is served.
    #[must_use]
    pub fn new(environment: EnvironmentId, restored: bool) -> Self {
        let state =
            SyncState { phase: if restored { Phase::Stale } else { Phase::Authenticating }, ..SyncState::default() };
        Progress {
            environment,
            state,
            has_content: restored,
            refused: false,
            stream_up: false,
            fetched: false,
            failing: restored,
            item_failing: false,
            unreachable: false,
            told: (Phase::default(), false),
            trouble_since_ms: None,
        }
    }

    #[must_use]
    pub fn state(&self) -> &SyncState {
        &self.state
    }

    /// Everything was fetched.
    pub fn fetched(&mut self, now_ms: i64) {
        (self.has_content, self.fetched, self.failing) = (true, true, false);
        (self.item_failing, self.unreachable) = (false, false);
        self.state.synced_at_ms = Some(now_ms);
        self.state.error = None;
        self.settle(now_ms);
    }

    /// Fetching everything failed.
    pub fn failed(&mut self, error: &str, now_ms: i64) {
        self.failing = true;
        self.trouble(error, now_ms);
    }

    /// Fetching one item failed.
    pub fn item_failed(&mut self, error: &str, now_ms: i64) {
        self.item_failing = true;
        self.trouble(error, now_ms);
    }

    /// Upstream could not be asked about the credential.
    pub fn unreachable(&mut self, error: &str, now_ms: i64) {
        self.unreachable = true;
        self.trouble(error, now_ms);
    }

    /// Every item that messages spoke of was fetched.
    pub fn items_fetched(&mut self, now_ms: i64) {
        if std::mem::take(&mut self.item_failing) {
            self.worked(now_ms);
        }
    }

    fn trouble(&mut self, error: &str, now_ms: i64) {
        let news = self.state.error.as_deref() != Some(error);
        self.state.error = Some(error.to_owned());
        if news && self.trouble_since_ms.is_none() {
            tracing::warn!(environment = %self.environment, error, "fetching from upstream failed; what is known is served");
        }
        self.settle(now_ms);
    }

    fn worked(&mut self, now_ms: i64) {
        if !(self.failing || self.item_failing || self.unreachable || self.refused) {
            self.state.error = None;
        }
        self.settle(now_ms);
    }

    /// The stream is up or down.
    pub fn stream(&mut self, up: bool, reason: Option<&str>, now_ms: i64) {
        let state = if up { StreamState::Connected } else { StreamState::Disconnected };
        if self.state.stream != state {
            self.state.stream_since_ms = now_ms;
            if !up && self.state.stream == StreamState::Connected {
                tracing::warn!(
                    environment = %self.environment,
                    reason = reason.unwrap_or("it ended"),
                    "the upstream stream is lost; polling until it is back"
                );
            }
        }
        (self.state.stream, self.stream_up, self.fetched) = (state, up, false);
        self.settle(now_ms);
    }

    /// The credential was refused, with the reason, or is good (again).
    pub fn credential(&mut self, refused: Option<&str>, now_ms: i64) {
        self.refused = refused.is_some();
        match refused {
            Some(reason) => {
                self.state.error = Some(reason.to_owned());
                self.settle(now_ms);
            }
            None => {
                self.unreachable = false;
                self.worked(now_ms);
            }
        }
    }

    fn settle(&mut self, now_ms: i64) {
        let failing = self.failing || self.item_failing || self.unreachable;
        let phase = match self {
            Progress { refused: true, .. } => Phase::Refused,
            Progress { has_content: true, .. } if failing => Phase::Stale,
            Progress { has_content: false, .. } => {
                if failing || self.state.phase == Phase::Loading {
                    Phase::Loading
                } else {
                    Phase::Authenticating
                }
            }
            Progress { stream_up: true, fetched: true, .. } => Phase::Streaming,
            Progress { stream_up: true, .. } => Phase::Loading,
            _ => Phase::Polling,
        };
        let before = std::mem::replace(&mut self.state.phase, phase);
        if before != phase {
            self.state.phase_since_ms = now_ms;
        }
        let told = std::mem::replace(&mut self.told, (phase, self.fetched));
        if told == self.told {
            return;
        }
        // Polling that has not fetched anything yet is no recovery.
        let good = self.fetched && matches!(phase, Phase::Streaming | Phase::Polling);
        match (good, self.trouble_since_ms) {
            (true, Some(since)) => {
                self.trouble_since_ms = None;
                let after_s = (now_ms - since) / 1000;
                tracing::info!(environment = %self.environment, phase = %phase, after_s, "environment recovered");
            }
            (true, None) => {
                tracing::info!(environment = %self.environment, phase = %phase, "environment is in step with upstream")
            }
            (false, None) if matches!(phase, Phase::Stale | Phase::Refused) => self.trouble_since_ms = Some(now_ms),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_phase_follows_from_the_facts() {
        let mut progress = Progress::new(EnvironmentId::new("e"), false);
        let mut phases = vec![progress.state().phase];
        type Step = fn(&mut Progress);
        let steps: [Step; 12] = [
            |it| it.stream(true, None, 1),
            |it| it.fetched(2),
            |it| it.stream(false, Some("reset"), 3),
            |it| it.failed("no route", 4),
            |it| it.fetched(5),
            |it| it.item_failed("500", 6),
            |it| it.items_fetched(7),
            |it| it.credential(Some("403"), 8),
            |it| it.credential(None, 9),
            |it| it.unreachable("timeout", 10),
            |it| it.credential(None, 11),
            |it| it.stream(true, None, 12),
        ];
        for step in steps {
            step(&mut progress);
            phases.push(progress.state().phase);
        }
        use Phase::{Authenticating, Loading, Polling, Refused, Stale, Streaming};
        let expected = [
            Authenticating,
            Authenticating,
            Streaming,
            Polling,
            Stale,
            Polling,
            Stale,
            Polling,
            Refused,
            Polling,
            Stale,
            Polling,
            Loading,
        ];
        assert_eq!(phases, expected);
        assert_eq!((progress.state().error.clone(), progress.state().synced_at_ms), (None, Some(5)));
    }
}
