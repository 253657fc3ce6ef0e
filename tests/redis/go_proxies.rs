//! Beside Go proxies on the same Redis: their cache starts a relay, a
//! relay's starts them, and while one of them writes nothing is written
//! against it.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use ff_relay::model::json::Json;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::fleet::{address, has_role, primary, replica, replica_options, role, start};
use crate::redis_server::RedisServer;
use crate::setup::{Sdk, health, one_environment, turn_off, wait_ready, wait_within};
use crate::support::configuration::{ENVIRONMENT, KEY, boolean, key_hash};
use crate::support::relay::TestRelay;
use crate::support::wait_for;

const GOLDEN: &str = "11111111-1111-4111-8111-111111111111";
const GOLDEN_KEY: &str = "golden-server-key";
const SECRET: &str = "--auth-secret=the-same-as-go-has";
const SOON: Duration = Duration::from_secs(15);

/// Redis as a Go proxy left it.
fn filled(file: &str) -> RedisServer {
    let redis = RedisServer::start(&[]);
    let text = fs::read_to_string(format!("tests/fixtures/redis/{file}")).unwrap();
    let Json::Object(keys) = Json::parse(&text).unwrap() else { panic!("no object") };
    for (key, stored) in keys {
        let value = stored.get("value").unwrap();
        if let Some(json) = value.get("json") {
            set(&redis, &key, &go_text(&json.compact()));
        } else {
            for entry in value.get("entries").and_then(Json::as_array).unwrap() {
                let event = entry.get("fields").unwrap().get("event").and_then(Json::as_str).unwrap();
                redis.cli::<String>(&["XADD", &key, "*", "event", event]);
            }
        }
    }
    redis
}

