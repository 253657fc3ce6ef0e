//! Several primaries on one Redis: one leads, the others wait for it.

use std::time::{Duration, Instant};

use crate::fake_harness::Route;
use crate::fleet::{LEASE, address, has_role, primary, primary_options, process, replica, role, start};
use crate::redis_server::RedisServer;
use crate::setup::{Sdk, health_of, one_environment, turn_off, two_environments, wait_ready, wait_within};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY};

/// A lease, and what looking for it takes.
const AFTER_A_CRASH: Duration = Duration::from_secs(10);

#[test]
fn only_one_asks_upstream_and_both_serve() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    fake.wait_for_streams(1);
    fake.forget_requests();
    let second = primary(&fake, &redis, &[]);
    wait_ready(second.sdk);
    has_role(second.sdk, "STANDS_BY");
    let sdk = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    let version = fake.patch_flag(ENVIRONMENT, "a", turn_off);
    sdk.wait_for_version("a", version);
    assert_eq!((fake.open_streams(), fake.count(Route::Auth)), (1, 0), "one connection upstream");
}

#[test]
fn sigterm_hands_over_at_once() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    // A long lease: waiting for its end would take too long.
    let options: Vec<String> =
        primary_options(&fake, &address(&redis), &[]).into_iter().filter(|it| it != LEASE).collect();
    let long = |options: &[String]| [options, &["--redis-lease=60s".to_owned()]].concat();
    let first = start(&long(&options));
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let second = start(&long(&options));
    has_role(second.sdk, "STANDS_BY");
    wait_ready(second.sdk);
    let sdk = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    let since = Instant::now();
    first.stop();
    wait_within(Duration::from_secs(3), "the next one to lead", || (role(second.sdk) == "LEADS").then_some(()));
    let version = fake.patch_flag(ENVIRONMENT, "a", turn_off);
    sdk.wait_for_version("a", version);
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}

#[test]
fn after_a_crash_the_next_one_leads_and_replicas_follow_it() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = process(&primary_options(&fake, &address(&redis), &[]));
    has_role(first.address(), "LEADS");
    let second = primary(&fake, &redis, &[]);
    let third = replica(&redis, &[]);
    wait_ready(second.sdk);
    wait_ready(third.sdk);
    let sdk = Sdk::connect(third.sdk, KEY, ENVIRONMENT);
    let mut events = sdk.stream();
    // Dropping a process kills it.
    drop(first);
    let version = fake.patch_flag(ENVIRONMENT, "a", turn_off);
    wait_within(AFTER_A_CRASH, "the next one to lead", || (role(second.sdk) == "LEADS").then_some(()));
    sdk.wait_for_version("a", version);
    assert_eq!(events.next().expect("a patch")["version"], version);
}

#[test]
fn a_stopped_leader_that_wakes_up_writes_nothing() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = process(&primary_options(&fake, &address(&redis), &[]));
    has_role(first.address(), "LEADS");
    let second = primary(&fake, &redis, &[]);
    has_role(second.sdk, "STANDS_BY");
    first.pause();
    wait_within(AFTER_A_CRASH, "the next one to lead", || (role(second.sdk) == "LEADS").then_some(()));
    let version = fake.patch_flag(ENVIRONMENT, "a", turn_off);
    let sdk = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    sdk.wait_for_version("a", version);
    let token: u64 = redis.cli(&["HGET", &format!("ffrelay:{{{ENVIRONMENT}}}:truth"), "token"]);
    first.resume();
    has_role(first.address(), "STANDS_BY");
    // It follows what the other one wrote.
    let at_first = Sdk::connect(first.address(), KEY, ENVIRONMENT);
    at_first.wait_for_version("a", version);
    let now: u64 = redis.cli(&["HGET", &format!("ffrelay:{{{ENVIRONMENT}}}:truth"), "token"]);
    assert_eq!((now, role(second.sdk).as_str()), (token, "LEADS"));
}

