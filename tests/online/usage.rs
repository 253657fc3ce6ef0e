//! SDK metrics on their way upstream: nothing that was accepted is lost, and what was certainly refused is counted once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake_harness::metrics::{Received, attribute};
use crate::fake_harness::{FakeHarness, Fault, Route};
pub use crate::reports::{SOON, arrives, row};
use crate::setup::{PROXY_KEY, Sdk, metric, one_environment, proxied, proxy_relay, relay, relay_for, two_environments};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY};
use crate::support::relay::TestRelay;
use crate::support::wait_for;

fn forwarding(fake: &FakeHarness, more: &[&str]) -> (TestRelay, Sdk) {
    let options: Vec<&str> = [SOON].into_iter().chain(more.iter().copied()).collect();
    let relay = relay(fake, &options);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    (relay, sdk)
}

#[test]
fn rows_are_summed_and_sent_as_harness_wants_them() {
    let fake = one_environment();
    let (_relay, sdk) = forwarding(&fake, &[]);
    sdk.report(&[row("a", "pat", 3), row("a", "pat", 4), row("b", "pat", 1)]);
    arrives(&fake, "a", 7);
    arrives(&fake, "b", 1);
    let received = &fake.metrics(ENVIRONMENT)[0];
    assert_eq!(received.rows().len(), 2);
    let a = received.rows().into_iter().find(|row| attribute(row, "featureIdentifier") == Some("a")).unwrap();
    assert_eq!((&a["count"], &a["metricsType"]), (&json!(7), &json!("FFMETRICS")));
    assert!(a["timestamp"].is_i64());
    for (name, value) in [("variationIdentifier", "true"), ("SDK_TYPE", "server"), ("SDK_VERSION", "1.2.3")] {
        assert_eq!(attribute(&a, name), Some(value), "{name}");
    }
    let targets: Vec<Value> = fake.metrics(ENVIRONMENT).iter().flat_map(Received::targets).collect();
    assert_eq!(targets.iter().filter(|target| target["identifier"] == "pat").count(), 1);
    let request = &fake.requests(Route::Metrics)[0];
    assert!(request.path.starts_with("/events/api/1.0/metrics/"), "{}", request.path);
    assert_eq!((request.query("cluster"), request.header("content-encoding")), (Some("1"), None));
    assert!(request.bearer().is_some());
}

#[test]
fn nothing_to_say_is_not_said() {
    let fake = one_environment();
    let (_relay, sdk) = forwarding(&fake, &[]);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(fake.count(Route::Metrics), 0);
    sdk.used("a", 1);
    arrives(&fake, "a", 1);
}

#[test]
fn off_means_accepted_and_not_sent() {
    let fake = one_environment();
    let relay = relay(&fake, &["--metric-post-duration=0"]);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    sdk.used("a", 1);
    drop(relay);
    assert_eq!(fake.count(Route::Metrics), 0);
}

#[test]
fn an_outage_loses_and_doubles_nothing() {
    let fake = one_environment();
    let (_relay, sdk) = forwarding(&fake, &[]);
    sdk.used("a", 1);
    arrives(&fake, "a", 1);
    fake.stop();
    for _ in 0..20 {
        sdk.used("a", 5);
    }
    fake.restart();
    arrives(&fake, "a", 101);
}

#[test]
fn refusals_are_repeated_byte_for_byte() {
    for status in [500, 503, 404, 403] {
        let fake = one_environment();
        let (_relay, sdk) = forwarding(&fake, &[]);
        fake.fail(Route::Metrics).times(2).with(Fault::status(status));
        sdk.used("a", 5);
        fake.wait_for_count(Route::Metrics, 1);
        // A new count goes into a new batch.
        sdk.used("a", 1);
        arrives(&fake, "a", 6);
        let bodies: Vec<_> = fake.requests(Route::Metrics).into_iter().map(|request| request.body).collect();
        assert!(bodies.len() >= 4, "{status}: {} requests", bodies.len());
        assert!(bodies[0] == bodies[1] && bodies[1] == bodies[2], "{status}: the same bytes until they are taken");
    }
}

#[test]
fn an_expired_token_costs_nothing() {
    let fake = one_environment();
    let (_relay, sdk) = forwarding(&fake, &[]);
    fake.expire_tokens();
    sdk.used("a", 5);
    arrives(&fake, "a", 5);
    assert_eq!(fake.requests(Route::Metrics)[0].status, Some(401));
}

#[test]
fn a_lost_answer_may_double_and_says_so() {
    for fault in [Fault::Lost, Fault::Truncated] {
        let shown = format!("{fault:?}");
        let fake = one_environment();
        let (_relay, sdk) = forwarding(&fake, &[]);
        fake.fail(Route::Metrics).times(1).with(fault);
        sdk.used("a", 5);
        fake.wait_for_count(Route::Metrics, 1);
        sdk.used("b", 1);
        arrives(&fake, "b", 1);
        let counted = fake.counted(ENVIRONMENT, "a");
        assert!(counted == 5 || counted == 10, "{shown}: {counted}");
        let uncertain = metric(sdk.relay, "ff_proxy_metrics_uncertain_total");
        if counted == 10 {
            assert!((5.0..=6.0).contains(&uncertain), "{shown}: {uncertain} bounds the doubling");
        }
    }
}

