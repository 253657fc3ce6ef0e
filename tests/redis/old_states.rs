//! States that are old, lost or withdrawn do not come back, and none stays
//! for ever.

use std::time::Duration;

use serde_json::json;

use crate::fake_harness::{Request, Route};
use crate::fleet::{LEASE, address, has_role, primary, primary_options, process, replica, role, start};
use crate::redis_server::{Data, RedisServer};
use crate::setup::{
    PROXY_KEY, Sdk, authenticate, health_of, one_environment, proxied, turn_off, two_environments, wait_ready,
    wait_within,
};
use crate::support::client::{get, post};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean};

const SOON: Duration = Duration::from_secs(30);

fn truth() -> String {
    format!("ffrelay:{{{ENVIRONMENT}}}:truth")
}

#[test]
fn an_old_event_of_a_go_proxy_says_nothing() {
    let redis = RedisServer::start(&[]);
    let event = json!({"event": "patch", "domain": "flag", "identifier": "a", "version": 3, "environment": ENVIRONMENT, "apiKey": ""});
    redis.cli::<String>(&["XADD", "proxy:sse_events", "1000-1", "event", &event.to_string()]);
    let fake = one_environment();
    let first = primary(&fake, &redis, &["--auth-secret=as-go-has"]);
    has_role(first.sdk, "LEADS");
    let sdk = Sdk::connect(first.sdk, KEY, ENVIRONMENT);
    let version = fake.patch_flag(ENVIRONMENT, "a", turn_off);
    sdk.wait_for_version("a", version);
    let newest = || redis.cli::<Vec<(String, Vec<String>)>>(&["XREVRANGE", "proxy:sse_events", "+", "-", "COUNT", "1"]);
    wait_within(SOON, "our own entry", || (newest()[0].1.len() == 4).then_some(()));
    // A failover loses the last entry.
    redis.cli::<i64>(&["XDEL", "proxy:sse_events", &newest()[0].0]);
    redis.cli::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]);
    let version = fake.patch_flag(ENVIRONMENT, "a", |flag| flag["state"] = json!("on"));
    sdk.wait_for_version("a", version);
    wait_within(SOON, "the change in Redis", || (newest()[0].1.len() == 4).then_some(()));
    assert_eq!(role(first.sdk), "LEADS");
}

#[test]
fn a_replica_gives_up_what_a_failover_lost_when_the_next_leader_is_in_sync_without_it() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let options = primary_options(&fake, &address(&redis), &[]);
    let first = process(&options);
    has_role(first.address(), "LEADS");
    let third = replica(&redis, &[]);
    wait_ready(third.sdk);
    let second = process(&options);
    has_role(second.address(), "STANDS_BY");
    second.pause();
    redis.cli::<()>(&["COPY", &truth(), "saved-truth"]);
    fake.create_flag(ENVIRONMENT, boolean("b", true, 1));
    let sdk = Sdk::connect(third.sdk, KEY, ENVIRONMENT);
    sdk.wait_for_version("b", 1);
    drop(first);
    redis.cli::<()>(&["COPY", "saved-truth", &truth(), "REPLACE"]);
    fake.delete_flag(ENVIRONMENT, "b");
    second.resume();
    has_role(second.address(), "LEADS");
    wait_within(SOON, "the end of the flag", || (sdk.version("b") == 0).then_some(()));
    let digest = |relay| health_of(relay, ENVIRONMENT)["digest"].clone();
    assert_eq!(digest(third.sdk), digest(second.address()));
}

