//! Many configured keys: each goes its own way.

use std::time::Duration;

use crate::fake_harness::{FakeHarness, Fault, Request, Route};
use crate::setup::{Sdk, authenticate, one_environment, relay_for, two_environments, wait_ready};
use crate::support::client::get;
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean};
use crate::support::wait_for;

#[test]
fn one_bad_key_does_not_stop_the_others() {
    for status in [401, 403, 404, 500] {
        let fake = two_environments();
        fake.fail(Route::Auth).within(OTHER).with(Fault::status(status));
        let relay = relay_for(&fake, &[OTHER_KEY, KEY], &[]);
        let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
        assert_eq!(sdk.version("a"), 1);
        if status == 500 {
            continue;
        }
        wait_ready(relay.sdk);
        std::thread::sleep(Duration::from_millis(500));
        let tries = fake.count_in(OTHER, Route::Auth);
        assert!((1..=2).contains(&tries), "{tries} tries with a key that was refused with {status}");
    }
}

/// An environment whose own key was refused hides nobody's 401.
#[test]
fn refusals_are_certain_although_a_key_is_bad() {
    let fake = one_environment();
    let relay = relay_for(&fake, &[KEY, "no-such-server-key"], &[]);
    wait_ready(relay.sdk);
    let reply = authenticate(relay.sdk, "nobody's");
    assert_eq!(reply.status, 401, "{}", reply.text());
}

#[test]
fn each_environment_has_its_own() {
    let fake = two_environments();
    fake.add_key(OTHER, "other-client", "Client");
    let relay = relay_for(&fake, &[KEY, OTHER_KEY], &[]);
    let first = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    let other = Sdk::connect(relay.sdk, "other-client", OTHER);
    assert_eq!((first.version("a"), other.version("b")), (1, 1));
    let crossed =
        get(relay.sdk, &format!("/client/env/{OTHER}/feature-configs"), &[("Authorization", &first.authorization)]);
    assert_eq!(crossed.status, 401);
    fake.wait_for_streams(2);
    let (mut first, mut other) = (first.stream(), other.stream());
    fake.patch_flag(OTHER, "b", |_| ());
    assert_eq!(other.next_short(), "patch flag b");
    fake.patch_flag(ENVIRONMENT, "a", |_| ());
    assert_eq!(first.next_short(), "patch flag a");
}

#[test]
fn two_server_keys_of_one_environment_are_one_environment() {
    let fake = one_environment();
    fake.add_key(ENVIRONMENT, "second-server-key", "Server");
    let relay = relay_for(&fake, &[KEY, "second-server-key"], &[]);
    wait_ready(relay.sdk);
    fake.wait_for_streams(fake.open_streams().max(1));
    let sdk = Sdk::connect(relay.sdk, "second-server-key", ENVIRONMENT);
    let mut events = sdk.stream();
    for version in 2..6 {
        fake.patch_flag(ENVIRONMENT, "a", |_| ());
        assert_eq!(events.next().unwrap()["version"], version, "each change is told once");
    }
}

/// So many environments, each with one flag, and their keys.
fn many(count: usize) -> (FakeHarness, Vec<(String, String)>) {
    let fake = FakeHarness::start();
    let environments: Vec<(String, String)> = (0..count)
        .map(|number| (format!("key-{number}"), format!("555555{number:02}-5555-4555-8555-5555555555{number:02}")))
        .collect();
    for (key, id) in &environments {
        fake.add_environment(id, key);
        fake.create_flag(id, boolean(&format!("flag-of-{key}"), true, 1));
    }
    (fake, environments)
}

/// Upstream takes the keys of most environments for wrong from some time on: the few others must go on.
#[test]
fn many_keys_that_go_bad_do_not_stop_the_others() {
    let (fake, environments) = many(72);
    let keys: Vec<&str> = environments.iter().map(|(key, _)| key.as_str()).collect();
    let relay = relay_for(&fake, &keys, &["--resync-interval=500ms", "--flag-poll-interval=500ms"]);
    wait_ready(relay.sdk);
    let (last_key, last) = environments.last().unwrap();
    let sdk = Sdk::connect(relay.sdk, last_key, last);
    let bad: Vec<String> = environments[..70].iter().map(|(_, id)| id.clone()).collect();
    let is_bad = move |request: &Request| request.environment.as_ref().is_some_and(|id| bad.contains(id));
    let refused = fake.fail(Route::Auth).when(is_bad).with(Fault::status(403));
    fake.expire_tokens();
    wait_for("refusals", || (refused.hits() >= 70).then_some(()));
    for version in 2..5 {
        fake.patch_flag(last, &format!("flag-of-{last_key}"), |_| ());
        sdk.wait_for_version(&format!("flag-of-{last_key}"), version);
    }
}

#[test]
fn forty_keys_are_all_served() {
    let (fake, environments) = many(40);
    let keys: Vec<&str> = environments.iter().map(|(key, _)| key.as_str()).collect();
    let relay = relay_for(&fake, &keys, &[]);
    wait_ready(relay.sdk);
    for (key, id) in &environments {
        assert_eq!(Sdk::connect(relay.sdk, key, id).version(&format!("flag-of-{key}")), 1);
    }
}