#[test]
fn no_answer_is_waited_for_no_longer_than_told() {
    let fake = one_environment();
    let (_relay, sdk) = forwarding(&fake, &["--request-timeout=500ms"]);
    fake.fail(Route::Metrics).times(1).with(Fault::Hang);
    sdk.used("a", 5);
    arrives(&fake, "a", 5);
    assert!(metric(sdk.relay, "ff_proxy_metrics_uncertain_total") >= 5.0);
}

#[test]
fn one_poisoned_row_is_found_and_the_others_arrive() {
    for status in [400, 413, 422] {
        let fake = one_environment();
        let (_relay, sdk) = forwarding(&fake, &[]);
        let poisoned =
            |request: &crate::fake_harness::Request| String::from_utf8_lossy(&request.body).contains("poison");
        fake.fail(Route::Metrics).when(poisoned).with(Fault::status(status));
        let mut rows: Vec<Value> = (0..60).map(|number| row(&format!("f{number}"), "pat", 2)).collect();
        rows.insert(37, row("poison", "pat", 2));
        sdk.report(&rows);
        for number in 0..60 {
            arrives(&fake, &format!("f{number}"), 2);
        }
        assert_eq!(fake.counted(ENVIRONMENT, "poison"), 0);
        let requests = fake.count(Route::Metrics);
        assert!(requests <= 30, "{status}: {requests} requests to find one of 61");
        // It is not asked again.
        sdk.used("after", 1);
        arrives(&fake, "after", 1);
        let later = fake.count(Route::Metrics);
        assert!(later <= requests + 2, "{status}: {later} after {requests}");
    }
}

#[test]
fn large_reports_go_in_batches() {
    let fake = one_environment();
    let (_relay, sdk) = forwarding(&fake, &[]);
    let rows: Vec<Value> = (0..2_500).map(|number| row(&format!("f{number}"), "pat", 1)).collect();
    sdk.report(&rows);
    for number in [0, 1_000, 2_499] {
        arrives(&fake, &format!("f{number}"), 1);
    }
    let sizes = || fake.metrics(ENVIRONMENT).iter().map(|received| received.rows().len()).collect::<Vec<_>>();
    wait_for("all rows", || (sizes().iter().sum::<usize>() == 2_500).then_some(()));
    assert!(sizes().iter().all(|size| *size <= 1_000), "{:?}", sizes());
}

#[test]
fn many_targets_are_folded() {
    let fake = one_environment();
    let (_relay, sdk) = forwarding(&fake, &[]);
    let rows: Vec<Value> = (0..1_500).map(|number| row("a", &format!("t{number}"), 1)).collect();
    sdk.report(&rows);
    arrives(&fake, "a", 1_500);
    let rows: Vec<Value> = fake.metrics(ENVIRONMENT).iter().flat_map(Received::rows).collect();
    let folded = rows.iter().find(|row| attribute(row, "target") == Some("__global__cf_target")).unwrap();
    assert_eq!((rows.len(), &folded["count"]), (1_001, &json!(500)));
}

#[test]
fn one_batch_at_a_time_for_an_environment() {
    let fake = one_environment();
    let (_relay, sdk) = forwarding(&fake, &[]);
    let pause = Duration::from_millis(300);
    fake.fail(Route::Metrics).with(Fault::Delay(pause));
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(1) {
        sdk.used("a", 1);
        std::thread::park_timeout(Duration::from_millis(20));
    }
    fake.wait_for_count(Route::Metrics, 3);
    let times: Vec<Instant> = fake.requests(Route::Metrics).iter().map(|request| request.at).collect();
    for two in times.windows(2) {
        assert!(two[1] - two[0] >= pause, "the next came {:?} after the one before", two[1] - two[0]);
    }
}

#[test]
fn one_environment_does_not_stop_another() {
    let fake = two_environments();
    let relay = relay_for(&fake, &[KEY, OTHER_KEY], &[SOON]);
    let (first, other) = (Sdk::connect(relay.sdk, KEY, ENVIRONMENT), Sdk::connect(relay.sdk, OTHER_KEY, OTHER));
    let planted = fake.fail(Route::Metrics).within(OTHER).with(Fault::Hang);
    other.used("b", 2);
    wait_for("the hanging post", || (planted.hits() > 0).then_some(()));
    for count in 1..4 {
        first.used("a", 1);
        arrives(&fake, "a", count);
    }
    fake.clear(&planted);
}

#[test]
fn a_proxy_keys_token_is_used_for_every_environment() {
    let fake = proxied();
    let relay = proxy_relay(&fake, &[SOON]);
    let (first, other) = (Sdk::connect(relay.sdk, KEY, ENVIRONMENT), Sdk::connect(relay.sdk, OTHER_KEY, OTHER));
    first.used("a", 2);
    other.used("b", 3);
    arrives(&fake, "a", 2);
    wait_for("the other's", || (fake.counted(OTHER, "b") == 3).then_some(()));
    let bodies = fake.requests(Route::Metrics);
    assert!(bodies.iter().all(|request| !String::from_utf8_lossy(&request.body).contains(PROXY_KEY)));
}

/// A connection that was idle may be dead without a sign; what is sent on it would be lost or doubled.
pub fn idle_connections_are_not_used_again() {
    let fake = one_environment();
    let (_relay, sdk) = forwarding(&fake, &[]);
    sdk.used("a", 1);
    arrives(&fake, "a", 1);
    std::thread::sleep(Duration::from_secs(7));
    sdk.used("a", 1);
    arrives(&fake, "a", 2);
    let requests = fake.requests(Route::Metrics);
    assert_ne!(requests.first().unwrap().connection, requests.last().unwrap().connection);
}
