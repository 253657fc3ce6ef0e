//! Served versions only rise, whatever upstream does with its own.

use serde_json::json;

use crate::fake_harness::Route;
use crate::setup::{Sdk, followed, one_environment, relay, turn_off};
use crate::support::configuration::{ENVIRONMENT, KEY, boolean};
use crate::support::wait_for;

#[test]
fn content_that_changed_without_a_higher_version_is_raised() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.silently(|| {
        fake.patch_flag(ENVIRONMENT, "a", |flag| {
            turn_off(flag);
            flag["version"] = json!(1);
        })
    });
    fake.close_streams();
    let event = events.next().unwrap();
    let told = event["version"].as_i64().unwrap();
    assert!(told > 1, "{event}");
    assert_eq!(sdk.version("a"), told);
    fake.wait_for_streams(1);
    fake.patch_flag(ENVIRONMENT, "a", |flag| flag["state"] = json!("on"));
    assert!(events.next().unwrap()["version"].as_i64().unwrap() > told);
}

#[test]
fn what_comes_back_comes_back_higher() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    for version in 2..8 {
        fake.patch_flag(ENVIRONMENT, "a", |_| ());
        assert_eq!(events.next().unwrap()["version"], version);
    }
    fake.delete_flag(ENVIRONMENT, "a");
    let deleted = events.next().unwrap();
    assert_eq!(deleted["event"], "delete");
    fake.create_flag(ENVIRONMENT, boolean("a", true, 1));
    let created = events.next().unwrap();
    assert_eq!(created["event"], "create");
    assert!(created["version"].as_i64().unwrap() > 7, "{created}");
    assert!(created["version"].as_i64() > deleted["version"].as_i64(), "{deleted} {created}");
}

#[test]
fn they_go_on_rising_over_a_restart_with_a_data_directory() {
    let fake = one_environment();
    let data = tempfile::tempdir().unwrap();
    let option = format!("--data-dir={}", data.path().display());
    let (running, sdk) = followed(&fake, &[&option]);
    let mut events = sdk.stream();
    fake.silently(|| {
        fake.patch_flag(ENVIRONMENT, "a", |flag| {
            turn_off(flag);
            flag["version"] = json!(1);
        })
    });
    fake.reset_streams();
    let raised = events.next().unwrap()["version"].as_i64().unwrap();
    drop(running);
    let again = relay(&fake, &[&option]);
    let sdk = Sdk::connect(again.sdk, KEY, ENVIRONMENT);
    assert_eq!(sdk.version("a"), raised, "the same content keeps its version");
    fake.wait_for_streams(1);
    fake.patch_flag(ENVIRONMENT, "a", |flag| flag["state"] = json!("on"));
    wait_for("a higher version", || (sdk.version("a") > raised).then_some(()));
}

/// Upstream was restored from a backup: older versions, for good.
#[test]
fn a_source_that_went_back_is_believed_and_served_higher() {
    let fake = one_environment();
    for _ in 0..5 {
        fake.patch_flag(ENVIRONMENT, "a", |_| ());
    }
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.forget_requests();
    fake.silently(|| {
        fake.patch_flag(ENVIRONMENT, "a", |flag| {
            turn_off(flag);
            flag["version"] = json!(3);
        })
    });
    fake.close_streams();
    let event = events.next().unwrap();
    assert!(event["version"].as_i64().unwrap() > 6, "{event}");
    assert_eq!(sdk.flag("a").ok()["state"], "off");
    assert!(fake.count(Route::Flag) >= 1, "it is fetched once more before it is believed");
}

/// The same for many at once, which are more than are fetched one by one.
#[test]
fn many_that_went_back_at_once_are_believed_too() {
    let fake = one_environment();
    for number in 0..12 {
        fake.create_flag(ENVIRONMENT, boolean(&format!("f{number}"), true, 5));
    }
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.silently(|| {
        for number in 0..12 {
            fake.patch_flag(ENVIRONMENT, &format!("f{number}"), |flag| {
                turn_off(flag);
                flag["version"] = json!(3);
            });
        }
    });
    fake.close_streams();
    let off = |flag: &serde_json::Value| flag["state"] == "off" && flag["version"].as_i64() > Some(5);
    wait_for("the backup's flags", || (sdk.flags().values().filter(|flag| off(flag)).count() == 12).then_some(()));
    assert_eq!(events.take_sorted(12).len(), 12);
}
