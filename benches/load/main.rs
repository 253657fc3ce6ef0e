//! Loads a release build of the relay that runs on one core, from the other
//! core, in alternation with a limit server: hyper with nothing around it,
//! which sends the same bytes and verifies or signs the same tokens.
//!
//! `cargo bench --bench load -- [scenario…] [--seconds N] [--rounds N]
//! [--requests N] [--limit-runtime current] [--json FILE]`; `list` prints
//! the scenarios. Figures are for comparing inside one run; machines differ.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

mod answer;
mod changes;
mod churn;
mod client;
mod growth;
mod limit;
mod memory;
mod options;
mod report;
mod routes;
mod scenario;
mod site;
mod start;
mod traffic;

#[allow(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../workload/mod.rs"]
mod workload;

#[path = "../../tests/support/fake_harness/mod.rs"]
mod fake_harness;

use options::{Options, Run};
use report::Report;

fn main() {
    let options = match options::read(std::env::args().skip(1)) {
        Run::Limit(specification) => return limit::serve(&specification),
        Run::Nothing => {
            println!("{}", options::USAGE);
            return scenario::print_names();
        }
        Run::Scenarios(options) => options,
    };
    workload::process::pin_client();
    let mut report = Report::new();
    run(&options, &mut report);
    report.write(options.json.as_deref());
}

fn run(options: &Options, report: &mut Report) {
    routes::run(options, report);
    for (name, special) in scenario::SPECIAL {
        if options.wants(name) {
            special(options, report);
        }
    }
}
