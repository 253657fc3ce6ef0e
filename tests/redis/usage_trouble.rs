//! SDK metrics on their way through Redis when something ends: a primary, a replica, Redis. Nothing is lost, and nothing is
//! counted twice but what `ff_proxy_metrics_uncertain_total` owns up to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::fake_harness::{Fault, Route};
use crate::fleet::{address, has_role, process, replica_options, start};
use crate::redis_server::{Data, RedisServer};
use crate::reports::arrives;
use crate::setup::{Sdk, metric, two_environments, wait_ready, wait_within};
use crate::support::configuration::{ENVIRONMENT, KEY};
use crate::support::wait_for;
use crate::usage_sharing::{STREAM, follower, leader, options, sdk_at};

/// What may have been counted once too often, as far as these relays know.
#[expect(clippy::cast_possible_truncation, reason = "small counts")]
fn uncertain(relays: &[std::net::SocketAddr]) -> i64 {
    relays.iter().map(|relay| metric(*relay, "ff_proxy_metrics_uncertain_total") as i64).sum()
}

#[test]
fn batches_outlive_the_primary_that_was_sending_them() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let first = process(&options(&fake, &redis, &[]));
    has_role(first.address(), "LEADS");
    let third = follower(&redis, &[]);
    let planted = fake.fail(Route::Metrics).with(Fault::Hang);
    sdk_at(&third).used("a", 5);
    wait_for("an attempt", || (planted.hits() > 0).then_some(()));
    // Dropping a process kills it.
    drop(first);
    fake.clear(&planted);
    sdk_at(&third).used("b", 6);
    let second = leader(&fake, &redis, &[]);
    arrives(&fake, "a", 5);
    arrives(&fake, "b", 6);
    assert_eq!(uncertain(&[second.sdk, third.sdk]), 5, "only what was under way is in doubt");
}

#[test]
fn what_was_counted_and_not_noted_is_owned_up_to() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let first = process(&options(&fake, &redis, &[]));
    has_role(first.address(), "LEADS");
    let third = follower(&redis, &[]);
    fake.fail(Route::Metrics).times(1).with(Fault::Lost);
    sdk_at(&third).used("a", 5);
    wait_for("the count", || (fake.counted(ENVIRONMENT, "a") > 0).then_some(()));
    first.pause();
    let before = fake.counted(ENVIRONMENT, "a");
    drop(first);
    let second = leader(&fake, &redis, &[]);
    wait_for("the end of the batch", || (redis.cli::<u64>(&["XLEN", STREAM]) == 0).then_some(()));
    sdk_at(&third).used("b", 1);
    arrives(&fake, "b", 1);
    let counted = fake.counted(ENVIRONMENT, "a");
    let bound = before + uncertain(&[second.sdk, third.sdk]);
    assert!((before..=bound).contains(&counted), "{counted}, at most {bound}");
}

#[test]
fn a_hand_over_under_load_counts_exactly() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let first = process(&options(&fake, &redis, &["--shutdown-grace=5s"]));
    has_role(first.address(), "LEADS");
    let second = start(&options(&fake, &redis, &[]));
    has_role(second.sdk, "STANDS_BY");
    wait_ready(second.sdk);
    let third = follower(&redis, &[]);
    let over = AtomicBool::new(false);
    let reported = std::thread::scope(|scope| {
        let reporting = [second.sdk, third.sdk].map(|relay| {
            let over = &over;
            scope.spawn(move || {
                let (sdk, mut sum) = (Sdk::connect(relay, KEY, ENVIRONMENT), 0);
                while !over.load(Ordering::SeqCst) {
                    sdk.used("a", 3);
                    sum += 3;
                    std::thread::park_timeout(Duration::from_millis(10));
                }
                sum
            })
        });
        std::thread::park_timeout(Duration::from_millis(500));
        assert!(first.stop().success());
        has_role(second.sdk, "LEADS");
        std::thread::park_timeout(Duration::from_millis(500));
        over.store(true, Ordering::SeqCst);
        reporting.into_iter().map(|thread| thread.join().unwrap()).sum::<i64>()
    });
    arrives(&fake, "a", reported);
    assert_eq!(uncertain(&[second.sdk, third.sdk]), 0);
}

