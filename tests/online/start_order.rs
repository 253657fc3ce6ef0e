//! Which of relay and upstream is there first does not matter.

use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

use crate::fake_harness::{Fault, Route};
use crate::relay_process::RelayProcess;
use crate::setup::{
    Sdk, authenticate, followed, health, health_of, one_environment, relay, relay_for, turn_off, wait_ready,
};
use crate::support::client::get;
use crate::support::configuration::{ENVIRONMENT, KEY};
use crate::support::events::Events;
use crate::support::wait_for;

#[test]
fn the_relay_may_be_first() {
    let fake = one_environment();
    fake.stop();
    let relay = relay(&fake, &[]);
    assert_eq!(get(relay.sdk, "/livez", &[]).status, 200);
    let ready = get(relay.sdk, "/readyz", &[]);
    assert_eq!(ready.status, 503);
    assert!(!ready.json()["reasons"].as_array().unwrap().is_empty());
    let all = health(relay.sdk);
    assert_eq!(all["configStatus"]["state"], "INITIALIZING");
    for status in ["configStatus", "streamStatus"] {
        assert!(all[status]["since"].as_i64().unwrap() > 1_700_000_000_000, "{status} has a time: {all}");
    }
    fake.restart();
    wait_ready(relay.sdk);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    let mut events = sdk.stream();
    fake.wait_for_streams(1);
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    assert_eq!(events.next().unwrap()["version"], 2);
}

#[test]
fn sdk_calls_wait_for_the_first_answers() {
    let fake = one_environment();
    fake.fail(Route::Flags).times(1).with(Fault::status(500));
    fake.fail(Route::Segments).times(1).with(Fault::Delay(Duration::from_millis(500)));
    let relay = relay(&fake, &[]);
    let reply = authenticate(relay.sdk, KEY);
    assert_eq!(reply.status, 200, "asked before anything was known, answered once it was: {}", reply.text());
}

/// 401 would stop SDKs for good: while an environment is on its way, they wait for it.
#[test]
fn a_slow_first_fetch_refuses_nobody() {
    let fake = one_environment();
    fake.add_key(ENVIRONMENT, "client", "Client");
    fake.fail(Route::Flags).times(2).with(Fault::Delay(Duration::from_secs(2)));
    let relay = relay(&fake, &[]);
    fake.wait_for_count(Route::ApiKeys, 1);
    let ask = |key: &'static str| {
        let address = relay.sdk;
        std::thread::spawn(move || authenticate(address, key).status)
    };
    let asking = [ask(KEY), ask("client"), ask(KEY)];
    assert_eq!(asking.map(|thread| thread.join().unwrap()), [200; 3]);
}

#[test]
fn upstream_may_come_and_go() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &["--flag-poll-interval=200ms"]);
    let mut events = sdk.stream();
    for version in 2..4 {
        fake.stop();
        wait_for("stale data", || (health_of(sdk.relay, ENVIRONMENT)["stale"] == true).then_some(()));
        assert_eq!((sdk.version("a"), get(sdk.relay, "/readyz", &[]).status), (version - 1, 200));
        fake.patch_flag(ENVIRONMENT, "a", |_| ());
        fake.restart();
        assert_eq!(events.next().unwrap()["version"], version, "the SDK stream was never cut");
        fake.wait_for_streams(1);
        wait_for("fresh data", || (health_of(sdk.relay, ENVIRONMENT)["stale"] == false).then_some(()));
    }
}

#[test]
fn what_is_stored_is_served_at_once_and_called_stale() {
    let fake = one_environment();
    let data = tempfile::tempdir().unwrap();
    let option = format!("--data-dir={}", data.path().display());
    let (running, old_sdk) = followed(&fake, &[&option]);
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    old_sdk.wait_for_version("a", 2);
    drop(running);
    fake.stop();
    fake.patch_flag(ENVIRONMENT, "a", |_| ());
    let since = Instant::now();
    let relay = relay(&fake, &[&option]);
    wait_ready(relay.sdk);
    let reply = authenticate(relay.sdk, KEY);
    assert_eq!(reply.status, 200);
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
    let sdk = Sdk { relay: relay.sdk, ..old_sdk };
    assert_eq!((sdk.version("a"), sdk.segments().len()), (2, 1), "the token of the earlier life is good");
    assert_eq!(health_of(relay.sdk, ENVIRONMENT)["stale"], true);
    let mut events = sdk.stream();
    fake.restart();
    // It may first be told again what changed before the restart.
    while events.next().unwrap()["version"] != 3 {}
    wait_for("fresh data", || (health_of(sdk.relay, ENVIRONMENT)["stale"] == false).then_some(()));
}

