//! What the handlers of the SDK port share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::cors::Cors;
use super::health::RecentHealth;
use super::hold::Hold;
use super::stream::registry::StreamRegistry;
use super::token::TokenKeys;
use super::unshared::UnsharedAnswers;
use crate::lifecycle::readiness::Readiness;
use crate::store::Store;
use crate::store::durable::persister::Pending;
use crate::store::source_status::SourceStatus;
use crate::telemetry::requests::{FixedHistogram, RequestCounts, RouteLabel};
use crate::telemetry::upstream::UpstreamCounts;
use crate::usage::Usage;

/// Rules of the SDK port.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    pub bypass_auth: bool,
    pub target_validation: bool,
    /// The mode as health shows it.
    pub mode: &'static str,
}

/// The SDK API: one for all connections.
#[derive(Debug)]
pub struct Api {
    pub store: Store,
    /// Another relay may add to them.
    pub tokens: Arc<ArcSwap<TokenKeys>>,
    pub settings: ApiSettings,
    pub cors: Cors,
    pub hold: Hold,
    pub streams: Arc<StreamRegistry>,
    pub readiness: Arc<Readiness>,
    pub source: SourceStatus,
    /// What was asked of Harness.
    pub upstream: Arc<UpstreamCounts>,
    /// `None` without `data-dir`.
    pub pending: Option<Arc<Pending>>,
    pub counts: ApiCounts,
    pub usage: Arc<Usage>,
    /// Threads that read large metrics bodies.
    pub metrics_readers: tokio::sync::Semaphore,
    pub unshared: UnsharedAnswers,
    pub health: ArcSwapOption<RecentHealth>,
}

/// Counts that belong to no environment.
#[derive(Debug)]
pub struct ApiCounts {
    /// Requests that name no known environment.
    pub requests: RequestCounts,
    pub durations: [FixedHistogram<12>; RouteLabel::ALL.len()],
    pub body_bytes: FixedHistogram<8>,
    pub unevaluable_flags: AtomicU64,
    pub connections: AtomicU64,
}

impl Default for ApiCounts {
    fn default() -> Self {
        let seconds = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];
        let bytes = [0.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 3.2e7];
        ApiCounts {
            requests: RequestCounts::default(),
            durations: std::array::from_fn(|_| FixedHistogram::new(seconds)),
            body_bytes: FixedHistogram::new(bytes),
            unevaluable_flags: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        }
    }
}
