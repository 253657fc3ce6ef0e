//! SDK keys in API-key mode: known from the admin service, refused only when certain.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::fake_harness::{FakeHarness, Fault, Route};
use crate::setup::{Sdk, authenticate, followed, one_environment, relay, wait_ready};
use crate::support::configuration::{ENVIRONMENT, KEY};
use crate::support::wait_for;

#[test]
fn every_page_is_read_and_rows_without_a_hash_are_passed_over() {
    let fake = one_environment();
    fake.set_page_limit(2);
    fake.add_key_row(ENVIRONMENT, json!({"identifier": "no-hash", "name": "no hash", "type": "Client"}));
    for number in 0..5 {
        fake.add_key(ENVIRONMENT, &format!("client-{number}"), "Client");
    }
    let relay = relay(&fake, &[]);
    for number in 0..5 {
        Sdk::connect(relay.sdk, &format!("client-{number}"), ENVIRONMENT).flags();
    }
    // Lists may have been read more than once, also at the same time.
    let asked = fake.requests(Route::ApiKeys);
    let pages: BTreeSet<_> = asked.iter().filter_map(|request| request.query("pageNumber")).collect();
    assert_eq!(pages, BTreeSet::from(["0", "1", "2", "3"]));
}

#[test]
fn pages_end_where_the_answer_says() {
    let fake = one_environment();
    fake.set_page_limit(1);
    fake.add_key(ENVIRONMENT, "client", "Client");
    fake.set_last_page_repeats(true);
    let relay = relay(&fake, &[]);
    Sdk::connect(relay.sdk, "client", ENVIRONMENT);
    assert_eq!(fake.count(Route::ApiKeys), 2);
}

#[test]
fn the_configured_key_is_good_without_being_listed() {
    let fake = one_environment();
    fake.fail(Route::ApiKeys)
        .with(Fault::body(r#"{"apiKeys":[],"itemCount":0,"pageCount":0,"pageIndex":0,"pageSize":100}"#));
    let relay = relay(&fake, &[]);
    assert_eq!(Sdk::connect(relay.sdk, KEY, ENVIRONMENT).version("a"), 1);
}

#[test]
fn a_new_key_is_good_the_first_time_it_is_used() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    fake.add_key(ENVIRONMENT, "fresh", "Client");
    let reply = authenticate(sdk.relay, "fresh");
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn an_unknown_key_is_refused_after_a_look() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let asked = Instant::now();
    assert_eq!(authenticate(sdk.relay, "nobody's").status, 401);
    let looks = |fake: &FakeHarness| fake.requests(Route::ApiKeys).iter().filter(|r| r.at >= asked).count();
    assert_eq!(looks(&fake), 1, "the lists are read again before anybody is refused");
    let again = Instant::now();
    assert_eq!(authenticate(sdk.relay, "nobody's").status, 401);
    assert!(again.elapsed() < Duration::from_secs(1), "remembered: {:?}", again.elapsed());
    assert_eq!(looks(&fake), 1);
}

#[test]
fn many_unknown_keys_share_one_look() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    fake.forget_requests();
    let since = Instant::now();
    let relay = sdk.relay;
    let asking: Vec<_> =
        (0..200).map(|number| thread::spawn(move || authenticate(relay, &format!("nobody-{number}")).status)).collect();
    let answers: Vec<u16> = asking.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(answers.iter().all(|status| *status == 401), "{answers:?}");
    let looks = fake.count(Route::ApiKeys);
    let bound = 2 + usize::try_from(since.elapsed().as_secs() / 5).unwrap();
    assert!(looks <= bound, "{looks} looks in {:?}", since.elapsed());
}

/// The list cannot be read: not known is not refused.
pub fn nobody_is_refused_while_the_list_cannot_be_read() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    fake.fail(Route::ApiKeys).with(Fault::status(500));
    assert_eq!(authenticate(sdk.relay, "nobody's").status, 500);
    assert_eq!(authenticate(sdk.relay, KEY).status, 200);
    fake.clear_faults();
    wait_for("a refusal", || (authenticate(sdk.relay, "nobody's").status == 401).then_some(()));
}