#[test]
fn what_another_key_left_is_not_served() {
    let fake = one_environment();
    fake.add_key(ENVIRONMENT, "another-server-key", "Server");
    let data = tempfile::tempdir().unwrap();
    let option = format!("--data-dir={}", data.path().display());
    let (running, _) = followed(&fake, &[&option]);
    drop(running);
    fake.stop();
    let relay = relay_for(&fake, &["another-server-key"], &[&option]);
    assert_eq!(get(relay.sdk, "/readyz", &[]).status, 503);
}

/// Nothing known and upstream away: 500 after the wait, 503 on the stream; never 401.
pub fn unknown_is_never_a_refusal() {
    let fake = one_environment();
    fake.stop();
    let relay = relay(&fake, &[]);
    let since = Instant::now();
    let reply = authenticate(relay.sdk, KEY);
    assert_eq!(reply.status, 500, "{}", reply.text());
    assert!(since.elapsed() >= Duration::from_secs(7), "held for {:?}", since.elapsed());
    let stream = Events::ask(relay.sdk, KEY, "Bearer not-known-yet", &[]);
    assert!([401, 503].contains(&stream.reply.status));
}

/// The same while upstream accepts connections and says nothing.
pub fn a_hanging_upstream_holds_nobody_for_long() {
    let fake = one_environment();
    fake.fail(Route::Flags).with(Fault::Hang);
    let relay = relay(&fake, &[]);
    let since = Instant::now();
    assert_eq!(authenticate(relay.sdk, KEY).status, 500);
    assert!(since.elapsed() < Duration::from_secs(12), "held for {:?}", since.elapsed());
    fake.clear_faults();
}

#[test]
fn stopping_does_not_wait_for_upstream() {
    for fault in [Fault::Hang, Fault::status(500)] {
        let shown = format!("{fault:?}");
        let fake = one_environment();
        let (relay, _sdk) = followed(&fake, &["--resync-interval=200ms"]);
        let planted = fake.fail_everything().with(fault);
        wait_for(&shown, || (planted.hits() > 0).then_some(()));
        let since = Instant::now();
        relay.stop();
        assert!(since.elapsed() < Duration::from_secs(7), "{shown}: stopped after {:?}", since.elapsed());
        fake.clear_faults();
    }
}

/// Killed without a word, and Harness away when it comes back.
#[test]
fn a_killed_relay_serves_what_it_had() {
    let fake = one_environment();
    let data = tempfile::tempdir().unwrap();
    let process = || {
        let fixed = ["--listen-address=127.0.0.1", "--grpc-address=off"].map(str::to_owned);
        let own = [format!("--data-dir={}", data.path().display())];
        let all = fake.api_key_options(&[KEY]).into_iter().chain(fixed).chain(own);
        let arguments: Vec<OsString> = all.map(OsString::from).collect();
        RelayProcess::start(OsStr::new(env!("CARGO_BIN_EXE_ff-relay")), &arguments)
    };
    let first = process();
    let sdk = Sdk::connect(first.address(), KEY, ENVIRONMENT);
    fake.wait_for_streams(1);
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    sdk.wait_for_version("a", 2);
    // As for usage: a crash may lose the last second, and the machine may be busy.
    std::thread::sleep(Duration::from_secs(2));
    drop(first);
    fake.stop();
    let second = process();
    let sdk = Sdk { relay: second.address(), ..sdk };
    assert_eq!((sdk.version("a"), sdk.flag("a").ok()["state"].clone()), (2, serde_json::json!("off")));
    fake.restart();
    fake.wait_for_streams(1);
    fake.patch_flag(ENVIRONMENT, "a", |_| ());
    sdk.wait_for_version("a", 3);
}
