//! How an environment's source is doing, for health, readiness and metrics.

use std::fmt;

/// Where the synchronisation of one environment stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The credential is being tried.
    #[default]
    Authenticating,
    /// Everything is being fetched.
    Loading,
    /// The upstream stream is open and everything was fetched since.
    Streaming,
    /// The stream is down or off; what polling finds is served.
    Polling,
    /// Upstream cannot be reached: what was known before is served.
    Stale,
    /// Upstream refuses the credential: what was known before is served.
    Refused,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Authenticating => "AUTHENTICATING",
            Phase::Loading => "LOADING",
            Phase::Streaming => "STREAMING",
            Phase::Polling => "POLLING",
            Phase::Stale => "STALE",
            Phase::Refused => "REFUSED",
        })
    }
}

/// The word of the Go proxies for an upstream stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamState {
    #[default]
    Initializing,
    Connected,
    Disconnected,
}

impl fmt::Display for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StreamState::Initializing => "INITIALIZING",
            StreamState::Connected => "CONNECTED",
            StreamState::Disconnected => "DISCONNECTED",
        })
    }
}

/// One moment of an environment's synchronisation. Times are Unix
/// milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncState {
    pub phase: Phase,
    pub phase_since_ms: i64,
    pub stream: StreamState,
    pub stream_since_ms: i64,
    /// When everything was last known to be equal to upstream; `None` if not
    /// in this process's life.
    pub synced_at_ms: Option<i64>,
    /// What went wrong last, while it does.
    pub error: Option<String>,
}

impl SyncState {
    /// True while what is served may be behind upstream.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        match self.phase {
            Phase::Streaming | Phase::Polling => false,
            Phase::Stale | Phase::Refused => true,
            Phase::Authenticating | Phase::Loading => self.synced_at_ms.is_none(),
        }
    }
}