fn go_text(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn set(redis: &RedisServer, key: &str, text: &str) {
    redis.cli::<()>(&["SET", key, text]);
}

fn stored(redis: &RedisServer, key: &str) -> Option<Value> {
    let text: Option<String> = redis.cli(&["GET", key]);
    text.map(|text| serde_json::from_str(&text).unwrap())
}

fn versions(flags: &BTreeMap<String, Value>) -> BTreeMap<String, i64> {
    flags.iter().map(|(name, flag)| (name.clone(), flag["version"].as_i64().unwrap())).collect()
}

/// What a Go primary does when a flag changes: item, list, hash, event.
fn go_changes(redis: &RedisServer, flag: &str, edit: impl FnOnce(&mut Value)) -> i64 {
    let mut item = stored(redis, &format!("env-{GOLDEN}-feature-config-{flag}")).unwrap();
    edit(&mut item);
    let version = item["version"].as_i64().unwrap() + 1;
    item["version"] = json!(version);
    set(redis, &format!("env-{GOLDEN}-feature-config-{flag}"), &item.to_string());
    let mut list = stored(redis, &format!("env-{GOLDEN}-feature-configs")).unwrap();
    let place = list.as_array_mut().unwrap().iter_mut().find(|it| it["feature"] == flag).unwrap();
    *place = item;
    set(redis, &format!("env-{GOLDEN}-feature-configs"), &list.to_string());
    let hash = format!("{:x}", Sha256::digest(list.to_string()));
    set(redis, &format!("env-{GOLDEN}-feature-configs-latest"), &json!(hash).to_string());
    tell(redis, "patch", flag, version);
    version
}

fn tell(redis: &RedisServer, event: &str, flag: &str, version: i64) {
    let event = json!({"event": event, "domain": "flag", "identifier": flag, "version": version, "environment": GOLDEN, "apiKey": ""});
    redis.cli::<String>(&["XADD", "proxy:sse_events", "*", "event", &event.to_string()]);
}

#[test]
fn a_cache_that_go_filled_starts_a_replica() {
    for file in ["v1.json", "v2.json", "v2-after.json"] {
        let redis = filled(file);
        let before = redis.cli::<u64>(&["DBSIZE"]);
        let relay = replica(&redis, &[SECRET]);
        wait_ready(relay.sdk);
        assert_eq!(role(relay.sdk), "FOLLOWS_GO", "{file}");
        let sdk = Sdk::connect(relay.sdk, GOLDEN_KEY, GOLDEN);
        let list = stored(&redis, &format!("env-{GOLDEN}-feature-configs")).unwrap();
        let served = versions(&sdk.flags());
        for flag in list.as_array().unwrap() {
            assert!(served[flag["feature"].as_str().unwrap()] >= flag["version"].as_i64().unwrap(), "{file} {flag}");
        }
        let groups = sdk.segments();
        assert_eq!(groups.contains_key("empty"), file != "v2-after.json", "{file}: a deleted group");
        assert!(groups.contains_key("gold"), "{file}");
        let written = redis.cli::<u64>(&["DBSIZE"]).saturating_sub(before);
        let own: Vec<String> = redis.cli(&["KEYS", "ffrelay:*"]);
        assert!(written <= own.len() as u64, "{file}: nothing of Go's was touched");
    }
}

#[test]
fn without_gos_secret_a_start_is_refused() {
    let redis = filled("v1.json");
    let options = replica_options(&address(&redis), &[]);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let error = TestRelay::start(&options).err().expect("a refusal").to_string();
    assert!(error.contains("AUTH_SECRET") && error.contains("auth-secret"), "{error}");
}

#[test]
fn a_replica_follows_a_go_primary() {
    let redis = filled("v2.json");
    let relay = replica(&redis, &[SECRET]);
    wait_ready(relay.sdk);
    let sdk = Sdk::connect(relay.sdk, GOLDEN_KEY, GOLDEN);
    let mut events = sdk.stream();
    let version = go_changes(&redis, "bool-on", |flag| flag["state"] = json!("off"));
    let event = events.next().expect("a patch");
    assert_eq!((event["identifier"].as_str(), event["version"].as_i64()), (Some("bool-on"), Some(version)));
    assert_eq!(sdk.flag("bool-on").ok()["state"], "off");
    // As v1 does it: the single key and the event, no list.
    let mut item = stored(&redis, &format!("env-{GOLDEN}-feature-config-text")).unwrap();
    (item["version"], item["state"]) = (json!(9), json!("off"));
    set(&redis, &format!("env-{GOLDEN}-feature-config-text"), &item.to_string());
    tell(&redis, "patch", "text", 9);
    assert_eq!(events.next().expect("a patch")["identifier"], "text");
    assert_eq!(sdk.flag("text").ok()["state"], "off");
    assert!(!authenticates(&relay, "nobody's"));
    // A key that the Go primary wrote just now.
    let hash = key_hash("fresh");
    set(&redis, &format!("auth-key-{hash}"), &json!(GOLDEN).to_string());
    assert!(authenticates(&relay, "fresh"));
}

fn authenticates(relay: &TestRelay, key: &str) -> bool {
    let status = crate::setup::authenticate(relay.sdk, key).status;
    assert!(status == 200 || status == 401, "{status}");
    status == 200
}

#[test]
fn a_relays_keys_are_what_a_go_proxy_reads() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let sdk = Sdk::connect(first.sdk, KEY, ENVIRONMENT);
    let hash = key_hash(KEY);
    let flags = format!("env-{ENVIRONMENT}-feature-configs");
    wait_for("the mirror", || stored(&redis, &flags));
    let complete = |redis: &RedisServer| {
        for (list, single, field) in
            [("feature-configs", "feature-config", "feature"), ("segments", "segment", "identifier")]
        {
            let text: String = redis.cli(&["GET", &format!("env-{ENVIRONMENT}-{list}")]);
            let latest = stored(redis, &format!("env-{ENVIRONMENT}-{list}-latest")).unwrap();
            assert_eq!(latest, json!(format!("{:x}", Sha256::digest(&text))));
            let items: Vec<Value> = serde_json::from_str(&text).unwrap();
            let keys: Vec<String> = redis.cli(&["KEYS", &format!("env-{ENVIRONMENT}-{single}-*")]);
            assert_eq!(keys.len(), items.len(), "{keys:?}");
            for item in items {
                let key = format!("env-{ENVIRONMENT}-{single}-{}", item[field].as_str().unwrap());
                assert_eq!(stored(redis, &key).unwrap(), item);
            }
        }
    };
    complete(&redis);
    assert_eq!(stored(&redis, &format!("auth-key-{hash}")).unwrap(), json!(ENVIRONMENT));
    assert_eq!(stored(&redis, &format!("env-{ENVIRONMENT}-api-configs")).unwrap(), json!([format!("auth-key-{hash}")]));
    wait_for("the state of the stream", || {
        (stored(&redis, "ffproxy_saas_stream_health")?["state"] == "CONNECTED").then_some(())
    });
    let version = fake.patch_flag(ENVIRONMENT, "a", turn_off);
    fake.create_flag(ENVIRONMENT, boolean("b", true, 1));
    sdk.wait_for_version("b", 1);
    sdk.wait_for_version("a", version);
    wait_for("both in the list", || (stored(&redis, &flags)?.as_array()?.len() == 2).then_some(()));
    wait_for("the change", || {
        (stored(&redis, &format!("env-{ENVIRONMENT}-feature-config-a"))?["state"] == "off").then_some(())
    });
    complete(&redis);
    let events: Vec<(String, Vec<String>)> = redis.cli(&["XRANGE", "proxy:sse_events", "-", "+"]);
    let told = |event: &str, flag: &str, version: i64| {
        let text = format!(
            "{{\"event\":\"{event}\",\"domain\":\"flag\",\"identifier\":\"{flag}\",\"version\":{version},\"environment\":\"{ENVIRONMENT}\",\"apiKey\":\"\"}}"
        );
        events.iter().any(|(_, fields)| fields.contains(&text))
    };
    assert!(told("patch", "a", version) && told("create", "b", 1), "{events:?}");
    fake.delete_flag(ENVIRONMENT, "b");
    wait_for("the end of the single key", || {
        stored(&redis, &format!("env-{ENVIRONMENT}-feature-config-b")).is_none().then_some(())
    });
    complete(&redis);
    // What somebody damages is mended.
    redis.cli::<()>(&["DEL", &format!("env-{ENVIRONMENT}-feature-config-a")]);
    wait_within(Duration::from_secs(60), "the single key again", || {
        stored(&redis, &format!("env-{ENVIRONMENT}-feature-config-a"))
    });
}

