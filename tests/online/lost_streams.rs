//! Upstream streams end, fall silent, or are refused: nothing is missed, and SDK streams stay open.

use std::time::{Duration, Instant};

use crate::fake_harness::{FakeHarness, Fault, Route};
use crate::setup::{Sdk, followed, health_of, one_environment, relay, turn_off, wait_ready};
use crate::support::configuration::{ENVIRONMENT, KEY, boolean};
use crate::support::wait_for;

#[test]
fn what_was_missed_is_fetched_after_the_reconnect() {
    for reset in [false, true] {
        let fake = one_environment();
        let (_relay, sdk) = followed(&fake, &[]);
        let mut events = sdk.stream();
        fake.silently(|| {
            fake.patch_flag(ENVIRONMENT, "a", turn_off);
            fake.create_flag(ENVIRONMENT, boolean("b", true, 1));
            fake.delete_segment(ENVIRONMENT, "s");
        });
        if reset {
            fake.reset_streams()
        } else {
            fake.close_streams()
        }
        let missed = ["create flag b", "delete target-segment s", "patch flag a"];
        assert_eq!(events.take_sorted(3), missed, "reset: {reset}");
        fake.wait_for_streams(1);
        fake.patch_flag(ENVIRONMENT, "a", |_| ());
        assert_eq!(events.next_short(), "patch flag a", "the same SDK stream");
    }
}

#[test]
fn lists_are_fetched_after_the_stream_is_open() {
    let fake = one_environment();
    let relay = relay(&fake, &[]);
    wait_ready(relay.sdk);
    fake.wait_for_streams(1);
    let opened = fake.requests(Route::Stream)[0].at;
    for route in [Route::Flags, Route::Segments] {
        wait_for("a list after the stream", || fake.requests(route).iter().any(|r| r.at >= opened).then_some(()));
    }
}

#[test]
fn refused_streams_are_polled_for_and_tried_again_without_haste() {
    let fake = one_environment();
    let refused = fake.fail(Route::Stream).with(Fault::status(503));
    let relay = relay(&fake, &["--flag-poll-interval=200ms"]);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    let mut events = sdk.stream();
    let since = Instant::now();
    let before = fake.count(Route::Stream);
    for _ in 0..5 {
        fake.patch_flag(ENVIRONMENT, "a", |_| ());
        assert_eq!(events.next_short(), "patch flag a");
    }
    wait_for("DISCONNECTED", || {
        (health_of(sdk.relay, ENVIRONMENT)["streamStatus"]["state"] == "DISCONNECTED").then_some(())
    });
    let tries = fake.count(Route::Stream) - before;
    let bound = 8 + 4 * usize::try_from(since.elapsed().as_secs()).unwrap();
    assert!(tries <= bound, "{tries} tries in {:?}", since.elapsed());
    fake.clear(&refused);
    fake.wait_for_streams(1);
    wait_for("CONNECTED", || (health_of(sdk.relay, ENVIRONMENT)["streamStatus"]["state"] == "CONNECTED").then_some(()));
    fake.patch_flag(ENVIRONMENT, "a", |_| ());
    assert_eq!(events.next_short(), "patch flag a", "the same SDK stream all along");
}

#[test]
fn polling_stops_once_the_stream_is_there() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &["--flag-poll-interval=100ms"]);
    fake.forget_requests();
    // Ten poll intervals.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(fake.count(Route::Flags), 0);
    fake.silently(|| fake.patch_flag(ENVIRONMENT, "a", turn_off));
    assert_eq!(sdk.version("a"), 1, "a silent change is not looked for");
}

#[test]
fn a_stream_that_ends_at_once_every_time_makes_no_storm() {
    let fake = one_environment();
    let (_relay, _sdk) = followed(&fake, &[]);
    fake.forget_requests();
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        fake.close_streams();
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let (streams, lists) = (fake.count(Route::Stream), fake.count(Route::Flags));
    assert!(streams <= 12 && lists <= 12, "{streams} streams and {lists} lists in three seconds");
}

#[test]
fn disabled_streams_are_polled_for() {
    let fake = one_environment();
    let relay = relay(&fake, &["--flag-stream-enabled=false", "--flag-poll-interval=100ms"]);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    let mut events = sdk.stream();
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    assert_eq!(events.next_short(), "patch flag a");
    fake.delete_flag(ENVIRONMENT, "a");
    fake.create_flag(ENVIRONMENT, boolean("b", true, 1));
    let mut told = events.take_sorted(2);
    told.sort();
    assert_eq!(told[0], "create flag b");
    assert_eq!(fake.count(Route::Stream), 0);
}

#[test]
fn a_full_resync_heals_what_was_lost_unnoticed() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &["--resync-interval=500ms"]);
    let mut events = sdk.stream();
    fake.silently(|| fake.patch_flag(ENVIRONMENT, "a", turn_off));
    assert_eq!(events.next_short(), "patch flag a");
    // Unchanged answers wake nobody.
    let lists = fake.count(Route::Flags);
    fake.wait_for_count(Route::Flags, lists + 3);
    fake.patch_segment(ENVIRONMENT, "s", |_| ());
    assert_eq!(events.next_short(), "patch target-segment s");
}

#[test]
fn unchanged_lists_may_be_answered_with_304() {
    let fake = one_environment();
    fake.set_etags(true);
    let relay = relay(&fake, &["--flag-stream-enabled=false", "--flag-poll-interval=100ms"]);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    fake.wait_for_count(Route::Flags, 4);
    for version in 2..4 {
        fake.patch_flag(ENVIRONMENT, "a", |_| ());
        sdk.wait_for_version("a", version);
    }
}

/// No byte for 30 s: the stream is dead, and what it did not say is fetched.
fn dead_after_thirty_seconds(kill: fn(&FakeHarness)) {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    let since = Instant::now();
    kill(&fake);
    fake.silently(|| fake.patch_flag(ENVIRONMENT, "a", turn_off));
    assert_eq!(events.next_short(), "patch flag a");
    let took = since.elapsed();
    assert!((Duration::from_secs(20)..Duration::from_secs(45)).contains(&took), "noticed after {took:?}");
    assert_eq!(fake.count(Route::Stream), 2);
}

pub fn a_silent_stream_is_replaced() {
    dead_after_thirty_seconds(|fake| fake.set_silent(true));
}

pub fn a_half_open_stream_is_replaced() {
    dead_after_thirty_seconds(FakeHarness::freeze_streams);
}

pub fn heartbeats_keep_a_stream_alive() {
    let fake = one_environment();
    fake.set_heartbeat(Duration::from_secs(14));
    let (_relay, sdk) = followed(&fake, &[]);
    std::thread::sleep(Duration::from_secs(45));
    assert_eq!(fake.count(Route::Stream), 1);
    let mut events = sdk.stream();
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    assert_eq!(events.next_short(), "patch flag a");
}
