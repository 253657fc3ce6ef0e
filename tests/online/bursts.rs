//! Many messages at once cost a handful of fetches.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::fake_harness::{FakeHarness, Route};
use crate::setup::{Sdk, followed, one_environment, proxied, proxy_relay, settle, turn_off};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean};
use crate::support::wait_for;

fn fetches(fake: &FakeHarness) -> usize {
    [Route::Flag, Route::Flags, Route::Segment, Route::Segments].into_iter().map(|route| fake.count(route)).sum()
}

#[test]
fn ten_thousand_messages_about_one_flag() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    fake.forget_requests();
    fake.silently(|| fake.patch_flag(ENVIRONMENT, "a", |_| ()));
    let message = json!({"event": "patch", "domain": "flag", "identifier": "a", "version": 2});
    for _ in 0..10_000 {
        fake.send_message(ENVIRONMENT, &message);
    }
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    sdk.wait_for_version("a", 3);
    assert!(fetches(&fake) <= 20, "{} fetches", fetches(&fake));
}

#[test]
fn ten_thousand_messages_about_a_thousand_flags() {
    let fake = one_environment();
    for number in 0..1_000 {
        fake.create_flag(ENVIRONMENT, boolean(&format!("f{number}"), true, 1));
    }
    let (_relay, sdk) = followed(&fake, &[]);
    fake.forget_requests();
    for _ in 0..10 {
        for number in 0..1_000 {
            fake.patch_flag(ENVIRONMENT, &format!("f{number}"), |_| ());
        }
    }
    wait_for("the newest of each", || {
        (sdk.flags().values().filter(|flag| flag["version"] == 11).count() == 1_000).then_some(())
    });
    assert!(fetches(&fake) <= 20, "{} fetches", fetches(&fake));
}

/// A proxy key's stream speaks of every environment.
#[test]
fn ten_thousand_messages_of_a_proxy_key() {
    let fake = proxied();
    let relay = proxy_relay(&fake, &[]);
    settle(&fake, &relay);
    let sdk = Sdk::connect(relay.sdk, OTHER_KEY, OTHER);
    fake.forget_requests();
    for _ in 0..5_000 {
        fake.patch_flag(OTHER, "b", |_| ());
        fake.patch_segment(ENVIRONMENT, "s", |_| ());
    }
    sdk.wait_for_version("b", 5_001);
    assert!(fetches(&fake) <= 40, "{} fetches for two environments", fetches(&fake));
    assert_eq!(fake.count(Route::ProxyConfig), 0);
}

/// Sends a message again and again for two seconds; gives how often everything was fetched.
fn storm(fake: &FakeHarness, message: &[u8]) -> usize {
    fake.forget_requests();
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(2) {
        fake.send_raw(message);
        thread::park_timeout(Duration::from_millis(1));
    }
    fake.count(Route::Flags).max(fake.count(Route::ProxyConfig))
}

#[test]
fn messages_that_are_not_understood() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let all = storm(&fake, b"data: garbage\n\n");
    assert!((1..=12).contains(&all), "{all} times everything");
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    sdk.wait_for_version("a", 2);
}

#[test]
fn messages_of_a_proxy_key_that_are_not_understood_or_not_about_anything_known() {
    for message in [
        "data: garbage\n\n".to_owned(),
        format!(
            "data: {}\n\n",
            json!({"event": "patch", "domain": "flag", "identifier": "x", "version": 1,
            "environment": "99999999-9999-4999-8999-999999999999"})
        ),
    ] {
        let fake = proxied();
        let relay = proxy_relay(&fake, &[]);
        settle(&fake, &relay);
        let all = storm(&fake, message.as_bytes());
        assert!((1..=12).contains(&all), "{all} times everything for {message}");
        fake.patch_flag(ENVIRONMENT, "a", turn_off);
        Sdk::connect(relay.sdk, KEY, ENVIRONMENT).wait_for_version("a", 2);
    }
}