/// The golden environment, upstream as a fake.
fn golden_upstream(redis: &RedisServer) -> crate::fake_harness::FakeHarness {
    let fake = crate::fake_harness::FakeHarness::start();
    fake.add_environment(GOLDEN, GOLDEN_KEY);
    for flag in stored(redis, &format!("env-{GOLDEN}-feature-configs")).unwrap().as_array().unwrap() {
        fake.create_flag(GOLDEN, flag.clone());
    }
    fake
}

fn golden_primary(fake: &crate::fake_harness::FakeHarness, redis: &RedisServer) -> TestRelay {
    let mut options = fake.api_key_options(&[GOLDEN_KEY]);
    options.extend([address(redis), crate::fleet::LEASE.to_owned(), SECRET.to_owned()]);
    start(&options)
}

#[test]
fn a_cache_that_go_filled_starts_a_primary_and_is_replaced_once_upstream_was_read() {
    let redis = filled("v2-after.json");
    let fake = golden_upstream(&redis);
    fake.stop();
    let relay = golden_primary(&fake, &redis);
    wait_ready(relay.sdk);
    has_role(relay.sdk, "LEADS");
    let sdk = Sdk::connect(relay.sdk, GOLDEN_KEY, GOLDEN);
    assert_eq!(sdk.flag("bool-on").status, 200);
    assert!(redis.cli::<Vec<String>>(&["KEYS", "ffrelay:*truth"]).is_empty(), "not before upstream was read");
    fake.restart();
    fake.delete_flag(GOLDEN, "text");
    wait_within(Duration::from_secs(40), "the truth", || {
        (redis.cli::<Vec<String>>(&["KEYS", "ffrelay:*truth"]).len() == 1).then_some(())
    });
    wait_within(SOON, "the deletion", || (sdk.flag("text").status == 404).then_some(()));
    wait_within(SOON, "the deletion in the mirror", || {
        stored(&redis, &format!("env-{GOLDEN}-feature-config-text")).is_none().then_some(())
    });
}

