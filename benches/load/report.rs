//! What is printed, and the same as JSON.

use std::path::Path;

use serde_json::{Value, json};

use crate::workload::figures::Spread;

/// One server in one scenario: medians over the rounds.
pub struct Side {
    pub rate: f64,
    /// Processor time of one request.
    pub cpu_us: f64,
    /// Processor time of one second.
    pub busy: f64,
    pub at_half_rate: Spread,
    pub resident_kib: u64,
}

pub struct Measured {
    pub name: &'static str,
    /// Of the largest answer's body.
    pub bytes: usize,
    /// The relay's rate to the limit's: the median over the rounds.
    pub rate_ratio: f64,
    /// The limit's processor time of a request to the relay's.
    pub cpu_ratio: f64,
    pub relay: Side,
    pub limit: Side,
}

pub struct Report {
    rows: Vec<Value>,
    routes: usize,
}

impl Report {
    pub fn new() -> Self {
        Report { rows: Vec::new(), routes: 0 }
    }

    pub fn route(&mut self, it: Measured) {
        if self.routes == 0 {
            println!(
                "{:<18} {:>8} | {:>9} {:>9} {:>5} | {:>7} {:>7} {:>5} | {:>24} | {:>24} | {:>5} {:>7}",
                "scenario",
                "bytes",
                "relay/s",
                "limit/s",
                "ratio",
                "µs CPU",
                "limit",
                "ratio",
                "p50/p99/p99.9 half, ms",
                "limit's",
                "busy",
                "MiB"
            );
        }
        self.routes += 1;
        let times = |side: &Side| {
            let Spread { p50, p99, p999, .. } = side.at_half_rate;
            format!("{p50:>7.3} {p99:>7.3} {p999:>8.3}")
        };
        println!(
            "{:<18} {:>8} | {:>9.0} {:>9.0} {:>5.2} | {:>7.2} {:>7.2} {:>5.2} | {} | {} | {:>5.2} {:>7.1}",
            it.name,
            it.bytes,
            it.relay.rate,
            it.limit.rate,
            it.rate_ratio,
            it.relay.cpu_us,
            it.limit.cpu_us,
            it.cpu_ratio,
            times(&it.relay),
            times(&it.limit),
            it.relay.busy,
            mib(it.relay.resident_kib),
        );
        let side = |side: &Side| {
            json!({
                "rate": side.rate, "cpu_us": side.cpu_us, "busy": side.busy, "resident_kib": side.resident_kib,
                "p50_ms": side.at_half_rate.p50, "p99_ms": side.at_half_rate.p99, "p999_ms": side.at_half_rate.p999,
            })
        };
        self.rows.push(json!({
            "scenario": it.name, "bytes": it.bytes, "rate_ratio": it.rate_ratio, "cpu_ratio": it.cpu_ratio,
            "relay": side(&it.relay), "limit": side(&it.limit),
        }));
    }

    /// Figures of a scenario of its own kind.
    pub fn note(&mut self, scenario: &str, text: &str, figures: Value) {
        println!("{scenario}: {text}");
        let mut row = json!({"scenario": scenario});
        for (name, value) in figures.as_object().unwrap() {
            row[name] = value.clone();
        }
        self.rows.push(row);
    }

    pub fn write(&self, file: Option<&Path>) {
        if let Some(file) = file {
            std::fs::write(file, serde_json::to_string_pretty(&self.rows).unwrap()).unwrap();
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
pub fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
