//! What operators read about Harness in `/health` and `/readyz`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::fake_harness::{Fault, Route};
use crate::setup::{followed, health, health_of, one_environment, proxied, proxy_relay, relay_for, settle, wait_ready};
use crate::support::client::get;
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER};
use crate::support::wait_for;

fn now_s() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[test]
fn says_what_state_the_stream_is_in_and_since_when() {
    let fake = one_environment();
    let before = now_s();
    let (relay, _sdk) = followed(&fake, &["--flag-poll-interval=200ms"]);
    let all = health(relay.sdk);
    let environment = health_of(relay.sdk, ENVIRONMENT);
    assert_eq!(environment["streamStatus"]["state"], "CONNECTED");
    assert!((before..=now_s()).contains(&environment["streamStatus"]["since"].as_i64().unwrap()), "{environment}");
    assert_eq!((&environment["stale"], &all["cacheStatus"]), (&false.into(), &"healthy".into()));
    assert_eq!(all["streamStatus"]["state"], "CONNECTED");
    let since = all["streamStatus"]["since"].as_i64().unwrap();
    assert!((before * 1000..=now_s() * 1000 + 999).contains(&since), "milliseconds: {all}");
    assert_eq!(all["configStatus"]["state"], "SYNCED");
    assert!(all["version"].is_string() && all["mode"].is_string(), "{all}");
    fake.fail(Route::Stream).with(Fault::status(503));
    fake.reset_streams();
    wait_for("DISCONNECTED", || {
        let state = health_of(relay.sdk, ENVIRONMENT)["streamStatus"]["state"].clone();
        (state == "DISCONNECTED" && health(relay.sdk)["streamStatus"]["state"] == "DISCONNECTED").then_some(())
    });
    assert_eq!(get(relay.sdk, "/readyz", &[]).status, 200, "a lost stream does not make it unready");
    fake.clear_faults();
    wait_for("CONNECTED", || (health_of(relay.sdk, ENVIRONMENT)["streamStatus"]["state"] == "CONNECTED").then_some(()));
}

#[test]
fn a_refused_key_is_named_without_hurting_readiness() {
    let fake = one_environment();
    let relay = relay_for(&fake, &[KEY, "no-such-server-key"], &[]);
    wait_ready(relay.sdk);
    let body = get(relay.sdk, "/health", &[]).text();
    assert!(!body.contains("no-such-server-key"), "{body}");
    assert_eq!(get(relay.sdk, "/readyz", &[]).status, 200);
}

#[test]
fn not_ready_while_one_environment_has_never_been_fetched() {
    let fake = crate::setup::two_environments();
    let planted = fake.fail(Route::Flags).within(OTHER).with(Fault::status(500));
    let relay = relay_for(&fake, &[KEY, crate::support::configuration::OTHER_KEY], &[]);
    wait_for("the first environment", || {
        (health_of(relay.sdk, ENVIRONMENT)["streamStatus"]["state"] == "CONNECTED").then_some(())
    });
    let ready = get(relay.sdk, "/readyz", &[]);
    assert_eq!(ready.status, 503, "{}", ready.text());
    fake.clear(&planted);
    wait_ready(relay.sdk);
}

#[test]
fn every_environment_of_a_proxy_key_is_there() {
    let fake = proxied();
    let relay = proxy_relay(&fake, &[]);
    settle(&fake, &relay);
    for environment in [ENVIRONMENT, OTHER] {
        assert_eq!(health_of(relay.sdk, environment)["streamStatus"]["state"], "CONNECTED");
    }
    assert_eq!(health(relay.sdk)["configStatus"]["state"], "SYNCED");
}