#[test]
fn a_proxy_key_starts_from_a_go_cache_too_and_writes_nothing_before_upstream_was_read() {
    let redis = filled("v2.json");
    let fake = golden_upstream(&redis);
    fake.set_proxy_key("golden-proxy-key");
    fake.stop();
    let mut options = fake.proxy_key_options("golden-proxy-key");
    options.extend([address(&redis), crate::fleet::LEASE.to_owned(), SECRET.to_owned()]);
    let relay = start(&options);
    has_role(relay.sdk, "LEADS");
    wait_ready(relay.sdk);
    let sdk = Sdk::connect(relay.sdk, GOLDEN_KEY, GOLDEN);
    assert_eq!(sdk.flag("bool-on").status, 200);
    // Two comparisons later, too.
    let compared = || crate::fleet::redis_health(relay.sdk)["comparedAtMs"].as_i64();
    let first = compared();
    wait_within(SOON, "a comparison", || (compared() > first).then_some(()));
    assert!(redis.cli::<Vec<String>>(&["KEYS", "ffrelay:*truth"]).is_empty(), "not before upstream was read");
    assert_eq!(crate::setup::health_of(relay.sdk, GOLDEN)["stale"], true);
    fake.restart();
    wait_within(Duration::from_secs(40), "the truth", || {
        (redis.cli::<Vec<String>>(&["KEYS", "ffrelay:*truth"]).len() == 1).then_some(())
    });
}

#[test]
fn a_go_primary_that_writes_is_followed_and_not_written_against() {
    let redis = filled("v2.json");
    let fake = golden_upstream(&redis);
    let relay = golden_primary(&fake, &redis);
    has_role(relay.sdk, "LEADS");
    wait_within(SOON, "the truth", || (redis.cli::<Vec<String>>(&["KEYS", "ffrelay:*truth"]).len() == 1).then_some(()));
    let second = replica(&redis, &[SECRET]);
    wait_ready(second.sdk);
    let version = go_changes(&redis, "bool-on", |flag| flag["state"] = json!("off"));
    has_role(relay.sdk, "FOLLOWS_GO");
    for at in [relay.sdk, second.sdk] {
        let sdk = Sdk::connect(at, GOLDEN_KEY, GOLDEN);
        wait_within(SOON, "what the Go primary wrote", || {
            let flag = sdk.flag("bool-on").ok();
            (flag["state"] == "off" && flag["version"].as_i64() >= Some(version)).then_some(())
        });
    }
    // Upstream says something else: it is the Go primary's to write.
    fake.patch_flag(GOLDEN, "number", turn_off);
    let version = go_changes(&redis, "bool-on", |flag| flag["state"] = json!("on"));
    let sdk = Sdk::connect(second.sdk, GOLDEN_KEY, GOLDEN);
    wait_within(SOON, "the next one, too", || {
        (sdk.flag("bool-on").ok()["version"].as_i64() >= Some(version)).then_some(())
    });
    let mirror = stored(&redis, &format!("env-{GOLDEN}-feature-config-number")).unwrap();
    assert_eq!(mirror["state"], "on", "nothing was written against it");
    assert_eq!(health(relay.sdk)["redis"]["role"], "FOLLOWS_GO");
}
