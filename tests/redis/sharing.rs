//! What one relay knows all know: flags, events, tokens, targets, secrets.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fleet::{address, has_role, primary, replica, replica_options, start};
use crate::redis_server::RedisServer;
use crate::setup::{Sdk, authenticate, health, health_of, one_environment, turn_off, wait_ready, wait_within};
use crate::support::client::{get, post};
use crate::support::configuration::{ENVIRONMENT, KEY, boolean, key_hash};
use crate::support::wait_for;

#[test]
fn a_replica_serves_what_the_primary_has_and_never_asks_upstream() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    wait_ready(first.sdk);
    has_role(first.sdk, "LEADS");
    let asked = fake.all_requests().len();
    let second = replica(&redis, &[]);
    wait_ready(second.sdk);
    let (at_first, at_second) = (Sdk::connect(first.sdk, KEY, ENVIRONMENT), Sdk::connect(second.sdk, KEY, ENVIRONMENT));
    assert_eq!(at_first.flags(), at_second.flags());
    assert_eq!(at_first.segments(), at_second.segments());
    assert_eq!(fake.all_requests().len(), asked, "the replica asked Harness for something");
    assert_eq!(health_of(second.sdk, ENVIRONMENT)["source"], "REDIS");
    assert_eq!(health_of(first.sdk, ENVIRONMENT)["source"], "UPSTREAM");
    let (one, other) = (health_of(first.sdk, ENVIRONMENT), health_of(second.sdk, ENVIRONMENT));
    assert_eq!((&one["digest"], &one["sequence"]), (&other["digest"], &other["sequence"]));
    assert_eq!(health(second.sdk)["cacheStatus"], "healthy");
    assert_eq!(authenticate(second.sdk, "nobody's").status, 401);
}

#[test]
fn changes_reach_the_streams_of_a_replica() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    let second = replica(&redis, &[]);
    wait_ready(second.sdk);
    let sdk = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    let mut events = sdk.stream();
    let version = fake.patch_flag(ENVIRONMENT, "a", turn_off);
    let event = events.next().expect("a patch");
    assert_eq!((event["event"].as_str(), event["identifier"].as_str()), (Some("patch"), Some("a")));
    assert_eq!(event["version"], version);
    assert_eq!(sdk.version("a"), version, "who is told and asks finds it");
    fake.create_flag(ENVIRONMENT, boolean("b", true, 1));
    assert_eq!(events.next().expect("a create")["event"], "create");
    fake.delete_flag(ENVIRONMENT, "b");
    assert_eq!(events.next().expect("a delete")["event"], "delete");
    assert_eq!(sdk.version("b"), 0);
    fake.delete_segment(ENVIRONMENT, "s");
    assert_eq!(events.next().expect("a delete")["domain"], "target-segment");
}

#[test]
fn tokens_of_one_relay_are_good_at_all() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    wait_ready(first.sdk);
    has_role(first.sdk, "LEADS");
    let second = replica(&redis, &[]);
    wait_ready(second.sdk);
    for (from, to) in [(first.sdk, second.sdk), (second.sdk, first.sdk)] {
        let mut sdk = Sdk::connect(from, KEY, ENVIRONMENT);
        sdk.relay = to;
        assert_eq!(sdk.flag("a").status, 200);
    }
    // A replica that comes back signs with the same.
    let mut sdk = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    drop(second);
    let again = replica(&redis, &[]);
    wait_ready(again.sdk);
    sdk.relay = again.sdk;
    assert_eq!(sdk.flag("a").status, 200);
}

#[test]
fn a_relay_that_started_without_redis_adopts_the_shared_secret() {
    let (fake, mut redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    redis.cli::<()>(&["SAVE"]);
    redis.kill();
    // Other keys, so another secret of its own.
    fake.add_environment("33333333-3333-4333-8333-333333333333", "other-key");
    let mut options = fake.api_key_options(&[KEY, "other-key"]);
    options.extend([address(&redis), crate::fleet::LEASE.to_owned(), "--connect-timeout=1s".to_owned()]);
    let second = start(&options);
    wait_ready(second.sdk);
    let early = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    redis.restart(crate::redis_server::Data::Kept);
    let mut moved = early;
    moved.relay = first.sdk;
    wait_within(Duration::from_secs(20), "the early token to be good elsewhere", || {
        (moved.flag("a").status == 200).then_some(())
    });
    let mut late = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    late.relay = first.sdk;
    wait_within(Duration::from_secs(20), "later tokens, too", || (late.flag("a").status == 200).then_some(()));
}

#[test]
fn targets_are_known_everywhere_within_a_second() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    fake.create_flag(ENVIRONMENT, for_pro_users());
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    let second = replica(&redis, &[]);
    wait_ready(second.sdk);
    wait_ready(first.sdk);
    let target = json!({"identifier": "pat", "attributes": {"plan": "pro"}});
    let body = json!({"apiKey": KEY, "target": target}).to_string();
    post(second.sdk, "/client/auth", &[], &body).ok();
    let sdk = Sdk::connect(first.sdk, KEY, ENVIRONMENT);
    let evaluated = || {
        let path = format!("/client/env/{ENVIRONMENT}/target/pat/evaluations/pro");
        get(first.sdk, &path, &[("Authorization", &sdk.authorization)]).ok()["value"].clone()
    };
    wait_within(Duration::from_secs(1), "the target's attributes", || (evaluated() == "true").then_some(()));
    // Harness hears of it from the primary, with the primary's key.
    wait_for("a registration", || {
        let registered = fake.requests(crate::fake_harness::Route::Auth);
        let pat = |request: &crate::fake_harness::Request| request.json()["target"]["identifier"] == "pat";
        registered.iter().any(pat).then_some(())
    });
    // One that starts later knows it, too.
    let third = replica(&redis, &[]);
    wait_ready(third.sdk);
    let sdk = Sdk::connect(third.sdk, KEY, ENVIRONMENT);
    let path = format!("/client/env/{ENVIRONMENT}/target/pat/evaluations/pro");
    wait_for("the target at a relay that started later", || {
        (get(third.sdk, &path, &[("Authorization", &sdk.authorization)]).ok()["value"] == "true").then_some(())
    });
}

