//! Relays that share a Redis.

use std::ffi::OsString;
use std::time::Duration;

use serde_json::Value;

use crate::fake_harness::FakeHarness;
use crate::redis_server::RedisServer;
use crate::relay_process::{RelayProcess, binary};
use crate::setup::{health, wait_within};
use crate::support::configuration::KEY;
use crate::support::relay::TestRelay;

/// A lease that tests need not wait long for.
pub const LEASE: &str = "--redis-lease=2s";

pub fn address(redis: &RedisServer) -> String {
    format!("--redis-address={}", redis.address())
}

/// The options of a relay that may lead.
pub fn primary_options(fake: &FakeHarness, redis: &str, more: &[&str]) -> Vec<String> {
    let mut options = fake.api_key_options(&[KEY]);
    options.extend([redis, LEASE, "--metric-post-duration=100ms", "--connect-timeout=1s"].map(str::to_owned));
    options.extend(more.iter().map(ToString::to_string));
    options
}

pub fn replica_options(redis: &str, more: &[&str]) -> Vec<String> {
    let options = ["--read-replica", redis, LEASE, "--metric-post-duration=100ms", "--connect-timeout=1s"];
    options.iter().chain(more).map(ToString::to_string).collect()
}

pub fn start(options: &[String]) -> TestRelay {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    TestRelay::start(&options).unwrap_or_else(|error| panic!("the relay did not start: {error}"))
}

pub fn primary(fake: &FakeHarness, redis: &RedisServer, more: &[&str]) -> TestRelay {
    start(&primary_options(fake, &address(redis), more))
}

pub fn replica(redis: &RedisServer, more: &[&str]) -> TestRelay {
    start(&replica_options(&address(redis), more))
}

/// The same as a process of its own, which can be killed or stopped.
pub fn process(options: &[String]) -> RelayProcess {
    let options: Vec<OsString> =
        options.iter().chain(&["--grpc-address=127.0.0.1:0".to_owned()]).map(OsString::from).collect();
    RelayProcess::start(&binary(), &options)
}

pub fn role(relay: std::net::SocketAddr) -> String {
    health(relay)["redis"]["role"].as_str().unwrap_or_default().to_owned()
}

pub fn has_role(relay: std::net::SocketAddr, wanted: &str) {
    wait_within(Duration::from_secs(20), &format!("the role {wanted}"), || (role(relay) == wanted).then_some(()));
}

pub fn redis_health(relay: std::net::SocketAddr) -> Value {
    health(relay)["redis"].clone()
}