#[test]
fn a_replica_that_was_killed_sends_nothing_twice() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let first = leader(&fake, &redis, &[]);
    let data = tempfile::tempdir().unwrap();
    let options = replica_options(&address(&redis), &[&format!("--data-dir={}", data.path().display())]);
    for (round, fault) in [Fault::Hang, Fault::status(429)].into_iter().enumerate() {
        let flag = format!("f{round}");
        let third = process(&options);
        let planted = fake.fail(Route::Metrics).with(fault);
        Sdk::connect(third.address(), KEY, ENVIRONMENT).used(&flag, 5);
        wait_for("an attempt", || (planted.hits() > 0).then_some(()));
        drop(third);
        fake.clear(&planted);
        // An attempt that hangs ends.
        fake.stop();
        fake.restart();
        let third = process(&options);
        arrives(&fake, &flag, 5);
        Sdk::connect(third.address(), KEY, ENVIRONMENT).used("after", 1);
        arrives(&fake, "after", i64::try_from(round).unwrap() + 1);
        arrives(&fake, &flag, 5);
    }
    assert_eq!(metric(first.sdk, "ff_relay_metrics_dropped_total"), 0.0);
}

/// While batches wait in Redis because upstream is away.
fn redis_loses_them(lose: impl FnOnce(&mut RedisServer)) {
    let (fake, mut redis) = (two_environments(), RedisServer::start(&[]));
    let first = leader(&fake, &redis, &[]);
    let third = follower(&redis, &[]);
    fake.stop();
    let sdk = sdk_at(&third);
    sdk.used("a", 5);
    wait_for("a batch in Redis", || (redis.cli::<u64>(&["XLEN", STREAM]) == 1).then_some(()));
    lose(&mut redis);
    sdk.used("b", 6);
    fake.restart();
    arrives(&fake, "a", 5);
    arrives(&fake, "b", 6);
    wait_for("an empty stream", || (redis.cli::<u64>(&["XLEN", STREAM]) == 0).then_some(()));
    has_role(first.sdk, "LEADS");
    sdk.used("c", 7);
    arrives(&fake, "c", 7);
    arrives(&fake, "a", 5);
}

#[test]
fn a_flush_loses_nothing() {
    redis_loses_them(|redis| redis.cli::<()>(&["FLUSHALL"]));
}

#[test]
fn a_redis_without_its_data_loses_nothing() {
    redis_loses_them(|redis| redis.restart(Data::Dropped));
}

#[test]
fn a_restarted_redis_loses_nothing() {
    redis_loses_them(|redis| redis.restart(Data::Kept));
}

#[test]
fn a_paused_redis_loses_nothing() {
    redis_loses_them(|redis| {
        redis.pause();
        std::thread::park_timeout(Duration::from_secs(4));
        redis.resume();
    });
}

/// The primary knows what it sent, so that it need not send it again when Redis asks for it once more.
#[test]
fn what_redis_forgot_that_it_was_sent_is_not_sent_again() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let first = leader(&fake, &redis, &[]);
    let third = follower(&redis, &[]);
    let slow = fake.fail(Route::Metrics).with(Fault::Delay(Duration::from_millis(1500)));
    sdk_at(&third).used("a", 5);
    wait_for("an attempt", || (slow.hits() > 0).then_some(()));
    // While it is under way: its sender puts it in once more.
    redis.cli::<()>(&["FLUSHALL"]);
    wait_for("the batch again", || (redis.cli::<u64>(&["XLEN", STREAM]) == 1).then_some(()));
    fake.clear(&slow);
    wait_for("its end", || (redis.cli::<u64>(&["XLEN", STREAM]) == 0).then_some(()));
    sdk_at(&third).used("b", 1);
    arrives(&fake, "b", 1);
    arrives(&fake, "a", 5);
    assert_eq!(uncertain(&[first.sdk]), 0);
}

/// What a relay that led read and never sent, another relay finds while it leads.
#[test]
fn entries_that_nobody_has_in_hand_are_found() {
    let (fake, redis) = (two_environments(), RedisServer::start(&[]));
    let _first = leader(&fake, &redis, &[]);
    let third = follower(&redis, &[]);
    sdk_at(&third).used("first", 1);
    arrives(&fake, "first", 1);
    // As a leader of before that wakes up and reads once more, then sees that it does not lead.
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let _: redis::Value =
                    redis.cli(&["XREADGROUP", "GROUP", "primaries", "primary", "COUNT", "10", "STREAMS", STREAM, ">"]);
            }
        });
        for _ in 0..20 {
            sdk_at(&third).used("a", 1);
            std::thread::park_timeout(Duration::from_millis(120));
        }
        stop.store(true, Ordering::SeqCst);
    });
    wait_within(Duration::from_secs(40), "all of them", || (fake.counted(ENVIRONMENT, "a") >= 20).then_some(()));
    arrives(&fake, "a", 20);
}
