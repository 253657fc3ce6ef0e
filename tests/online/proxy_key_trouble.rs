//! One proxy key, and what goes wrong with it and with Harness.

use std::time::Duration;

use serde_json::json;

use crate::fake_harness::{Fault, Route};
use crate::proxy_key::{Both, THIRD, both};
use crate::setup::{PROXY_KEY, Sdk, authenticate, health, health_of, proxied, proxy_relay, turn_off, wait_ready};
use crate::support::client::get;
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY, key_hash};
use crate::support::events::Events;
use crate::support::wait_for;

#[test]
fn what_was_missed_is_fetched_after_the_reconnect() {
    let at = both(&["--flag-poll-interval=200ms"]);
    let (mut first, mut other) = (at.first.stream(), at.other.stream());
    for round in 0..2 {
        at.fake.silently(|| {
            at.fake.patch_flag(ENVIRONMENT, "a", |_| ());
            at.fake.patch_flag(OTHER, "b", |_| ());
        });
        if round == 0 {
            at.fake.reset_streams()
        } else {
            at.fake.close_streams()
        }
        assert_eq!((first.next_short(), other.next_short()), ("patch flag a".into(), "patch flag b".into()));
        at.fake.wait_for_streams(1);
    }
}

#[test]
fn environments_that_came_unnoticed_are_found() {
    let at = both(&[]);
    at.fake.silently(|| {
        at.fake.add_environment(THIRD, "third-key");
        at.fake.add_key(ENVIRONMENT, "fresh", "Client");
    });
    at.fake.expire_tokens();
    at.fake.close_streams();
    for (key, environment) in [("third-key", THIRD), ("fresh", ENVIRONMENT)] {
        let found = || (authenticate(at.relay.sdk, key).status == 200).then_some(());
        wait_for(&format!("{key} of {environment}"), found);
    }
}

#[test]
fn expired_tokens_are_renewed() {
    let at = both(&[]);
    let mut events = at.other.stream();
    at.fake.expire_tokens();
    at.fake.patch_flag(OTHER, "b", turn_off);
    assert_eq!(events.next().unwrap()["version"], 2);
}

