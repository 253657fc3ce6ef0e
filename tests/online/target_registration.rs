//! Targets that SDKs authenticate with are registered upstream, seldom and in the background.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake_harness::{FakeHarness, Fault, Request, Route};
use crate::setup::{followed, one_environment, proxied, proxy_relay};
use crate::support::client::post;
use crate::support::configuration::{ENVIRONMENT, KEY};
use crate::support::wait_for;

fn authenticate(relay: std::net::SocketAddr, target: &Value) {
    post(relay, "/client/auth", &[], &json!({"apiKey": KEY, "target": target}).to_string()).ok();
}

/// Authentications that named a target.
fn registered(fake: &FakeHarness) -> Vec<Request> {
    let named =
        |request: &Request| request.json()["target"]["identifier"].as_str().is_some_and(|name| !name.is_empty());
    fake.requests(Route::Auth).into_iter().filter(named).collect()
}

#[test]
fn once_for_each_target_however_often_it_comes() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let pat = json!({"identifier": "pat", "name": "Pat", "attributes": {"plan": "pro"}});
    for _ in 0..100 {
        authenticate(sdk.relay, &pat);
    }
    authenticate(sdk.relay, &json!({"identifier": "kim"}));
    let of = |name: &str| registered(&fake).into_iter().filter(|r| r.json()["target"]["identifier"] == name).count();
    wait_for("kim", || (of("kim") == 1).then_some(()));
    wait_for("pat", || (of("pat") > 0).then_some(()));
    assert_eq!(of("pat"), 1);
    let body = registered(&fake)[0].json();
    assert_eq!(body["apiKey"], KEY);
    let sent = registered(&fake).into_iter().find(|r| r.json()["target"]["identifier"] == "pat").unwrap().json();
    assert_eq!((&sent["target"]["name"], &sent["target"]["attributes"]["plan"]), (&json!("Pat"), &json!("pro")));
}

#[test]
fn never_on_the_sdks_way() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    fake.fail(Route::Auth).with(Fault::Hang);
    let since = Instant::now();
    for number in 0..50 {
        authenticate(sdk.relay, &json!({"identifier": format!("t{number}")}));
    }
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    assert_eq!(sdk.version("a"), 1);
    fake.clear_faults();
}

#[test]
fn many_targets_do_not_become_a_storm() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let since = Instant::now();
    for number in 0..1_000 {
        authenticate(sdk.relay, &json!({"identifier": format!("t{number}")}));
    }
    let calls = registered(&fake).len();
    let bound = 200 + 100 * usize::try_from(since.elapsed().as_secs()).unwrap();
    assert!(calls <= bound, "{calls} calls in {:?}", since.elapsed());
}

#[test]
fn a_failed_registration_disturbs_nothing() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let refused = fake.fail(Route::Auth).with(Fault::status(401));
    authenticate(sdk.relay, &json!({"identifier": "pat"}));
    wait_for("a refusal", || (refused.hits() > 0).then_some(()));
    let mut events = sdk.stream();
    fake.patch_flag(ENVIRONMENT, "a", |_| ());
    assert_eq!(events.next_short(), "patch flag a");
    assert_eq!(sdk.version("a"), 2);
}

#[test]
fn not_when_it_is_off() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &["--forward-targets=false"]);
    authenticate(sdk.relay, &json!({"identifier": "pat"}));
    let fake_proxied = proxied();
    let relay = proxy_relay(&fake_proxied, &[]);
    let _first = crate::setup::Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    authenticate(relay.sdk, &json!({"identifier": "pat"}));
    // Long enough for a background call on this machine.
    std::thread::sleep(Duration::from_millis(700));
    assert!(registered(&fake).is_empty() && registered(&fake_proxied).is_empty());
}
