//! What Prometheus is told about usage.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::body::{Lost, SdkLabels};
use crate::snapshot::content::EnvironmentId;
use crate::telemetry::exposition::Exposition;

/// Label sets of `ff_proxy_sdk_usage`; further ones count as `other`.
const MAX_SDK_LABELS: usize = 1000;
/// Environments of `ff_proxy_metrics_forwarded`; further ones count as
/// `other`.
const MAX_ENVIRONMENTS: usize = 10_000;

/// Why something that was accepted will not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum DropReason {
    /// Nothing is sent: offline, or `metric-post-duration` is 0.
    Off,
    /// There was no room for another key.
    Full,
    /// Harness refuses it (400, 413 or 422), alone.
    Refused,
    /// Its environment is taken to be gone.
    Gone,
}

impl DropReason {
    const ALL: [(DropReason, &'static str); 4] = [
        (DropReason::Off, "off"),
        (DropReason::Full, "full"),
        (DropReason::Refused, "refused"),
        (DropReason::Gone, "gone"),
    ];
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    sdk_usage: Mutex<BTreeMap<(EnvironmentId, SdkLabels), u64>>,
    /// Attempts that failed, that were taken.
    forwarded: Mutex<BTreeMap<EnvironmentId, [u64; 2]>>,
    uncertain: AtomicU64,
    dropped: [[AtomicU64; 2]; DropReason::ALL.len()],
}

impl Counters {
    /// Counts evaluations by SDK.
    pub fn used(&self, environment: &EnvironmentId, sdks: Vec<(SdkLabels, u64)>) {
        if sdks.is_empty() {
            return;
        }
        let mut usage = self.sdk_usage.lock().unwrap_or_else(PoisonError::into_inner);
        for (sdk, count) in sdks {
            let mut key = (environment.clone(), sdk);
            if usage.len() >= MAX_SDK_LABELS && !usage.contains_key(&key) {
                key = (EnvironmentId::new("other"), SdkLabels::other());
            }
            let sum = usage.entry(key).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    /// Counts one attempt to send a batch.
    pub fn attempted(&self, environment: &EnvironmentId, taken: bool) {
        let mut forwarded = self.forwarded.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = if forwarded.len() >= MAX_ENVIRONMENTS && !forwarded.contains_key(environment) {
            forwarded.entry(EnvironmentId::new("other")).or_default()
        } else {
            forwarded.entry(environment.clone()).or_default()
        };
        let [failed_count, taken_count] = counts;
        *(if taken { taken_count } else { failed_count }) += 1;
    }

    /// Counts evaluations that are sent again and may have been counted.
    pub fn uncertain(&self, evaluations: u64) {
        self.uncertain.fetch_add(evaluations, Ordering::Relaxed);
    }

    /// Counts what is lost.
    pub fn dropped(&self, reason: DropReason, lost: Lost) {
        if let Some([evaluations, targets]) = self.dropped.get(reason as usize) {
            evaluations.fetch_add(lost.evaluations, Ordering::Relaxed);
            targets.fetch_add(lost.targets, Ordering::Relaxed);
        }
    }

    /// What was lost for this reason.
    #[must_use]
    pub fn lost(&self, reason: DropReason) -> Lost {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        self.dropped.get(reason as usize).map_or(Lost::default(), |[evaluations, targets]| Lost {
            evaluations: load(evaluations),
            targets: load(targets),
        })
    }

    /// Evaluations that were sent again without certainty.
    #[must_use]
    pub fn uncertain_total(&self) -> u64 {
        self.uncertain.load(Ordering::Relaxed)
    }

    /// Adds the families.
    #[expect(clippy::cast_precision_loss, reason = "counts for a dashboard")]
    pub fn expose(&self, out: &mut Exposition) {
        for ((environment, sdk), count) in &*self.sdk_usage.lock().unwrap_or_else(PoisonError::into_inner) {
            let labels = [
                ("envID", environment.as_str()),
                ("sdk_type", &sdk.sdk_type),
                ("sdk_version", &sdk.sdk_version),
                ("sdk_language", &sdk.sdk_language),
            ];
            out.counter("ff_proxy_sdk_usage", "Evaluations that SDKs reported", &labels, *count as f64);
        }
        for (environment, counts) in &*self.forwarded.lock().unwrap_or_else(PoisonError::into_inner) {
            for (error, count) in ["true", "false"].into_iter().zip(counts) {
                let labels = [("envID", environment.as_str()), ("error", error)];
                let help = "Attempts to send a batch of SDK metrics upstream";
                out.counter("ff_proxy_metrics_forwarded", help, &labels, *count as f64);
            }
        }
        let help = "Evaluations sent again that may have been counted before";
        out.counter("ff_proxy_metrics_uncertain_total", help, &[], self.uncertain_total() as f64);
        for (reason, name) in DropReason::ALL {
            let (labels, lost) = ([("reason", name)], self.lost(reason));
            let help = "Evaluations that were accepted and will not arrive";
            out.counter("ff_relay_metrics_dropped_total", help, &labels, lost.evaluations as f64);
            let help = "Rows of targetData that were accepted and will not arrive";
            out.counter("ff_relay_metrics_targets_dropped_total", help, &labels, lost.targets as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sdk(version: &str) -> SdkLabels {
        SdkLabels { sdk_version: version.to_owned(), ..SdkLabels::default() }
    }

    fn text(counters: &Counters) -> String {
        let mut out = Exposition::default();
        counters.expose(&mut out);
        String::from_utf8(out.text().unwrap()).unwrap()
    }

    #[test]
    fn families_have_the_labels_of_the_go_proxy() {
        let (counters, environment) = (Counters::default(), EnvironmentId::new("e"));
        counters.used(&environment, vec![(sdk("1"), 5), (sdk("1"), 2)]);
        counters.attempted(&environment, true);
        counters.dropped(DropReason::Gone, Lost { evaluations: 3, targets: 4 });
        let text = text(&counters);
        for line in [
            "ff_proxy_sdk_usage{envID=\"e\",sdk_type=\"\",sdk_version=\"1\",sdk_language=\"\"} 7",
            "ff_proxy_metrics_forwarded{envID=\"e\",error=\"false\"} 1",
            "ff_proxy_metrics_uncertain_total 0",
            "ff_relay_metrics_dropped_total{reason=\"gone\"} 3",
            "ff_relay_metrics_targets_dropped_total{reason=\"gone\"} 4",
            "ff_relay_metrics_dropped_total{reason=\"off\"} 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        for (index, (reason, _)) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }

    #[test]
    fn label_sets_are_bounded() {
        let counters = Counters::default();
        for i in 0..3 * MAX_SDK_LABELS {
            counters.used(&EnvironmentId::new("e"), vec![(sdk(&i.to_string()), 1)]);
        }
        let text = text(&counters);
        assert_eq!(text.matches("ff_proxy_sdk_usage{").count(), MAX_SDK_LABELS + 1);
        assert!(text.contains("envID=\"other\",sdk_type=\"other\",sdk_version=\"other\",sdk_language=\"other\"} 2000"));
    }
}