#[test]
fn bad_answers_replace_nothing() {
    let fake = proxied();
    let relay =
        proxy_relay(&fake, &["--flag-stream-enabled=false", "--flag-poll-interval=100ms", "--request-timeout=1s"]);
    let first = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    let other = Sdk::connect(relay.sdk, OTHER_KEY, OTHER);
    let at = Both { fake, relay, first, other };
    let mut events = at.first.stream();
    for fault in [
        Fault::status(500),
        Fault::html(),
        Fault::body("{}"),
        Fault::body(r#"{"environments":null}"#),
        Fault::body("[]"),
        Fault::Truncated,
        Fault::Reset(50),
    ] {
        let shown = format!("{fault:?}");
        let planted = at.fake.fail_everything().times(4).with(fault);
        wait_for(&shown, || (planted.hits() == 4).then_some(()));
        assert_eq!((at.first.version("a"), at.other.version("b")), (1, 1), "{shown}");
    }
    at.fake.patch_flag(ENVIRONMENT, "a", turn_off);
    assert_eq!(events.next_short(), "patch flag a");
}

#[test]
fn what_is_stored_is_served_while_upstream_is_away() {
    let data = tempfile::tempdir().unwrap();
    let option = format!("--data-dir={}", data.path().display());
    let at = both(&[&option]);
    let Both { fake, relay, first, .. } = at;
    drop(relay);
    fake.stop();
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    let relay = proxy_relay(&fake, &[&option]);
    wait_ready(relay.sdk);
    let sdk = Sdk { relay: relay.sdk, ..first };
    assert_eq!((sdk.version("a"), &health_of(relay.sdk, ENVIRONMENT)["stale"]), (1, &json!(true)));
    let mut events: Events = sdk.stream();
    fake.restart();
    assert_eq!(events.next().unwrap()["version"], 2);
}

#[test]
fn a_wrong_proxy_key_is_tried_slowly() {
    let fake = proxied();
    fake.set_proxy_key("another");
    let relay = proxy_relay(&fake, &[]);
    fake.wait_for_count(Route::ProxyAuth, 1);
    std::thread::sleep(Duration::from_secs(1));
    assert!(fake.count(Route::ProxyAuth) <= 2, "{} tries", fake.count(Route::ProxyAuth));
    assert_eq!(get(relay.sdk, "/readyz", &[]).status, 503);
    assert!(!health(relay.sdk).to_string().contains(PROXY_KEY));
}

/// An answer without any environment, once: nothing is withdrawn.
#[test]
fn an_empty_configuration_is_not_believed_at_once() {
    let at = both(&[]);
    let mut events = at.first.stream();
    let empty = r#"{"environments":[],"itemCount":0,"pageCount":0,"pageIndex":0,"pageSize":10}"#;
    let planted = at.fake.fail(Route::ProxyConfig).times(1).with(Fault::body(empty));
    at.fake.close_streams();
    at.fake.wait_for_count(Route::Stream, 2);
    at.fake.wait_for_streams(1);
    at.fake.patch_flag(ENVIRONMENT, "a", turn_off);
    assert_eq!(events.next_short(), "patch flag a");
    assert_eq!(at.other.version("b"), 1);
    assert!(planted.hits() <= 1);
}

/// Messages about keys may have been missed while Harness is away.
pub fn nobody_is_refused_while_upstream_is_away() {
    let at = both(&["--flag-poll-interval=500ms"]);
    at.fake.stop();
    wait_for("stale data", || (health_of(at.relay.sdk, ENVIRONMENT)["stale"] == true).then_some(()));
    assert_eq!((authenticate(at.relay.sdk, KEY).status, authenticate(at.relay.sdk, "nobody's").status), (200, 500));
    at.fake.add_key(ENVIRONMENT, "fresh", "Client");
    at.fake.restart();
    wait_for("the new key", || (authenticate(at.relay.sdk, "fresh").status == 200).then_some(()));
    wait_for("a refusal", || (authenticate(at.relay.sdk, "nobody's").status == 401).then_some(()));
}

/// One environment that cannot be read does not spoil the others.
#[test]
fn a_malformed_environment_is_nobody_elses_trouble() {
    let fake = proxied();
    let page = format!(
        r#"{{"environments":[{{"id":"broken","apiKeys":["oops"]}},{{"id":"{ENVIRONMENT}","apiKeys":["{}"]}}],"pageCount":1}}"#,
        key_hash(KEY)
    );
    fake.fail(Route::ProxyConfig).with(Fault::body(&page));
    let relay = proxy_relay(&fake, &[]);
    wait_for("the good one", || (authenticate(relay.sdk, KEY).status == 200).then_some(()));
}

/// Deleted is deleted, even if upstream goes on answering.
#[test]
fn a_deleted_proxy_key_stays_withdrawn() {
    let at = both(&[]);
    at.fake.send_to_proxies(&json!({"event": "proxyKeyDeleted", "domain": "proxy"}));
    wait_for("the withdrawal", || (authenticate(at.relay.sdk, KEY).status == 401).then_some(()));
    at.fake.forget_requests();
    at.fake.close_streams();
    at.fake.wait_for_count(Route::ProxyAuth, 1);
    assert_eq!(health(at.relay.sdk)["error"], "the proxy key is deleted; give another and restart");
    assert_eq!(at.fake.count(Route::ProxyConfig), 0, "nothing is fetched with it");
}

/// While an environment is being added its keys are not known, and nobody is refused for that.
#[test]
fn a_key_of_an_environment_that_is_being_added_waits() {
    let at = both(&[]);
    let slow = at.fake.fail(Route::ProxyConfig).with(Fault::Delay(Duration::from_secs(2)));
    at.fake.add_environment("fresh", "fresh-key");
    at.fake.wait_for_count(Route::ProxyAuth, 2);
    assert_eq!(authenticate(at.relay.sdk, "fresh-key").status, 200);
    at.fake.clear(&slow);
}
