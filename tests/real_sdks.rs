//! The unmodified Harness SDKs against the relay's own binary, on a copy of `examples/offline`. `tests/run` prepares the SDKs; a
//! machine that lacks one says so, and fails where `CI` is set. `SDKS=node,go` runs only those.
//!
//! Each SDK mostly waits (a stream must prove itself for longer than the SDK's read timeout), and libtest runs no more tests at
//! once than there are cores. So the first test runs all SDKs beside each other, and every test tells its own outcome.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "support/chaos_proxy.rs"]
mod chaos_proxy;
#[path = "support/config_copy.rs"]
mod config_copy;
#[path = "support/relay_process.rs"]
mod relay_process;
#[path = "support/sample_answers.rs"]
mod sample_answers;
#[path = "support/sample_relay.rs"]
mod sample_relay;
#[path = "support/sdk_process.rs"]
mod sdk_process;
#[path = "support/sdk_scenario.rs"]
mod sdk_scenario;

use std::any::Any;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::thread;

use sdk_process::Sdk;
use sdk_scenario::Report;

#[test]
fn node_server_sdk() {
    tell(Sdk::Node);
}

#[test]
fn python_server_sdk() {
    tell(Sdk::Python);
}

#[test]
fn go_server_sdk() {
    tell(Sdk::Go);
}

#[test]
fn java_server_sdk() {
    tell(Sdk::Java);
}

#[test]
fn browser_sdk() {
    tell(Sdk::Browser);
}

enum Outcome {
    NotAsked,
    Missing(String),
    Passed(Report),
    Failed(String),
}

static OUTCOMES: LazyLock<Vec<(Sdk, Outcome)>> = LazyLock::new(|| {
    let asked = &env::var("SDKS").unwrap_or_default();
    thread::scope(|scope| {
        let runs = Sdk::ALL.map(|sdk| (sdk, scope.spawn(move || outcome(sdk, asked))));
        runs.into_iter().map(|(sdk, run)| (sdk, run.join().unwrap())).collect()
    })
});

fn outcome(sdk: Sdk, asked: &str) -> Outcome {
    if !asked.is_empty() && !asked.split(',').any(|name| name == sdk.name()) {
        return Outcome::NotAsked;
    }
    if let Some(missing) = sdk.missing() {
        return Outcome::Missing(missing);
    }
    match catch_unwind(AssertUnwindSafe(|| sdk_scenario::run(sdk))) {
        Ok(report) => Outcome::Passed(report),
        Err(panic) => Outcome::Failed(text(panic.as_ref())),
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let owned = panic.downcast_ref::<String>().cloned();
    owned.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_else(|| "no text".to_owned())
}

fn tell(sdk: Sdk) {
    let (_, outcome) = OUTCOMES.iter().find(|(each, _)| *each == sdk).unwrap();
    let name = sdk.name();
    match outcome {
        Outcome::NotAsked => println!("{name}: not asked for by SDKS"),
        Outcome::Missing(what) if env::var_os("CI").is_some() => panic!("{name}: {what}"),
        Outcome::Missing(what) => println!("{name}: NOT TESTED: {what}"),
        Outcome::Passed(report) => println!("{name}:\n  {}", report.join("\n  ")),
        Outcome::Failed(why) => {
            panic!("{name}: {why} (logs: in the output of the first test of this file)")
        }
    }
}
