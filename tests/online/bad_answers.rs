//! An answer that cannot be right never replaces good data.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::fake_harness::{FakeHarness, Fault, Route};
use crate::setup::{Sdk, followed, health_of, one_environment, relay, turn_off, wait_ready, wait_within};
use crate::support::client::get;
use crate::support::configuration::{ENVIRONMENT, KEY, boolean};
use crate::support::wait_for;

const POLLING: [&str; 3] = ["--flag-stream-enabled=false", "--flag-poll-interval=100ms", "--request-timeout=1s"];

fn faults() -> Vec<(&'static str, Fault)> {
    vec![
        ("500", Fault::status(500)),
        ("502 with HTML", Fault::with_body(502, "text/html", "<html>Bad Gateway</html>")),
        ("403", Fault::status(403)),
        ("404", Fault::status(404)),
        ("an empty list with 500", Fault::empty_list_with(500)),
        ("HTML with 200", Fault::html()),
        ("nothing with 200", Fault::body("")),
        ("half a list", Fault::body(r#"[{"feature":"a""#)),
        ("an object", Fault::body("{}")),
        ("a text", Fault::body(r#""[]""#)),
        ("a list of numbers", Fault::body("[1]")),
        ("items without a name", Fault::body(r#"[{"version":9}]"#)),
        ("a truncated body", Fault::Truncated),
        ("a reset at once", Fault::Reset(0)),
        ("a reset within", Fault::Reset(100)),
        ("an answer lost", Fault::Lost),
        ("half an answer and no more", Fault::Stall(120)),
        ("no answer", Fault::Hang),
    ]
}

fn good_answers(fake: &FakeHarness, route: Route) -> usize {
    fake.requests(route).iter().filter(|request| request.status == Some(200)).count()
}

fn lists_survive(route: Route) {
    let fake = one_environment();
    let relay = relay(&fake, &POLLING);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    let mut events = sdk.stream();
    for (name, fault) in faults() {
        let planted = fake.fail(route).times(2).with(fault);
        wait_for(name, || (planted.hits() == 2).then_some(()));
        assert_eq!((sdk.version("a"), sdk.segments().len()), (1, 1), "{name}");
        assert_eq!(get(sdk.relay, "/readyz", &[]).status, 200, "{name}");
        let good = good_answers(&fake, route);
        wait_for("an answer after it", || (good_answers(&fake, route) > good).then_some(()));
    }
    // SDKs were told nothing in all that time.
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    assert_eq!(events.next_short(), "patch flag a");
}

pub fn flag_lists_survive() {
    lists_survive(Route::Flags);
}

pub fn segment_lists_survive() {
    lists_survive(Route::Segments);
}

/// A single item whose fetch fails comes all the same, and SDKs see nothing else.
pub fn items_come_in_the_end() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &["--request-timeout=1s"]);
    let mut events = sdk.stream();
    for (name, fault) in faults() {
        let planted = fake.fail(Route::Flag).times(1).with(fault);
        let version = fake.patch_flag(ENVIRONMENT, "a", turn_off);
        let event = events.next().unwrap();
        assert_eq!((&event["event"], &event["version"]), (&json!("patch"), &json!(version)), "{name}");
        assert_eq!(planted.hits(), 1, "{name}");
    }
    assert_eq!(sdk.flags().len(), 1);
}

#[test]
fn null_means_none() {
    let fake = one_environment();
    fake.fail(Route::Segments).with(Fault::body("null"));
    let relay = relay(&fake, &[]);
    wait_ready(relay.sdk);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    assert_eq!((sdk.flags().len(), sdk.get("target-segments").ok()), (1, json!([])));
}

#[test]
fn an_environment_may_be_empty_from_the_start() {
    let fake = FakeHarness::start();
    fake.add_environment(ENVIRONMENT, KEY);
    let relay = relay(&fake, &[]);
    wait_ready(relay.sdk);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    assert_eq!((sdk.flags().len(), sdk.segments().len()), (0, 0));
}

/// Gone from an answer with 200: believed after a second look, ten seconds later.
pub fn an_empty_list_needs_a_second_look() {
    let fake = one_environment();
    let relay = relay(&fake, &POLLING);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    let mut events = sdk.stream();
    let planted = fake.fail(Route::Flags).with(Fault::body("[]"));
    wait_for("an empty answer", || (planted.hits() > 0).then_some(()));
    let since = Instant::now();
    assert_eq!(events.next_short(), "delete flag a");
    assert!(since.elapsed() >= Duration::from_millis(9_500), "believed after {:?}", since.elapsed());
    assert!(sdk.flags().is_empty());
    fake.clear(&planted);
    assert_eq!(events.next_short(), "create flag a");
}

/// Empty for a moment: nobody hears of it.
pub fn a_list_empty_for_a_moment_is_not_believed() {
    let fake = one_environment();
    fake.create_flag(ENVIRONMENT, boolean("b", true, 1));
    let relay = relay(&fake, &POLLING);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    let mut events = sdk.stream();
    for body in ["[]", "null"] {
        let planted = fake.fail(Route::Flags).times(3).with(Fault::body(body));
        wait_for(body, || (planted.hits() == 3).then_some(()));
        assert_eq!(sdk.flags().len(), 2);
    }
    let good = good_answers(&fake, Route::Flags);
    wait_for("a good answer", || (good_answers(&fake, Route::Flags) > good).then_some(()));
    // Longer than the time after which a second empty answer would have been believed.
    std::thread::sleep(Duration::from_secs(11));
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    assert_eq!(events.next_short(), "patch flag a");
}

/// A list that fails for good: data stays, and health says that it is stale.
#[test]
fn stale_data_is_called_stale() {
    let fake = one_environment();
    let relay = relay(&fake, &POLLING);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    wait_for("fresh data", || (health_of(sdk.relay, ENVIRONMENT)["stale"] == false).then_some(()));
    let planted = fake.fail(Route::Flags).with(Fault::status(403));
    wait_for("stale data", || (health_of(sdk.relay, ENVIRONMENT)["stale"] == true).then_some(()));
    assert_eq!((sdk.version("a"), get(sdk.relay, "/readyz", &[]).status), (1, 200));
    fake.clear(&planted);
    wait_for("fresh data", || (health_of(sdk.relay, ENVIRONMENT)["stale"] == false).then_some(()));
}

#[test]
fn bad_authentications_are_tried_again() {
    let without_environment = crate::fake_harness::token::encode(&json!({"account": "a"}));
    for body in [
        "{}".to_owned(),
        "null".to_owned(),
        "<html>".to_owned(),
        json!({"authToken": 7}).to_string(),
        json!({"authToken": "no.token.atall"}).to_string(),
        json!({"authToken": without_environment}).to_string(),
    ] {
        let fake = one_environment();
        let planted = fake.fail(Route::Auth).times(1).with(Fault::body(&body));
        let relay = relay(&fake, &[]);
        wait_ready(relay.sdk);
        assert_eq!(planted.hits(), 1, "{body}");
    }
}

#[test]
fn compressed_answers_are_read() {
    let fake = one_environment();
    fake.set_gzip(true);
    for number in 0..500 {
        fake.create_flag(ENVIRONMENT, boolean(&format!("f{number}"), true, 1));
    }
    let (_relay, sdk) = followed(&fake, &[]);
    assert_eq!(sdk.flags().len(), 501);
    fake.patch_flag(ENVIRONMENT, "f7", turn_off);
    sdk.wait_for_version("f7", 2);
    let asked = &fake.requests(Route::Flags)[0];
    assert!(asked.header("accept-encoding").is_some_and(|accepted| accepted.contains("gzip")));
}

/// Upstream cannot give one flag for now: the others must not wait behind it.
#[test]
fn one_item_that_cannot_be_fetched_holds_up_no_other() {
    for fault in [Fault::status(500), Fault::html()] {
        let shown = format!("{fault:?}");
        let fake = one_environment();
        fake.create_flag(ENVIRONMENT, boolean("b", true, 1));
        let (_relay, sdk) = followed(&fake, &[]);
        let planted = fake.fail(Route::Flag).when(|request| request.item.as_deref() == Some("a")).with(fault);
        fake.patch_flag(ENVIRONMENT, "a", turn_off);
        wait_for(&shown, || (planted.hits() > 0).then_some(()));
        let since = Instant::now();
        fake.patch_flag(ENVIRONMENT, "b", turn_off);
        sdk.wait_for_version("b", 2);
        assert!(since.elapsed() < Duration::from_secs(10), "{shown}: took {:?}", since.elapsed());
    }
}

/// What was made good is no longer called stale.
#[test]
fn one_failed_fetch_is_forgotten_once_it_worked() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let planted = fake.fail(Route::Flag).times(1).with(Fault::status(500));
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    sdk.wait_for_version("a", 2);
    assert_eq!(planted.hits(), 1);
    let fresh = || (health_of(sdk.relay, ENVIRONMENT)["stale"] == false).then_some(());
    wait_within(Duration::from_secs(10), "fresh data", fresh);
}
