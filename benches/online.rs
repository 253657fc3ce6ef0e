//! Measures the way from Harness to SDKs on this machine: how long a change
//! takes from a stand-in for Harness to an SDK's stream, and what a start
//! with a thousand environments costs. Prints figures; asserts nothing of
//! them.
//!
//! `cargo bench --bench online` (it builds and starts the release binary).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

#[path = "../tests/support/fake_harness/mod.rs"]
mod fake_harness;
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use std::time::{Duration, Instant};

use fake_harness::FakeHarness;
use serde_json::json;
use support::{Events, Relay, flag, print_times};

const CHANGES: usize = 1_000;
const ENVIRONMENTS: usize = 1_000;
const FLAGS: usize = 30;

fn propagation() {
    let fake = FakeHarness::start();
    fake.add_environment("bench", "bench-key");
    (0..100).for_each(|i| fake.create_flag("bench", flag(&format!("flag_{i}"), 1)));
    let relay = Relay::start(&fake.api_key_options(&["bench-key"]));
    relay.becomes_ready();
    fake.wait_for_streams(1);
    let mut events = Events::open(&relay, "bench-key");
    // What the fetch after the upstream's connection brought is over.
    std::thread::sleep(Duration::from_millis(500));
    let mut times = Vec::with_capacity(CHANGES);
    for change in 0..CHANGES {
        let name = format!("flag_{}", change % 100);
        let began = Instant::now();
        let version = fake.patch_flag("bench", &name, |flag| {
            flag["state"] = json!(if change % 200 < 100 { "off" } else { "on" });
        });
        events.wait_for(&name, version);
        times.push(began.elapsed());
    }
    print_times("Harness to SDK stream", &mut times);
}

fn many_environments() {
    let fake = FakeHarness::start();
    for environment in 0..ENVIRONMENTS {
        let id = format!("bench-{environment:04}");
        fake.add_environment(&id, &format!("bench-key-{environment}"));
        (0..FLAGS).for_each(|i| fake.create_flag(&id, flag(&format!("flag_{i}"), 1)));
    }
    fake.set_proxy_key("bench-proxy-key");
    let relay = Relay::start(&fake.proxy_key_options("bench-proxy-key"));
    let after = relay.becomes_ready();
    fake.wait_for_streams(1);
    println!(
        "{ENVIRONMENTS} environments of {FLAGS} flags by a proxy key: ready after {after:.2?}, {} MiB resident, {} requests to Harness",
        relay.resident_mib(),
        fake.all_requests().len()
    );
    drop(relay);
    let keys: Vec<String> = (0..ENVIRONMENTS).map(|i| format!("bench-key-{i}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let before = fake.all_requests().len();
    let relay = Relay::start(&fake.api_key_options(&keys));
    let after = relay.becomes_ready();
    println!(
        "{ENVIRONMENTS} environments of {FLAGS} flags by API keys: ready after {after:.2?}, {} MiB resident, {} requests to Harness",
        relay.resident_mib(),
        fake.all_requests().len() - before
    );
}

fn main() {
    propagation();
    many_environments();
}
