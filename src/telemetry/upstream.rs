//! Counts of what is asked of Harness, for `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::requests::FixedHistogram;

/// What is asked of Harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamRoute {
    Authenticate,
    ProxyAuth,
    RegisterTarget,
    ApiKeys,
    Targets,
    Flags,
    Flag,
    Segments,
    Segment,
    ProxyConfig,
    Stream,
    Metrics,
}

impl UpstreamRoute {
    /// The route as dashboards show it: never the path itself.
    #[must_use]
    pub fn template(self) -> &'static str {
        match self {
            UpstreamRoute::Authenticate => "/client/auth",
            UpstreamRoute::ProxyAuth => "/proxy/auth",
            UpstreamRoute::RegisterTarget => "/client/auth (target)",
            UpstreamRoute::ApiKeys => "/admin/apikey",
            UpstreamRoute::Targets => "/admin/targets",
            UpstreamRoute::Flags => "/client/env/:environment/feature-configs",
            UpstreamRoute::Flag => "/client/env/:environment/feature-configs/:identifier",
            UpstreamRoute::Segments => "/client/env/:environment/target-segments",
            UpstreamRoute::Segment => "/client/env/:environment/target-segments/:identifier",
            UpstreamRoute::ProxyConfig => "/proxy/config",
            UpstreamRoute::Stream => "/stream",
            UpstreamRoute::Metrics => "/metrics/:environment",
        }
    }
}

/// Requests by route and status, and what streams said.
#[derive(Debug)]
pub struct UpstreamCounts {
    /// Status 0: no answer.
    requests: Mutex<BTreeMap<(UpstreamRoute, u16), u64>>,
    /// Seconds.
    pub durations: FixedHistogram<9>,
    pub messages: AtomicU64,
    pub messages_unknown: AtomicU64,
    pub reconnects: AtomicU64,
}

impl Default for UpstreamCounts {
    fn default() -> Self {
        UpstreamCounts {
            requests: Mutex::default(),
            durations: FixedHistogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0]),
            messages: AtomicU64::new(0),
            messages_unknown: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
        }
    }
}

impl UpstreamCounts {
    /// Counts an answer; status 0 if none came.
    pub fn answered(&self, route: UpstreamRoute, status: u16, after: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route, status)).or_default() += 1;
        drop(requests);
        self.durations.observe(after.as_secs_f64());
    }

    /// Everything that was counted: route, status, count.
    #[must_use]
    pub fn rows(&self) -> Vec<(UpstreamRoute, u16, u64)> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().map(|((route, status), count)| (*route, *status, *count)).collect()
    }

    /// Adds one.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
