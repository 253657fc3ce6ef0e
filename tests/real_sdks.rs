//! The unmodified Harness SDKs against the relay's own binary, on a copy of `examples/offline`. `tests/run` prepares the SDKs; a
//! machine that lacks one says so, and fails where `CI` is set. `SDKS=node,go` runs only those. The first test runs them all.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "support/chaos_proxy.rs"]
mod chaos_proxy;
#[path = "support/config_copy.rs"]
mod config_copy;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "support/relay_process.rs"]
mod relay_process;
#[path = "support/sample_answers.rs"]
mod sample_answers;
#[path = "support/sample_relay.rs"]
mod sample_relay;
#[path = "support/sdk_outcomes.rs"]
mod sdk_outcomes;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "support/sdk_process.rs"]
mod sdk_process;
#[path = "support/sdk_scenario.rs"]
mod sdk_scenario;
#[path = "support/sdk_watch.rs"]
mod sdk_watch;

use std::sync::LazyLock;

use sdk_outcomes::Outcomes;
use sdk_process::Sdk;

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

static OUTCOMES: LazyLock<Outcomes> = LazyLock::new(|| Outcomes::of(sdk_scenario::run));

fn tell(sdk: Sdk) {
    OUTCOMES.tell(sdk);
}
