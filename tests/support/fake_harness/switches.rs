//! Ways in which the fake behaves, until told otherwise.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::FakeHarness;

pub struct Switches {
    heartbeat_ms: AtomicU64,
    pub silent: AtomicBool,
    pub announcing: AtomicBool,
    pub etags: AtomicBool,
    pub last_page_repeats: AtomicBool,
}

impl Default for Switches {
    fn default() -> Self {
        Switches {
            heartbeat_ms: AtomicU64::new(5_000),
            silent: AtomicBool::new(false),
            announcing: AtomicBool::new(true),
            etags: AtomicBool::new(false),
            last_page_repeats: AtomicBool::new(false),
        }
    }
}

impl Switches {
    pub fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms.load(Ordering::SeqCst))
    }
}

impl FakeHarness {
    /// How often streams give a sign of life.
    pub fn set_heartbeat(&self, every: Duration) {
        let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        self.shared.switches.heartbeat_ms.store(every, Ordering::SeqCst);
    }

    /// No heartbeats on any stream, old or new, while set. Messages still go out.
    pub fn set_silent(&self, silent: bool) {
        self.shared.switches.silent.store(silent, Ordering::SeqCst);
    }

    /// Lists carry an `ETag`, and `If-None-Match` is answered with 304.
    pub fn set_etags(&self, on: bool) {
        self.shared.switches.etags.store(on, Ordering::SeqCst);
    }

    /// The admin service answers the last page for every number beyond it, as some gateways do.
    pub fn set_last_page_repeats(&self, on: bool) {
        self.shared.switches.last_page_repeats.store(on, Ordering::SeqCst);
    }

    /// Changes made inside give no message on any stream.
    pub fn silently<T>(&self, change: impl FnOnce() -> T) -> T {
        self.shared.switches.announcing.store(false, Ordering::SeqCst);
        let result = change();
        self.shared.switches.announcing.store(true, Ordering::SeqCst);
        result
    }
}
