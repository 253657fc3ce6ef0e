//! What usage is told at the start, and the clock.

use std::time::Duration;

use super::backoff::Waits;
use crate::config::UsageConfig;

/// How usage goes upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageSettings {
    /// Time between closings of the sums; `None`: metrics are accepted and
    /// dropped.
    pub interval: Option<Duration>,
    /// Distinct keys over all environments, closed ones included; as many
    /// rows of `targetData` beside them.
    pub max_keys: usize,
    /// Whether targets of SDKs that authenticate are registered upstream.
    pub register_targets: bool,
    /// Waits after failures.
    pub waits: Waits,
}

impl UsageSettings {
    /// `register_targets` is `forward-targets`.
    #[must_use]
    pub fn new(config: &UsageConfig, register_targets: bool) -> Self {
        UsageSettings {
            interval: config.metric_post_duration,
            max_keys: config.metrics_max_keys,
            register_targets,
            waits: Waits::default(),
        }
    }
}
