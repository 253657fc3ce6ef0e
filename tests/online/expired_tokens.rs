//! Tokens expire: the relay authenticates again and goes on.

use std::time::{Duration, Instant};

use crate::fake_harness::{Fault, Route};
use crate::setup::{Sdk, followed, health_of, one_environment, relay, turn_off, wait_within};
use crate::support::client::get;
use crate::support::configuration::{ENVIRONMENT, KEY};
use crate::support::wait_for;

#[test]
fn a_change_still_arrives() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    let before = fake.count(Route::Auth);
    fake.expire_tokens();
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    assert_eq!(events.next().unwrap()["version"], 2);
    assert_eq!(fake.count(Route::Auth) - before, 1, "authenticated once");
}

#[test]
fn the_stream_is_opened_with_a_new_one() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.expire_tokens();
    fake.close_streams();
    fake.silently(|| fake.patch_flag(ENVIRONMENT, "a", turn_off));
    assert_eq!(events.next().unwrap()["version"], 2);
    fake.wait_for_streams(1);
    fake.patch_flag(ENVIRONMENT, "a", |_| ());
    assert_eq!(events.next().unwrap()["version"], 3);
}

#[test]
fn polling_goes_on_too() {
    let fake = one_environment();
    let relay = relay(&fake, &["--flag-stream-enabled=false", "--flag-poll-interval=100ms"]);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    for version in 2..5 {
        fake.expire_tokens();
        fake.patch_flag(ENVIRONMENT, "a", |_| ());
        sdk.wait_for_version("a", version);
    }
}

/// New tokens do not help: no storm of authentications, and what is known is served on.
#[test]
fn refusals_for_good_make_no_storm() {
    let fake = one_environment();
    let relay = relay(&fake, &["--flag-stream-enabled=false", "--flag-poll-interval=500ms"]);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    fake.forget_requests();
    let planted = fake.fail(Route::Flags).with(Fault::status(401));
    wait_for("stale data", || (health_of(sdk.relay, ENVIRONMENT)["stale"] == true).then_some(()));
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        assert_eq!((sdk.version("a"), get(sdk.relay, "/readyz", &[]).status), (1, 200));
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let authentications = fake.count(Route::Auth);
    assert!(authentications <= 10, "{authentications} authentications and {} lists", fake.count(Route::Flags));
    fake.clear(&planted);
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    sdk.wait_for_version("a", 2);
}

/// Upstream refuses a key that worked: served on, stale, ready; good again by itself.
#[test]
fn a_key_that_worked_and_is_refused_withdraws_nothing() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &["--flag-poll-interval=200ms"]);
    let mut events = sdk.stream();
    let refused = fake.fail(Route::Auth).with(Fault::status(403));
    fake.expire_tokens();
    fake.reset_streams();
    wait_for("a refusal", || (refused.hits() > 0).then_some(()));
    wait_for("stale data", || (health_of(sdk.relay, ENVIRONMENT)["stale"] == true).then_some(()));
    assert_eq!((sdk.version("a"), get(sdk.relay, "/readyz", &[]).status), (1, 200));
    let _further = Sdk::connect(sdk.relay, KEY, ENVIRONMENT);
    fake.clear(&refused);
    fake.silently(|| fake.patch_flag(ENVIRONMENT, "a", turn_off));
    assert_eq!(events.next().unwrap()["version"], 2);
}

/// Authentication fails once on the way to a new token: afterwards all is well, and health says so.
#[test]
fn a_failed_authentication_is_forgotten_once_it_worked() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    fake.expire_tokens();
    let failed = fake.fail(Route::Auth).times(1).with(Fault::status(500));
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    sdk.wait_for_version("a", 2);
    assert_eq!(failed.hits(), 1);
    let fresh = || (health_of(sdk.relay, ENVIRONMENT)["stale"] == false).then_some(());
    wait_within(Duration::from_secs(10), "fresh data", fresh);
}
