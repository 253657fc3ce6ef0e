//! One proxy key for many environments.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::fake_harness::{FakeHarness, Route};
use crate::setup::{
    PROXY_KEY, Sdk, authenticate, health, health_of, proxied, proxy_relay, settle, turn_off, wait_ready,
};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean};
use crate::support::relay::TestRelay;
use crate::support::wait_for;

pub const THIRD: &str = "33333333-3333-4333-8333-333333333333";

pub struct Both {
    pub fake: FakeHarness,
    pub relay: TestRelay,
    pub first: Sdk,
    pub other: Sdk,
}

pub fn both(more: &[&str]) -> Both {
    let fake = proxied();
    let relay = proxy_relay(&fake, more);
    settle(&fake, &relay);
    let first = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    let other = Sdk::connect(relay.sdk, OTHER_KEY, OTHER);
    Both { fake, relay, first, other }
}

#[test]
fn serves_every_environment_and_its_changes() {
    let at = both(&[]);
    assert_eq!((at.first.version("a"), at.other.version("b")), (1, 1));
    let (mut first, mut other) = (at.first.stream(), at.other.stream());
    at.fake.forget_requests();
    at.fake.patch_flag(OTHER, "b", turn_off);
    assert_eq!(other.next().unwrap()["version"], 2);
    at.fake.patch_segment(ENVIRONMENT, "s", |_| ());
    assert_eq!(first.next_short(), "patch target-segment s");
    at.fake.create_flag(ENVIRONMENT, boolean("c", true, 1));
    assert_eq!(first.next_short(), "create flag c");
    at.fake.delete_flag(ENVIRONMENT, "c");
    assert_eq!(first.next_short(), "delete flag c");
    let routes: Vec<Route> = at.fake.all_requests().iter().map(|request| request.route).collect();
    assert_eq!(routes, [Route::Flag, Route::Segment, Route::Flag], "single items, and nothing for a deletion");
}

#[test]
fn asks_as_the_real_proxy_does() {
    let at = both(&[]);
    let authentication = &at.fake.requests(Route::ProxyAuth)[0];
    assert_eq!(authentication.json(), json!({"proxyKey": PROXY_KEY}));
    let config = &at.fake.requests(Route::ProxyConfig)[0];
    assert_eq!((config.query("key"), config.query("cluster")), (Some(PROXY_KEY), Some("1")));
    assert_eq!((config.query("pageNumber"), config.query("pageSize")), (Some("0"), Some("10")));
    let stream = &at.fake.requests(Route::Stream)[0];
    assert_eq!((stream.header("api-key"), stream.query("cluster")), (Some(PROXY_KEY), Some("1")));
    assert_eq!((at.fake.count(Route::ApiKeys), at.fake.count(Route::Auth)), (0, 0));
    assert_eq!(at.fake.count(Route::Stream), 1, "one stream for all");
}

#[test]
fn reads_every_page() {
    let fake = proxied();
    let environments: Vec<String> =
        (0..7).map(|number| format!("4444444{number}-4444-4444-8444-44444444444{number}")).collect();
    for (number, id) in environments.iter().enumerate() {
        fake.add_environment(id, &format!("key-{number}"));
    }
    fake.set_page_limit(2);
    let relay = proxy_relay(&fake, &[]);
    wait_ready(relay.sdk);
    for (number, id) in environments.iter().enumerate() {
        assert_eq!(Sdk::connect(relay.sdk, &format!("key-{number}"), id).flags().len(), 0);
    }
    assert_eq!(Sdk::connect(relay.sdk, OTHER_KEY, OTHER).version("b"), 1);
}

#[test]
fn an_added_environment_is_fetched_with_a_new_token() {
    let at = both(&[]);
    at.fake.forget_requests();
    at.fake.silently(|| {
        at.fake.add_environment(THIRD, "third-key");
        at.fake.create_flag(THIRD, boolean("t", true, 1));
    });
    let added = json!({"event": "environmentsAdded", "domain": "proxy", "environments": [THIRD]});
    at.fake.send_to_proxies(&added);
    let third = wait_for("the third environment", || {
        (authenticate(at.relay.sdk, "third-key").status == 200).then(|| Sdk::connect(at.relay.sdk, "third-key", THIRD))
    });
    assert_eq!(third.version("t"), 1);
    let routes: Vec<Route> = at.fake.all_requests().iter().map(|request| request.route).collect();
    assert_eq!(routes[..2], [Route::ProxyAuth, Route::ProxyConfig]);
    assert_eq!(at.fake.requests(Route::ProxyConfig)[0].query("environment"), Some(THIRD));
    let mut events = third.stream();
    at.fake.patch_flag(THIRD, "t", turn_off);
    assert_eq!(events.next_short(), "patch flag t");
}

