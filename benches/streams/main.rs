//! Many SDK streams at one relay: how fast they connect, what each costs
//! while it is idle, and when each hears of a change.
//!
//! `cargo bench --bench streams -- [plain] [tls] [clients] [burst] [http2]
//! [--streams N,N,…] [--idle SECONDS] [--changes N] [--json FILE]`. Figures
//! are for comparing inside one run; machines differ.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

mod crowd;
mod http2;
mod measure;
mod options;
mod stream;

#[allow(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../workload/mod.rs"]
mod workload;

#[path = "../../tests/support/fake_harness/mod.rs"]
mod fake_harness;

use measure::Measurement;
use options::Kind;

fn main() {
    let Some(options) = options::read(std::env::args().skip(1)) else {
        println!("{}", options::USAGE);
        return;
    };
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    workload::process::pin_client();
    let mut rows = Vec::new();
    for kind in &options.kinds {
        let mut measurement = Measurement::start(*kind, &options, &mut rows);
        match kind {
            Kind::Burst => measurement.burst(),
            Kind::Http2 => measurement.http2(),
            Kind::Plain | Kind::Tls | Kind::Clients => measurement.steps(),
        }
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&rows).unwrap()).unwrap();
    }
}