#[test]
fn what_was_made_while_alone_does_not_go_back_while_upstream_is_down() {
    let (fake, mut redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let second = primary(&fake, &redis, &[]);
    has_role(second.sdk, "STANDS_BY");
    wait_ready(second.sdk);
    first.stop();
    has_role(second.sdk, "LEADS");
    fake.wait_for_streams(1);
    redis.cli::<()>(&["SAVE"]);
    redis.kill();
    has_role(second.sdk, "ALONE");
    let sdk = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    let version = fake.patch_flag(ENVIRONMENT, "a", turn_off);
    sdk.wait_for_version("a", version);
    fake.stop();
    wait_within(Duration::from_secs(60), "staleness", || {
        (health_of(second.sdk, ENVIRONMENT)["stale"] == true).then_some(())
    });
    redis.restart(Data::Kept);
    has_role(second.sdk, "LEADS");
    let there = || redis.cli::<Option<String>>(&["HGET", &truth(), "f:a"]);
    wait_within(SOON, "the newer state in Redis", || there()?.contains("\"off\"").then_some(()));
    assert_eq!(sdk.version("a"), version);
}

#[test]
fn a_withdrawn_environment_does_not_come_back_from_an_old_disk() {
    let (fake, redis) = (proxied(), RedisServer::start(&[]));
    let data = tempfile::tempdir().unwrap();
    let mut options = fake.proxy_key_options(PROXY_KEY);
    options.extend([address(&redis), LEASE.to_owned()]);
    let with_disk = [&options[..], &[format!("--data-dir={}", data.path().display())]].concat();
    let old = start(&with_disk);
    has_role(old.sdk, "LEADS");
    wait_ready(old.sdk);
    assert_eq!(authenticate(old.sdk, OTHER_KEY).status, 200);
    old.stop();
    let first = start(&options);
    let third = replica(&redis, &[]);
    has_role(first.sdk, "LEADS");
    wait_ready(third.sdk);
    wait_within(SOON, "the source", || (health_of(first.sdk, OTHER)["source"] == "UPSTREAM").then_some(()));
    fake.remove_environment(OTHER);
    let registered = || redis.cli::<Option<String>>(&["HGET", "ffrelay:environments", OTHER]);
    wait_within(SOON, "the withdrawal", || (registered()? == "gone").then_some(()));
    let old = start(&with_disk);
    has_role(old.sdk, "STANDS_BY");
    wait_within(SOON, "the end of the key at the old disk", || {
        (authenticate(old.sdk, OTHER_KEY).status == 401).then_some(())
    });
    fake.stop();
    first.stop();
    has_role(old.sdk, "LEADS");
    let compared = || crate::fleet::redis_health(old.sdk)["comparedAtMs"].as_i64();
    let before = compared();
    wait_within(SOON, "a comparison", || (compared() > before).then_some(()));
    assert_eq!(registered().as_deref(), Some("gone"));
    assert_ne!(authenticate(third.sdk, OTHER_KEY).status, 200);
}

#[test]
fn earlier_secrets_outlive_a_flush() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let earlier = "ffrelay:{auth}:earlier-secrets";
    redis.cli::<i64>(&["SADD", earlier, "an-earlier-secret-of-some-length"]);
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    redis.cli::<()>(&["FLUSHALL"]);
    wait_within(SOON, "the earlier secret", || {
        (redis.cli::<Vec<String>>(&["SMEMBERS", earlier]).len() == 1).then_some(())
    });
}

#[test]
fn a_target_that_came_between_two_leaders_reaches_harness() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = process(&primary_options(&fake, &address(&redis), &[]));
    has_role(first.address(), "LEADS");
    let second = primary(&fake, &redis, &[]);
    let third = replica(&redis, &[]);
    wait_ready(second.sdk);
    wait_ready(third.sdk);
    drop(first);
    let body = json!({"apiKey": KEY, "target": {"identifier": "pat", "attributes": {"plan": "pro"}}}).to_string();
    post(third.sdk, "/client/auth", &[], &body).ok();
    has_role(second.sdk, "LEADS");
    wait_within(SOON, "the registration", || {
        let pat = |request: &Request| request.json()["target"]["identifier"] == "pat";
        fake.requests(Route::Auth).iter().any(pat).then_some(())
    });
}

#[test]
fn who_is_ready_stays_ready() {
    let (fake, mut redis) = (one_environment(), RedisServer::start(&[]));
    let mut options = fake.api_key_options(&[KEY, "refused-key"]);
    options.extend([address(&redis), LEASE.to_owned()]);
    let first = start(&options);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let second = start(&options);
    has_role(second.sdk, "STANDS_BY");
    wait_ready(second.sdk);
    fake.stop();
    redis.kill();
    has_role(second.sdk, "ALONE");
    for relay in [first.sdk, second.sdk] {
        assert_eq!(get(relay, "/readyz", &[]).status, 200);
    }
}

#[test]
fn a_key_that_only_the_next_relay_has_is_not_refused_by_it() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let options = |keys: &[&str]| [fake.api_key_options(keys), vec![address(&redis), LEASE.to_owned()]].concat();
    let old = start(&options(&[KEY]));
    has_role(old.sdk, "LEADS");
    wait_ready(old.sdk);
    let new = start(&options(&[KEY, OTHER_KEY]));
    has_role(new.sdk, "STANDS_BY");
    wait_ready(new.sdk);
    assert_ne!(authenticate(new.sdk, OTHER_KEY).status, 401);
    old.stop();
    wait_within(SOON, "the key's environment", || (authenticate(new.sdk, OTHER_KEY).status == 200).then_some(()));
}

#[test]
fn one_bad_key_in_redis_holds_nothing_up() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let options = [fake.api_key_options(&[KEY, OTHER_KEY]), vec![address(&redis), LEASE.to_owned()]].concat();
    let first = start(&options);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let third = replica(&redis, &[]);
    wait_ready(third.sdk);
    for (bad, good, flag, key) in [(ENVIRONMENT, OTHER, "b", OTHER_KEY), (OTHER, ENVIRONMENT, "a", KEY)] {
        let name = format!("ffrelay:{{{bad}}}:truth");
        redis.cli::<()>(&["DEL", &name]);
        redis.cli::<()>(&["SET", &name, "x"]);
        let version = fake.patch_flag(good, flag, turn_off);
        let sdk = Sdk::connect(third.sdk, key, good);
        wait_within(SOON, "the other environment's change", || (sdk.version(flag) == version).then_some(()));
        wait_within(SOON, "the bad one written anew", || {
            (redis.cli::<String>(&["TYPE", &name]) == "hash").then_some(())
        });
    }
}
