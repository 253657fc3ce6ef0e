//! SDK metrics where Go proxies share the Redis: written and read in their way.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fleet::{address, has_role, process, start};
use crate::go_contents::{EVENTS, USAGE, add, events, load};
use crate::redis_server::RedisServer;
use crate::reports::{arrives, row};
use crate::setup::{Sdk, one_environment, two_environments, wait_ready};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER};
use crate::support::wait_for;
use crate::usage_sharing::{STREAM, leader, options, other_arrives, sdk_at};

const SECRET: &str = "--auth-secret=the-go-proxies-own";

/// What a Go replica writes.
fn of_a_go_replica(redis: &RedisServer, environment: &str, flag: &str, count: i64) -> String {
    let target = json!({"identifier": "gopher", "name": "Gopher", "attributes": []});
    let event =
        json!({"environment_id": environment, "metricsData": [row(flag, "pat", count)], "targetData": [target]});
    add(redis, USAGE, &event)
}

fn position(redis: &RedisServer) -> Option<String> {
    redis.cli(&["GET", "ffrelay:go-usage-position"])
}

#[test]
fn a_go_replicas_metrics_are_counted_once() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    of_a_go_replica(&redis, ENVIRONMENT, "before", 1);
    let first = process(&options(&fake, &redis, &[SECRET]));
    has_role(first.address(), "LEADS");
    wait_for("the position", || position(&redis));
    for _ in 0..3 {
        of_a_go_replica(&redis, ENVIRONMENT, "a", 5);
        of_a_go_replica(&redis, OTHER, "b", 6);
    }
    let last = add(&redis, USAGE, &json!({"metricsData": "nonsense"}));
    arrives(&fake, "a", 15);
    other_arrives(&fake, "b", 18);
    wait_for("its place to be kept", || (position(&redis)? == last).then_some(()));
    // Killed, and what is written meanwhile waits.
    drop(first);
    of_a_go_replica(&redis, ENVIRONMENT, "a", 100);
    let second = leader(&fake, &redis, &[SECRET]);
    arrives(&fake, "a", 115);
    of_a_go_replica(&redis, ENVIRONMENT, "a", 1000);
    arrives(&fake, "a", 1115);
    assert_eq!(fake.counted(ENVIRONMENT, "before"), 0, "from the end, as a Go primary");
    drop(second);
}

#[test]
fn a_primary_that_has_read_nothing_yet_keeps_its_place() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = leader(&fake, &redis, &[SECRET]);
    wait_for("the position", || position(&redis));
    first.stop();
    of_a_go_replica(&redis, ENVIRONMENT, "a", 5);
    let _second = leader(&fake, &redis, &[SECRET]);
    arrives(&fake, "a", 5);
}

#[test]
fn a_flush_makes_nothing_uncounted_or_counted_twice() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let _first = leader(&fake, &redis, &[SECRET]);
    wait_for("the position", || position(&redis));
    of_a_go_replica(&redis, ENVIRONMENT, "a", 5);
    arrives(&fake, "a", 5);
    redis.cli::<()>(&["FLUSHALL"]);
    redis.cli::<()>(&["CLIENT", "KILL", "TYPE", "normal"]);
    of_a_go_replica(&redis, ENVIRONMENT, "a", 6);
    arrives(&fake, "a", 11);
}

#[test]
fn a_replica_beside_go_proxies_writes_in_their_way() {
    let redis = RedisServer::start(&[]);
    load(&redis, "v2.json");
    let replica = start(&crate::fleet::replica_options(&address(&redis), &[SECRET, "--metrics-stream-max-len=5"]));
    wait_ready(replica.sdk);
    has_role(replica.sdk, "FOLLOWS_GO");
    let sdk = sdk_at(&replica);
    sdk.report(&[row("bool-on", "pat", 3), row("bool-on", "pat", 4)]);
    let written = wait_for("an event", || events(&redis, USAGE).into_iter().next());
    assert_eq!(written["environment_id"], ENVIRONMENT);
    assert_eq!(written["metricsData"][0]["count"], 7);
    assert_eq!(written["metricsData"][0]["metricsType"], "FFMETRICS");
    assert_eq!(written["targetData"][0]["identifier"], "pat");
    let fields: Vec<&str> = written.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(fields.iter().all(|field| ["environment_id", "metricsData", "targetData"].contains(field)), "{fields:?}");
    assert_eq!(redis.cli::<u64>(&["EXISTS", STREAM]), 0);
}

/// Go proxies are replaced by relays one after another.
#[test]
fn a_replica_turns_to_our_primary_once_there_is_one() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    load(&redis, "v2.json");
    let replica = start(&crate::fleet::replica_options(&address(&redis), &[SECRET]));
    wait_ready(replica.sdk);
    has_role(replica.sdk, "FOLLOWS_GO");
    let _first = leader(&fake, &redis, &[SECRET]);
    has_role(replica.sdk, "REPLICA");
    let sdk = sdk_at(&replica);
    let version = fake.patch_flag(ENVIRONMENT, "a", crate::setup::turn_off);
    sdk.wait_for_version("a", version);
    assert_eq!(sdk.version("bool-on"), 0, "what Harness has counts");
    sdk.used("a", 5);
    arrives(&fake, "a", 5);
}

/// A Go primary counts what is in its stream; a relay of ours that yields to it must not count that, too.
#[test]
fn what_a_go_primary_counts_nobody_else_counts() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    load(&redis, "v2.json");
    let first = leader(&fake, &redis, &[SECRET]);
    let second = start(&crate::fleet::replica_options(&address(&redis), &[SECRET]));
    wait_ready(second.sdk);
    add(&redis, EVENTS, &event_of_a_go_primary());
    has_role(first.sdk, "FOLLOWS_GO");
    of_a_go_replica(&redis, ENVIRONMENT, "go", 1);
    let count = |flag: &str| -> i64 {
        let rows = events(&redis, USAGE)
            .into_iter()
            .flat_map(|event| event["metricsData"].as_array().cloned().unwrap_or_default());
        rows.filter(|row| row.to_string().contains(&format!("\"{flag}\"")))
            .filter_map(|row| row["count"].as_i64())
            .sum()
    };
    sdk_at(&first).used("ours", 5);
    wait_for("the first's in the Go stream", || (count("ours") >= 5).then_some(()));
    // What a replica of ours brings goes the same way, but for what was under way to Harness when the Go primary came.
    let replicas = || count("replicas") + fake.counted(ENVIRONMENT, "replicas");
    let sdk = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    sdk.used("replicas", 7);
    wait_for("the replica's first", || (replicas() >= 7).then_some(()));
    sdk.used("late", 9);
    wait_for("the replica's second", || (count("late") >= 9).then_some(()));
    sdk_at(&first).used("last", 1);
    wait_for("the last", || (count("last") >= 1).then_some(()));
    std::thread::park_timeout(Duration::from_millis(500));
    assert_eq!((count("go"), count("ours"), replicas(), count("late"), count("last")), (1, 5, 7, 9, 1));
    for flag in ["go", "ours", "late", "last"] {
        assert_eq!(fake.counted(ENVIRONMENT, flag), 0, "{flag} is the Go primary's to count");
    }
}

fn event_of_a_go_primary() -> Value {
    json!({"event": "patch", "domain": "flag", "identifier": "bool-on", "version": 9, "environment": ENVIRONMENT, "apiKey": ""})
}
