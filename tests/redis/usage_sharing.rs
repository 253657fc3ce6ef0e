//! SDK metrics go through Redis to the primary, and each evaluation is counted in Harness once, wherever it was reported.

use std::time::Duration;

use ff_relay::usage::batch::MAX_ROWS;
use serde_json::{Value, json};

use crate::fake_harness::metrics::Received;
use crate::fake_harness::{FakeHarness, Fault, Route};
use crate::fleet::{LEASE, address, has_role, replica, replica_options, role, start};
use crate::redis_server::RedisServer;
use crate::reports::{arrives, row};
use crate::setup::{Sdk, metric, two_environments, wait_ready};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY};
use crate::support::relay::TestRelay;
use crate::support::wait_for;

/// Batches of our relays wait here.
pub const STREAM: &str = "ffrelay:{usage}";

/// A primary for both environments.
pub fn options(fake: &FakeHarness, redis: &RedisServer, more: &[&str]) -> Vec<String> {
    let mut options = fake.api_key_options(&[KEY, OTHER_KEY]);
    options.push(address(redis));
    options.extend([LEASE, "--metric-post-duration=100ms", "--connect-timeout=1s"].map(str::to_owned));
    options.extend(more.iter().map(ToString::to_string));
    options
}

pub fn leader(fake: &FakeHarness, redis: &RedisServer, more: &[&str]) -> TestRelay {
    let relay = start(&options(fake, redis, more));
    has_role(relay.sdk, "LEADS");
    wait_ready(relay.sdk);
    relay
}

pub fn follower(redis: &RedisServer, more: &[&str]) -> TestRelay {
    let relay = replica(redis, more);
    wait_ready(relay.sdk);
    relay
}

pub fn sdk_at(relay: &TestRelay) -> Sdk {
    Sdk::connect(relay.sdk, KEY, ENVIRONMENT)
}

pub fn other_arrives(fake: &FakeHarness, flag: &str, count: i64) {
    wait_for(&format!("{count} evaluations of {flag}"), || (fake.counted(OTHER, flag) >= count).then_some(()));
    assert_eq!(fake.counted(OTHER, flag), count);
}

/// Nothing waits, and nothing was in the dark.
fn all_is_certain(redis: &RedisServer, relays: &[&TestRelay]) {
    wait_for("an empty stream", || (redis.cli::<u64>(&["XLEN", STREAM]) == 0).then_some(()));
    for relay in relays {
        assert_eq!(metric(relay.sdk, "ff_proxy_metrics_uncertain_total"), 0.0);
        assert_eq!(metric(relay.sdk, "ff_relay_metrics_dropped_total"), 0.0);
    }
}

#[test]
fn every_evaluation_is_counted_once_wherever_it_was_reported() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let first = leader(&fake, &redis, &[]);
    let second = start(&options(&fake, &redis, &[]));
    has_role(second.sdk, "STANDS_BY");
    wait_ready(second.sdk);
    let (third, fourth) = (follower(&redis, &[]), follower(&redis, &[]));
    let relays = [&first, &second, &third, &fourth];
    for round in 0..3 {
        for (relay, count) in relays.iter().zip([1, 10, 100, 1000]) {
            sdk_at(relay).report(&[row("a", "pat", count), row(&format!("r{round}"), "pat", 1)]);
            Sdk::connect(relay.sdk, OTHER_KEY, OTHER).used("b", 2 * count);
        }
    }
    arrives(&fake, "a", 3333);
    other_arrives(&fake, "b", 6666);
    (0..3).for_each(|round| arrives(&fake, &format!("r{round}"), 4));
    let targets: Vec<Value> = fake.metrics(ENVIRONMENT).iter().flat_map(Received::targets).collect();
    assert!(targets.iter().any(|target| target["identifier"] == "pat"));
    all_is_certain(&redis, &relays);
    assert!(fake.metrics(ENVIRONMENT).iter().all(|it| it.rows().iter().all(|row| row["metricsType"] == "FFMETRICS")));
}

#[test]
fn large_reports_go_in_batches() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let first = leader(&fake, &redis, &[]);
    let second = follower(&redis, &[]);
    let rows: Vec<Value> = (0..2500).map(|number| row(&format!("f{number}"), "pat", 1 + number % 7)).collect();
    sdk_at(&second).report(&rows);
    let sizes = || fake.metrics(ENVIRONMENT).iter().map(|received| received.rows().len()).collect::<Vec<_>>();
    wait_for("all rows", || (sizes().iter().sum::<usize>() >= 2500).then_some(()));
    assert!(sizes().iter().all(|size| *size <= MAX_ROWS), "{:?}", sizes());
    let received: Vec<Value> = fake.metrics(ENVIRONMENT).iter().flat_map(Received::rows).collect();
    let sum: i64 = received.iter().filter_map(|row| row["count"].as_i64()).sum();
    assert_eq!((received.len(), sum), (2500, (0..2500).map(|number| 1 + number % 7).sum()));
    all_is_certain(&redis, &[&first, &second]);
}