#[test]
fn a_removed_environment_is_withdrawn() {
    let at = both(&[]);
    let (mut first, mut other) = (at.first.stream(), at.other.stream());
    at.fake.remove_environment(OTHER);
    assert_eq!(other.next(), None, "its streams are cut");
    wait_for("a refusal", || (at.other.flag("b").status == 401).then_some(()));
    assert_eq!(health_of(at.relay.sdk, OTHER), json!(null));
    at.fake.patch_flag(ENVIRONMENT, "a", |_| ());
    assert_eq!(first.next_short(), "patch flag a", "the other one notices nothing");
}

#[test]
fn keys_come_and_go_at_once() {
    let at = both(&[]);
    at.fake.add_key(ENVIRONMENT, "fresh", "Client");
    // Until the message is there the key is unknown, and Harness cannot be asked about one key.
    wait_for("the key", || (authenticate(at.relay.sdk, "fresh").status == 200).then_some(()));
    let fresh = Sdk::connect(at.relay.sdk, "fresh", ENVIRONMENT);
    let mut cut = fresh.stream();
    let mut kept = at.first.stream();
    let since = Instant::now();
    at.fake.remove_key(ENVIRONMENT, "fresh");
    assert_eq!(cut.next(), None, "its stream is cut");
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    wait_for("a refusal", || (fresh.flag("a").status == 401).then_some(()));
    assert_eq!(authenticate(at.relay.sdk, "fresh").status, 401);
    at.fake.patch_flag(ENVIRONMENT, "a", |_| ());
    assert_eq!(kept.next_short(), "patch flag a");
}

#[test]
fn an_unknown_key_is_refused() {
    let at = both(&[]);
    assert_eq!(authenticate(at.relay.sdk, "nobody's").status, 401);
    // The proxy key itself is no SDK key.
    assert_eq!(authenticate(at.relay.sdk, PROXY_KEY).status, 401);
}

#[test]
fn a_deleted_proxy_key_withdraws_everything() {
    let at = both(&[]);
    let (mut first, mut other) = (at.first.stream(), at.other.stream());
    at.fake.delete_proxy_key();
    assert_eq!((first.next(), other.next()), (None, None), "streams are closed");
    wait_for("nothing served", || (at.first.flag("a").status != 200).then_some(()));
    let said = wait_for("a word in health", || {
        let health = health(at.relay.sdk);
        health["error"].as_str().map(str::to_owned)
    });
    assert!(!said.contains(PROXY_KEY), "{said}");
}

/// An environment that comes back goes on where its versions were, because SDKs that knew it may still run.
#[test]
fn an_environment_that_comes_back_is_served_higher() {
    let at = both(&[]);
    for version in 2..5 {
        at.fake.patch_flag(OTHER, "b", |_| ());
        at.other.wait_for_version("b", version);
    }
    at.fake.remove_environment(OTHER);
    wait_for("a refusal", || (at.other.flag("b").status == 401).then_some(()));
    at.fake.silently(|| at.fake.add_environment(OTHER, OTHER_KEY));
    at.fake.silently(|| at.fake.create_flag(OTHER, boolean("b", false, 1)));
    at.fake.send_to_proxies(&json!({"event": "environmentsAdded", "domain": "proxy", "environments": [OTHER]}));
    wait_for("the environment", || (at.other.flag("b").status == 200).then_some(()));
    assert_eq!(at.other.flag("b").ok()["defaultServe"]["variation"], "false");
    assert!(at.other.version("b") > 4, "{}", at.other.version("b"));
}

/// The configuration holds every environment's lists: they are not fetched one by one beside it.
#[test]
fn nothing_is_fetched_twice_at_the_start() {
    let at = both(&[]);
    let lists = at.fake.count(Route::Flags) + at.fake.count(Route::Segments);
    let pages = at.fake.count(Route::ProxyConfig);
    assert!(lists == 0 && pages <= 2, "{lists} lists beside {pages} pages");
}
