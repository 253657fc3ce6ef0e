//! The unmodified Harness SDKs against the relay's own binary while the relay's Harness, a stand-in, goes away and comes back. As in
//! `real_sdks.rs`, an SDK that the machine lacks is named, and is a failure where `CI` is set; `SDKS=node,go` runs only those; the
//! first test runs them all.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "support/chaos_proxy.rs"]
mod chaos_proxy;
#[path = "support/fake_harness/mod.rs"]
mod fake_harness;
#[path = "support/online_sample.rs"]
mod online_sample;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "support/relay_process.rs"]
mod relay_process;
#[path = "support/sample_answers.rs"]
mod sample_answers;
#[path = "support/sdk_counts.rs"]
mod sdk_counts;
#[path = "support/sdk_outage.rs"]
mod sdk_outage;
#[path = "support/sdk_outcomes.rs"]
mod sdk_outcomes;
#[path = "support/sdk_process.rs"]
mod sdk_process;
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

static OUTCOMES: LazyLock<Outcomes> = LazyLock::new(|| Outcomes::of(sdk_outage::run));

fn tell(sdk: Sdk) {
    OUTCOMES.tell(sdk);
}