#[test]
fn while_upstream_is_down_no_more_waits_than_may() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let first = leader(&fake, &redis, &["--metrics-stream-max-len=3"]);
    let replicas: Vec<TestRelay> = (0..3).map(|_| follower(&redis, &["--metrics-stream-max-len=3"])).collect();
    fake.stop();
    for round in 0..4 {
        for relay in &replicas {
            sdk_at(relay).used("a", 5);
            Sdk::connect(relay.sdk, OTHER_KEY, OTHER).used("b", 7);
        }
        wait_for("batches in Redis", || {
            let length: u64 = redis.cli(&["XLEN", STREAM]);
            assert!(length <= 3, "{length} wait");
            (length == 3).then_some(())
        });
        std::thread::park_timeout(Duration::from_millis(200 * round));
    }
    fake.restart();
    arrives(&fake, "a", 60);
    other_arrives(&fake, "b", 84);
    assert_eq!(metric(first.sdk, "ff_relay_metrics_dropped_total"), 0.0);
}

#[test]
fn one_poisoned_row_is_found_and_the_others_arrive() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let first = leader(&fake, &redis, &[]);
    let second = follower(&redis, &[]);
    let poisoned = |request: &crate::fake_harness::Request| String::from_utf8_lossy(&request.body).contains("poison");
    fake.fail(Route::Metrics).when(poisoned).with(Fault::status(400));
    let mut rows: Vec<Value> = (0..40).map(|number| row(&format!("f{number}"), "pat", 2)).collect();
    rows.insert(17, row("poison", "pat", 3));
    sdk_at(&second).report(&rows);
    (0..40).for_each(|number| arrives(&fake, &format!("f{number}"), 2));
    assert_eq!(fake.counted(ENVIRONMENT, "poison"), 0);
    wait_for("the count of what was dropped", || {
        (metric(first.sdk, "ff_relay_metrics_dropped_total") == 3.0).then_some(())
    });
    sdk_at(&second).used("after", 1);
    arrives(&fake, "after", 1);
}

#[test]
fn what_the_primary_cannot_send_blocks_nothing_else() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let first = leader(&fake, &redis, &["--metrics-stream-read-concurrency=1"]);
    let body = json!({"metricsData": [row("x", "pat", 1)]}).to_string();
    for number in 0..20 {
        // Of an environment that nobody has a key for, and what nobody can read.
        let id = format!("{number:032x}");
        redis.cli::<String>(&["XADD", STREAM, "*", "e", "elsewhere", "i", &id, "b", &body]);
        redis.cli::<String>(&["XADD", STREAM, "*", "e", ENVIRONMENT, "from", "later"]);
    }
    let second = follower(&redis, &[]);
    sdk_at(&second).used("a", 3);
    arrives(&fake, "a", 3);
    wait_for("what cannot be read to go", || (redis.cli::<u64>(&["XLEN", STREAM]) == 20).then_some(()));
    assert_eq!(role(first.sdk), "LEADS");
}

#[test]
fn one_environment_upstream_does_not_answer_for_does_not_stop_another() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let _first = leader(&fake, &redis, &["--metrics-stream-read-concurrency=2"]);
    let replicas: Vec<TestRelay> = (0..3).map(|_| follower(&redis, &[])).collect();
    let planted = fake.fail(Route::Metrics).within(OTHER).with(Fault::Hang);
    for relay in &replicas {
        Sdk::connect(relay.sdk, OTHER_KEY, OTHER).used("b", 1);
    }
    wait_for("the hanging post", || (planted.hits() > 0).then_some(()));
    wait_for("all of them in Redis", || (redis.cli::<u64>(&["XLEN", STREAM]) == 3).then_some(()));
    sdk_at(&replicas[0]).used("a", 3);
    arrives(&fake, "a", 3);
    fake.clear(&planted);
    fake.stop();
    fake.restart();
    wait_for("the other's", || (fake.counted(OTHER, "b") >= 3).then_some(()));
}

#[test]
fn a_relay_that_is_alone_sends_by_itself() {
    let (fake, mut redis) = (two_environments(), RedisServer::start(&[]));
    let first = leader(&fake, &redis, &[]);
    redis.kill();
    sdk_at(&first).used("a", 5);
    arrives(&fake, "a", 5);
    has_role(first.sdk, "ALONE");
    sdk_at(&first).used("a", 6);
    arrives(&fake, "a", 11);
    redis.restart(crate::redis_server::Data::Kept);
    has_role(first.sdk, "LEADS");
    sdk_at(&first).used("a", 7);
    arrives(&fake, "a", 18);
    assert_eq!(metric(first.sdk, "ff_proxy_metrics_uncertain_total"), 0.0);
}

#[test]
fn a_replica_that_is_told_to_end_hands_in_what_it_has() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let _first = leader(&fake, &redis, &[]);
    let options = replica_options(&address(&redis), &["--shutdown-grace=5s"]);
    let seldom: Vec<String> = options.into_iter().filter(|it| !it.starts_with("--metric-post")).collect();
    let second = start(&[seldom, vec!["--metric-post-duration=3600".to_owned()]].concat());
    wait_ready(second.sdk);
    let sdk = sdk_at(&second);
    sdk.used("a", 5);
    sdk.used("a", 6);
    second.stop();
    assert_eq!(fake.counted(ENVIRONMENT, "a"), 11);
}