/// Nothing but what `data-dir` held, and Harness away: an unknown key may be a new one.
pub fn nobody_is_refused_by_what_was_stored() {
    let fake = one_environment();
    let data = tempfile::tempdir().unwrap();
    let option = format!("--data-dir={}", data.path().display());
    let (running, _) = followed(&fake, &[&option]);
    drop(running);
    fake.stop();
    let relay = relay(&fake, &[&option]);
    wait_ready(relay.sdk);
    assert_eq!((authenticate(relay.sdk, KEY).status, authenticate(relay.sdk, "nobody's").status), (200, 500));
    fake.restart();
    wait_for("a refusal", || (authenticate(relay.sdk, "nobody's").status == 401).then_some(()));
}

/// A key that is no longer listed: gone after a second look, its streams too.
pub fn a_revoked_key_goes_after_a_second_look() {
    let fake = one_environment();
    fake.add_key(ENVIRONMENT, "revoked", "Client");
    fake.add_key(ENVIRONMENT, "kept", "Client");
    let (_relay, sdk) = followed(&fake, &["--key-refresh-interval=1s"]);
    let kept = Sdk::connect(sdk.relay, "kept", ENVIRONMENT);
    let mut kept_stream = kept.stream();
    let revoked = Sdk::connect(sdk.relay, "revoked", ENVIRONMENT);
    let mut stream = revoked.stream();
    let since = Instant::now();
    fake.remove_key(ENVIRONMENT, "revoked");
    assert_eq!(stream.next(), None, "its stream is cut");
    assert!(since.elapsed() >= Duration::from_millis(9_500), "believed after {:?}", since.elapsed());
    assert_eq!(revoked.flag("a").status, 401);
    let asked = Instant::now();
    assert_eq!(authenticate(sdk.relay, "revoked").status, 401);
    assert!(asked.elapsed() < Duration::from_secs(1), "refused at once: {:?}", asked.elapsed());
    fake.patch_flag(ENVIRONMENT, "a", |_| ());
    assert_eq!(kept_stream.next_short(), "patch flag a", "other keys notice nothing");
}

/// A list without some keys, once: nobody is refused.
pub fn a_key_missing_for_a_moment_stays_good() {
    let fake = one_environment();
    fake.add_key(ENVIRONMENT, "client", "Client");
    let (_relay, sdk) = followed(&fake, &["--key-refresh-interval=1s"]);
    let client = Sdk::connect(sdk.relay, "client", ENVIRONMENT);
    let mut stream = client.stream();
    let empty = r#"{"apiKeys":[],"itemCount":0,"pageCount":0,"pageIndex":0,"pageSize":100}"#;
    let planted = fake.fail(Route::ApiKeys).times(1).with(Fault::body(empty));
    wait_for("an empty list", || (planted.hits() == 1).then_some(()));
    let looks = fake.count(Route::ApiKeys);
    fake.wait_for_count(Route::ApiKeys, looks + 3);
    assert_eq!(authenticate(sdk.relay, "client").status, 200);
    fake.patch_flag(ENVIRONMENT, "a", |_| ());
    assert_eq!(stream.next_short(), "patch flag a");
}

#[test]
fn targets_are_read_when_asked_for() {
    let fake = one_environment();
    fake.create_flag(
        ENVIRONMENT,
        json!({
            "feature": "pro", "kind": "boolean", "state": "on", "offVariation": "false", "version": 1,
            "defaultServe": {"variation": "false"}, "prerequisites": [], "variationToTargetMap": [],
            "variations": [{"identifier": "true", "value": "true"}, {"identifier": "false", "value": "false"}],
            "rules": [{"ruleId": "r", "priority": 1, "serve": {"variation": "true"},
                "clauses": [{"id": "c", "attribute": "plan", "op": "equal", "values": ["pro"], "negate": false}]}],
        }),
    );
    let target = |name: &str, plan: &str| json!({"identifier": name, "name": name, "attributes": {"plan": plan}});
    fake.set_page_limit(1);
    fake.set_targets(ENVIRONMENT, vec![target("pat", "free"), target("kim", "pro")]);
    let relay = relay(&fake, &["--target-poll-duration=200ms"]);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    let value = |target: &str| sdk.get(&format!("target/{target}/evaluations/pro")).ok()["value"].clone();
    wait_for("targets", || (value("kim") == "true").then_some(()));
    assert_eq!(value("pat"), "false");
    fake.set_targets(ENVIRONMENT, vec![target("pat", "pro"), target("kim", "pro")]);
    wait_for("a changed target", || (value("pat") == "true").then_some(()));
}
