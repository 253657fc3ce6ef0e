//! One change upstream: one item is fetched, and SDKs are told once it is there.

use std::time::Duration;

use crate::fake_harness::{Fault, Route};
use crate::setup::{followed, health_of, one_environment, segment, turn_off};
use crate::support::configuration::{ENVIRONMENT, KEY, boolean};

#[test]
fn costs_one_fetch_of_one_item() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.forget_requests();
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    let event = events.next().unwrap();
    assert_eq!((&event["event"], &event["version"]), (&"patch".into(), &2.into()));
    assert_eq!(sdk.flag("a").ok()["state"], "off", "the store is updated before the event goes out");
    fake.patch_segment(ENVIRONMENT, "s", |segment| segment["name"] = "renamed".into());
    assert_eq!(events.next_short(), "patch target-segment s");
    assert_eq!(sdk.segments()["s"]["name"], "renamed");
    fake.create_flag(ENVIRONMENT, boolean("fresh", true, 1));
    assert_eq!(events.next_short(), "create flag fresh");
    fake.create_segment(ENVIRONMENT, segment("fresh", 1));
    assert_eq!(events.next_short(), "create target-segment fresh");
    let asked: Vec<(Route, String)> =
        fake.all_requests().into_iter().map(|r| (r.route, r.item.unwrap_or_default())).collect();
    let expected = [(Route::Flag, "a"), (Route::Segment, "s"), (Route::Flag, "fresh"), (Route::Segment, "fresh")];
    assert_eq!(asked, expected.map(|(route, item)| (route, item.to_owned())));
}

#[test]
fn a_deletion_costs_none() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.forget_requests();
    fake.delete_flag(ENVIRONMENT, "a");
    assert_eq!(events.next_short(), "delete flag a");
    fake.delete_segment(ENVIRONMENT, "s");
    assert_eq!(events.next_short(), "delete target-segment s");
    assert_eq!((sdk.flags().len(), sdk.segments().len()), (0, 0));
    assert_eq!(sdk.flag("a").status, 404);
    assert!(fake.all_requests().is_empty(), "{:?}", fake.all_requests());
}

#[test]
fn requests_say_who_asks_and_for_whom() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    fake.patch_segment(ENVIRONMENT, "s", |_| ());
    events.take_sorted(2);
    let authentication = &fake.requests(Route::Auth)[0];
    assert_eq!(authentication.json()["apiKey"], KEY);
    for route in [Route::Flags, Route::Flag, Route::Segments, Route::Segment, Route::Stream] {
        let request = &fake.requests(route)[0];
        assert_eq!(request.query("cluster"), Some("1"), "{route:?}");
        assert!(request.bearer().is_some(), "{route:?}");
        assert_eq!(request.header("harness-environmentid"), Some(ENVIRONMENT), "{route:?}");
        assert_eq!(request.header("harness-accountid"), Some("a"), "{route:?}");
        let information = request.header("harness-sdk-info").unwrap_or_default();
        assert_eq!(information.split(' ').count(), 2, "{route:?}: {information:?}");
        assert!(request.header("user-agent").is_some_and(|agent| !agent.is_empty()), "{route:?}");
        assert!(request.path.starts_with("/sdk/api/1.0/"), "{route:?}: the SDK base has a path of its own");
        assert!(!format!("{:?}", request.query).contains(KEY), "{route:?}");
    }
    for route in [Route::Segments, Route::Segment] {
        assert_eq!(fake.requests(route)[0].query("rules"), Some("v2"), "{route:?}");
    }
    let stream = &fake.requests(Route::Stream)[0];
    assert_eq!((stream.header("api-key"), stream.header("accept")), (Some(KEY), Some("text/event-stream")));
    let keys = &fake.requests(Route::ApiKeys)[0];
    assert_eq!((keys.query("pageNumber"), keys.query("pageSize")), (Some("0"), Some("100")));
    assert!(keys.path.starts_with("/gateway/cf/"));
    assert_eq!(fake.count(Route::Targets), 0, "only asked for when target-poll-duration is set");
}

#[test]
fn one_fetch_at_a_time_for_an_environment() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.forget_requests();
    let slow = fake.fail(Route::Flag).with(Fault::Delay(Duration::from_millis(300)));
    let mut version = 0;
    for _ in 0..50 {
        version = fake.patch_flag(ENVIRONMENT, "a", |_| ());
    }
    while events.next().unwrap()["version"] != version {}
    fake.clear(&slow);
    let fetches = fake.count(Route::Flag) + fake.count(Route::Flags);
    assert!(fetches <= 4, "{fetches} fetches for 50 messages about one flag");
}

/// Gateways close idle connections when they like.
#[test]
fn connections_that_are_closed_without_a_word_cost_nothing() {
    let fake = one_environment();
    let routes = [Route::Flag, Route::Segment, Route::Flags, Route::Segments, Route::ApiKeys, Route::Auth];
    routes.into_iter().for_each(|route| drop(fake.fail(route).with(Fault::CloseAfter)));
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    for version in 2..12 {
        assert_eq!(fake.patch_flag(ENVIRONMENT, "a", |_| ()), version);
        assert_eq!(events.next().unwrap()["version"], version);
        assert_eq!(health_of(sdk.relay, ENVIRONMENT)["stale"], false);
    }
    assert_eq!(fake.count(Route::Flag), 10, "none was asked for twice");
}
