//! Imports into relays that share a Redis: one of them takes it, all have
//! it, whoever leads later.

use std::time::Duration;

use ff_relay::proto::admin::v1::ImportOptions;
use serde_json::json;

use crate::archives::packed;
use crate::fleet::{has_role, primary, replica};
use crate::redis_server::{Data, RedisServer};
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

fn overriding() -> ImportOptions {
    ImportOptions { override_upstream: true, ..ImportOptions::default() }
}

#[test]
fn an_import_outlives_an_outage_of_redis() {
    let (fake, mut redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[ADMIN]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let second = primary(&fake, &redis, &[ADMIN]);
    has_role(second.sdk, "STANDS_BY");
    wait_ready(second.sdk);
    import(&first, overriding(), &imported()).unwrap();
    let sdk = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    sdk.wait_for_version("imported", 7);
    wait_within(SOON, "the pause in Redis", || {
        redis.cli::<Option<String>>(&["GET", "ffrelay:paused"])?.contains(ENVIRONMENT).then_some(())
    });
    let compared = || crate::fleet::redis_health(second.sdk)["comparedAtMs"].as_i64();
    let before = compared();
    wait_within(SOON, "a comparison", || (compared() > before).then_some(()));
    redis.kill();
    has_role(second.sdk, "ALONE");
    // Its own source runs, and what it brings is kept for later.
    wait_within(SOON, "the pause while alone", || health_of(second.sdk, ENVIRONMENT)["paused"].as_object().map(drop));
    first.stop();
    redis.restart(Data::Kept);
    has_role(second.sdk, "LEADS");
    let before = compared();
    wait_within(SOON, "a comparison", || (compared() > before).then_some(()));
    assert_eq!((sdk.version("imported"), sdk.version("a")), (7, 0));
}

#[test]
fn an_import_made_while_redis_is_away_stays() {
    let (fake, mut redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[ADMIN]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    wait_within(SOON, "the list in Redis", || redis.cli::<Option<String>>(&["GET", "ffrelay:paused"]));
    redis.cli::<()>(&["SAVE"]);
    redis.kill();
    has_role(first.sdk, "ALONE");
    import(&first, overriding(), &imported()).unwrap();
    let sdk = Sdk::connect(first.sdk, KEY, ENVIRONMENT);
    sdk.wait_for_version("imported", 7);
    redis.restart(Data::Kept);
    has_role(first.sdk, "LEADS");
    wait_within(SOON, "the pause in Redis", || {
        redis.cli::<Option<String>>(&["GET", "ffrelay:paused"])?.contains(ENVIRONMENT).then_some(())
    });
    assert!(health_of(first.sdk, ENVIRONMENT)["paused"].is_object());
    assert_eq!((sdk.version("imported"), sdk.version("a")), (7, 0));
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