#[test]
fn a_new_primary_starts_from_redis_while_upstream_is_down() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let version = {
        let sdk = Sdk::connect(first.sdk, KEY, ENVIRONMENT);
        let version = fake.patch_flag(ENVIRONMENT, "a", turn_off);
        sdk.wait_for_version("a", version);
        version
    };
    first.stop();
    fake.stop();
    let second = primary(&fake, &redis, &[]);
    wait_ready(second.sdk);
    let sdk = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    assert_eq!(sdk.version("a"), version);
    wait_within(Duration::from_secs(20), "staleness in health", || {
        (health_of(second.sdk, ENVIRONMENT)["stale"] == true).then_some(())
    });
    fake.restart();
    let version = fake.patch_flag(ENVIRONMENT, "a", |flag| flag["state"] = "on".into());
    sdk.wait_for_version("a", version);
    wait_within(Duration::from_secs(30), "freshness in health", || {
        (health_of(second.sdk, ENVIRONMENT)["stale"] == false).then_some(())
    });
}

#[test]
fn a_hand_over_changes_nothing_for_sdks() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let second = primary(&fake, &redis, &[]);
    let third = replica(&redis, &[]);
    wait_ready(second.sdk);
    wait_ready(third.sdk);
    let before = health_of(third.sdk, ENVIRONMENT);
    let sdk = Sdk::connect(third.sdk, KEY, ENVIRONMENT);
    let mut events = sdk.stream();
    first.stop();
    has_role(second.sdk, "LEADS");
    wait_within(Duration::from_secs(20), "the next one in sync", || {
        (health_of(second.sdk, ENVIRONMENT)["source"] == "UPSTREAM").then_some(())
    });
    events.assert_quiet(Duration::from_millis(500));
    let after = health_of(third.sdk, ENVIRONMENT);
    assert_eq!(
        (&before["digest"], &before["sequence"]),
        (&after["digest"], &after["sequence"]),
        "nothing was written anew"
    );
}

#[test]
fn a_proxy_key_starts_from_redis_while_upstream_is_down() {
    let (fake, redis) = (crate::setup::proxied(), RedisServer::start(&[]));
    let mut options = fake.proxy_key_options(crate::setup::PROXY_KEY);
    options.extend([address(&redis), LEASE.to_owned()]);
    let first = start(&options);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    first.stop();
    fake.stop();
    let second = start(&options);
    wait_ready(second.sdk);
    assert_eq!(Sdk::connect(second.sdk, KEY, ENVIRONMENT).flag("a").status, 200);
    assert_eq!(Sdk::connect(second.sdk, OTHER_KEY, OTHER).flag("b").status, 200);
}

#[test]
fn what_no_key_leads_to_is_stale() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let mut options = fake.api_key_options(&[KEY, OTHER_KEY]);
    options.extend([address(&redis), LEASE.to_owned()]);
    let first = start(&options);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    first.stop();
    fake.stop();
    let second = primary(&fake, &redis, &[]);
    has_role(second.sdk, "LEADS");
    wait_within(Duration::from_secs(20), "staleness", || (health_of(second.sdk, OTHER)["stale"] == true).then_some(()));
    assert_eq!(Sdk::connect(second.sdk, OTHER_KEY, OTHER).flag("b").status, 200, "it is served all the same");
}

#[test]
fn an_environment_whose_key_is_no_more_goes_everywhere() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let mut options = fake.api_key_options(&[KEY, OTHER_KEY]);
    options.extend([address(&redis), LEASE.to_owned()]);
    let first = start(&options);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let third = replica(&redis, &[]);
    wait_ready(third.sdk);
    let sdk = Sdk::connect(third.sdk, OTHER_KEY, OTHER);
    assert_eq!(sdk.flag("b").status, 200);
    first.stop();
    // It is given the time of a rolling update: thirty leases.
    let second = primary(&fake, &redis, &["--redis-lease=1s"]);
    has_role(second.sdk, "LEADS");
    assert_eq!(sdk.flag("b").status, 200, "not at once");
    wait_within(Duration::from_secs(60), "the end of the environment at the replica", || {
        (sdk.flag("b").status == 401).then_some(())
    });
    let left: Vec<String> = redis.cli(&["KEYS", &format!("env-{OTHER}-*")]);
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(Sdk::connect(third.sdk, KEY, ENVIRONMENT).flag("a").status, 200);
}