fn for_pro_users() -> Value {
    let mut flag = boolean("pro", true, 1);
    flag["defaultServe"] = json!({"variation": "false"});
    flag["rules"] = json!([{"ruleId": "r", "priority": 1, "serve": {"variation": "true"},
        "clauses": [{"id": "c", "attribute": "plan", "op": "equal", "values": ["pro"], "negate": false}]}]);
    flag
}

#[test]
fn a_new_key_is_not_refused_by_a_replica() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    let second = replica(&redis, &[]);
    wait_ready(second.sdk);
    assert_eq!(authenticate(second.sdk, "nobody's").status, 401, "the replica is certain");
    fake.silently(|| fake.add_key(ENVIRONMENT, "fresh", "Client"));
    assert_eq!(authenticate(second.sdk, "fresh").status, 200);
}

#[test]
fn a_key_that_goes_is_refused_everywhere() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    fake.add_key(ENVIRONMENT, "second-key", "Server");
    let first = primary(&fake, &redis, &["--key-refresh-interval=1s"]);
    has_role(first.sdk, "LEADS");
    let second = replica(&redis, &[]);
    wait_ready(second.sdk);
    let sdk = Sdk::connect(second.sdk, "second-key", ENVIRONMENT);
    assert_eq!(sdk.flag("a").status, 200);
    fake.remove_key(ENVIRONMENT, "second-key");
    wait_within(Duration::from_secs(40), "the key's end at the replica", || {
        (sdk.flag("a").status == 401).then_some(())
    });
    let hash = key_hash("second-key");
    let left: Vec<String> = redis.cli(&["KEYS", &format!("auth-key-{hash}")]);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_offline_configuration_is_generated_from_redis() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    // A change without a higher version: SDKs are given one.
    fake.patch_flag(ENVIRONMENT, "a", |flag| {
        turn_off(flag);
        flag["version"] = json!(0);
    });
    let sdk = Sdk::connect(first.sdk, KEY, ENVIRONMENT);
    wait_for("the change", || (sdk.flag("a").ok()["state"] == "off").then_some(()));
    let served = sdk.version("a");
    let truth = format!("ffrelay:{{{ENVIRONMENT}}}:truth");
    wait_for("the change in Redis", || {
        redis.cli::<Option<String>>(&["HGET", &truth, "f:a"])?.contains("\"off\"").then_some(())
    });
    let place = tempfile::tempdir().unwrap();
    let archive = place.path().join("generated.tar.gz");
    let options = ["--generate-offline-config".to_owned(), format!("--config-dir={}", archive.display())];
    let output = std::process::Command::new(crate::relay_process::binary())
        .args(replica_options(&address(&redis), &[]))
        .args(options)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let offline = crate::support::relay::TestRelay::offline(&archive, &[]);
    let sdk = Sdk::connect(offline.sdk, KEY, ENVIRONMENT);
    assert_eq!((sdk.flag("a").ok()["state"].as_str(), sdk.version("a")), (Some("off"), served));
}

#[test]
fn an_offline_directory_is_written_for_replicas() {
    let redis = RedisServer::start(&[]);
    let configuration = crate::support::configuration::Configuration::empty();
    configuration.write(ENVIRONMENT, "auth_config.json", &json!([key_hash(KEY)]));
    configuration.write(ENVIRONMENT, "feature_config.json", &json!([boolean("a", true, 1)]));
    let option = address(&redis);
    let quiet = crate::support::relay::TestRelay::offline(configuration.path(), &[&option]);
    wait_ready(quiet.sdk);
    assert!(redis.cli::<Vec<String>>(&["KEYS", "*"]).is_empty(), "offline contacts nothing");
    let options = [option.as_str(), "--offline-redis", "--config-reload", "--config-reload-interval=100ms"];
    let first = crate::support::relay::TestRelay::offline(configuration.path(), &options);
    has_role(first.sdk, "LEADS");
    let second = start(&replica_options(&option, &[]));
    wait_ready(second.sdk);
    let sdk = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    assert_eq!(sdk.version("a"), 1);
    configuration.write(ENVIRONMENT, "feature_config.json", &json!([boolean("a", false, 2)]));
    sdk.wait_for_version("a", 2);
}
