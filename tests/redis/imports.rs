//! Imports into relays that share a Redis: one of them takes it, all have
//! it, whoever leads later.

use std::time::Duration;

use ff_relay::proto::admin::v1::ImportOptions;
use serde_json::json;

use crate::archives::packed;
use crate::fleet::{has_role, primary, replica};
use crate::redis_server::RedisServer;
use crate::sending::{ADMIN, import, resync, server_info};
use crate::setup::{Sdk, health_of, one_environment, wait_ready, wait_within};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER, boolean, key_hash};

const SOON: Duration = Duration::from_secs(20);

fn imported() -> Vec<u8> {
    let configuration = Configuration::empty();
    configuration.write(ENVIRONMENT, "auth_config.json", &json!([key_hash(KEY)]));
    configuration.write(ENVIRONMENT, "feature_config.json", &json!([boolean("imported", true, 7)]));
    configuration.write(OTHER, "auth_config.json", &json!([key_hash("imported-key")]));
    configuration.write(OTHER, "feature_config.json", &json!([boolean("other", true, 1)]));
    packed(configuration.path())
}

#[test]
fn an_import_reaches_every_relay_and_outlives_its_leader() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[ADMIN]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let second = primary(&fake, &redis, &[ADMIN]);
    let third = replica(&redis, &[ADMIN]);
    wait_ready(second.sdk);
    wait_ready(third.sdk);
    let info = server_info(&third).redis.expect("Redis in GetServerInfo");
    assert_eq!((info.role().as_str_name(), info.lease_holder.is_some()), ("REDIS_ROLE_REPLICA", true));
    let overriding = || ImportOptions { override_upstream: true, ..ImportOptions::default() };
    let refused = import(&third, overriding(), &imported()).unwrap_err();
    assert!(refused.message().contains("the relay that leads"), "{}", refused.message());
    import(&first, overriding(), &imported()).unwrap();
    for relay in [first.sdk, second.sdk, third.sdk] {
        let sdk = Sdk::connect(relay, KEY, ENVIRONMENT);
        sdk.wait_for_version("imported", 7);
        let other = Sdk::connect(relay, "imported-key", OTHER);
        assert_eq!(other.version("other"), 1);
    }
    first.stop();
    has_role(second.sdk, "LEADS");
    // Its own source runs, and what it brings is kept for later.
    fake.wait_for_streams(1);
    fake.create_flag(ENVIRONMENT, boolean("b", true, 1));
    wait_within(SOON, "the pause at the next leader", || {
        health_of(second.sdk, ENVIRONMENT)["paused"].as_object().map(drop)
    });
    let sdk = Sdk::connect(third.sdk, KEY, ENVIRONMENT);
    assert_eq!((sdk.version("imported"), sdk.version("b")), (7, 0));
    assert_eq!(Sdk::connect(third.sdk, "imported-key", OTHER).version("other"), 1);
    assert!(resync(&second, ENVIRONMENT).unwrap());
    sdk.wait_for_version("b", 1);
    assert_eq!(sdk.version("imported"), 0);
}
