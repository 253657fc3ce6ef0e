//! Redis forgets a part of what relays keep there, and nothing else happens: they put it right by themselves.

use std::time::Duration;

use crate::fleet::{has_role, primary, primary_options, replica, replica_options, start};
use crate::redis_cluster::RedisCluster;
use crate::redis_server::RedisServer;
use crate::setup::{Sdk, health, one_environment, turn_off, wait_ready, wait_within};
use crate::support::configuration::{ENVIRONMENT, KEY};

const MENDED: Duration = Duration::from_secs(20);

fn truth() -> String {
    format!("ffrelay:{{{ENVIRONMENT}}}:truth")
}

#[test]
fn the_counter_of_leases() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    first.stop();
    // As after many leases, all forgotten.
    redis.cli::<u64>(&["HSET", &truth(), "token", "1000"]);
    redis.cli::<u64>(&["DEL", "ffrelay:{lease}", "ffrelay:{lease}:token"]);
    let second = primary(&fake, &redis, &[]);
    let third = replica(&redis, &[]);
    wait_ready(third.sdk);
    let version = fake.patch_flag(ENVIRONMENT, "a", turn_off);
    let sdk = Sdk::connect(third.sdk, KEY, ENVIRONMENT);
    wait_within(MENDED, "the change at the replica", || (sdk.version("a") == version).then_some(()));
    assert!(redis.cli::<u64>(&["HGET", &truth(), "token"]) > 1000);
    wait_within(MENDED, "healthy", || (health(second.sdk)["cacheStatus"] == "healthy").then_some(()));
}

#[test]
fn the_list_of_environments() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    redis.cli::<u64>(&["DEL", "ffrelay:environments"]);
    // It may take the Go proxies' keys for all there is at first.
    let late = replica(&redis, &[]);
    wait_ready(late.sdk);
    has_role(late.sdk, "REPLICA");
    assert_eq!(Sdk::connect(late.sdk, KEY, ENVIRONMENT).flag("a").status, 200);
    // Or what it says is wrong.
    redis.cli::<u64>(&["HSET", "ffrelay:environments", ENVIRONMENT, "gone"]);
    wait_within(MENDED, "the right word", || {
        (redis.cli::<String>(&["HGET", "ffrelay:environments", ENVIRONMENT]) == "live").then_some(())
    });
}

#[test]
fn each_server_of_a_cluster() {
    let cluster = RedisCluster::start(false, &[]);
    let address = format!("--redis-address={}", cluster.addresses());
    let fake = one_environment();
    let first = start(&primary_options(&fake, &address, &[]));
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    for server in &cluster.masters {
        server.cli::<()>(&["FLUSHALL"]);
        let late = start(&replica_options(&address, &[]));
        wait_ready(late.sdk);
        has_role(late.sdk, "REPLICA");
        let version = fake.patch_flag(ENVIRONMENT, "a", |flag| flag["state"] = "on".into());
        let sdk = Sdk::connect(late.sdk, KEY, ENVIRONMENT);
        wait_within(MENDED, "the change at the replica", || (sdk.version("a") == version).then_some(()));
    }
}

#[test]
fn single_keys_of_ours() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let second = replica(&redis, &[]);
    wait_ready(second.sdk);
    let sdk = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    for key in redis.cli::<Vec<String>>(&["KEYS", "ffrelay:*"]) {
        redis.cli::<u64>(&["DEL", &key]);
        let version = fake.patch_flag(ENVIRONMENT, "a", |flag| flag["description"] = key.as_str().into());
        wait_within(MENDED, &format!("a change after {key} went"), || (sdk.version("a") == version).then_some(()));
        sdk.used(&key, 1);
        crate::reports::arrives(&fake, &key, 1);
    }
}

/// A key that is good is not refused for what Redis has lost: 401 would stop an SDK for good.
#[test]
fn the_environment_itself() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    for lost in [truth().as_str(), "ffrelay:environments"] {
        // It has what another one has as little as possible to find: nothing in Go's way.
        let mirror: Vec<String> = redis.cli(&["KEYS", "auth-key-*"]);
        redis.cli::<u64>(&[vec!["DEL", lost], mirror.iter().map(String::as_str).collect()].concat());
        let late = replica(&redis, &[]);
        let since = std::time::Instant::now();
        while since.elapsed() < MENDED {
            let status = crate::setup::authenticate(late.sdk, KEY).status;
            assert_ne!(status, 401, "{lost} was lost, and a good key with it");
            if status == 200 {
                break;
            }
        }
        wait_ready(late.sdk);
        assert_eq!(Sdk::connect(late.sdk, KEY, ENVIRONMENT).flag("a").status, 200);
    }
}
