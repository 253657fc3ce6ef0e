//! How the source of configuration is doing, for health and readiness.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// What kind of source gives an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    Upstream,
    Peer,
    Redis,
    File,
    Import,
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SourceKind::Upstream => "UPSTREAM",
            SourceKind::Peer => "PEER",
            SourceKind::Redis => "REDIS",
            SourceKind::File => "FILE",
            SourceKind::Import => "IMPORT",
        })
    }
}

/// A source that an import has paused for one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PausedSource {
    /// Unix milliseconds.
    pub since_ms: i64,
    /// The import's request id.
    pub request_id: String,
}

/// One moment of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceState {
    /// Where the configuration comes from, as the operator named it.
    pub name: String,
    /// Why the newest state of it is not served; `None` if it is.
    pub error: Option<String>,
    /// Unix milliseconds of the last change between good and bad.
    pub since_unix_ms: i64,
    /// Unix milliseconds of the last state that was taken.
    pub loaded_at_unix_ms: Option<i64>,
}

/// Written by the source, read without waiting by health.
#[derive(Clone, Debug, Default)]
pub struct SourceStatus {
    state: Arc<ArcSwap<SourceState>>,
}

impl SourceStatus {
    #[must_use]
    pub fn state(&self) -> Arc<SourceState> {
        self.state.load_full()
    }

    /// The source is about to be asked for the first time.
    pub fn begin(&self, name: &str, now_unix_ms: i64) {
        self.state.store(Arc::new(SourceState {
            name: name.to_owned(),
            since_unix_ms: now_unix_ms,
            ..SourceState::default()
        }));
    }

    /// A good state was taken, or what lies there is the one that is served.
    pub fn good(&self, name: &str, loaded: bool, now_unix_ms: i64) {
        let old = self.state.load();
        let recovered = old.error.is_some() || old.loaded_at_unix_ms.is_none();
        if !loaded && !recovered {
            return;
        }
        self.state.store(Arc::new(SourceState {
            name: name.to_owned(),
            error: None,
            since_unix_ms: if recovered { now_unix_ms } else { old.since_unix_ms },
            loaded_at_unix_ms: if loaded { Some(now_unix_ms) } else { old.loaded_at_unix_ms },
        }));
    }

    /// The newest state cannot be used. Returns true if that is news.
    pub fn bad(&self, error: &str, now_unix_ms: i64) -> bool {
        let old = self.state.load();
        if old.error.as_deref() == Some(error) {
            return false;
        }
        let since_unix_ms = if old.error.is_some() { old.since_unix_ms } else { now_unix_ms };
        self.state.store(Arc::new(SourceState { error: Some(error.to_owned()), since_unix_ms, ..(**old).clone() }));
        true
    }
}
