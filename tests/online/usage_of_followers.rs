//! What SDKs report to followers is counted in Harness as if they had reported it to the leader: each evaluation once.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use crate::chaos_proxy::ChaosProxy;
use crate::fake_harness::{Request, Route};
use crate::followed::{chain, link};
use crate::setup::{Sdk, metric, one_environment, two_environments, wait_ready};
use crate::support::client::post;
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY};
use crate::support::wait_for;
use crate::usage::arrives;

#[test]
fn every_evaluation_is_counted_once_wherever_it_was_reported() {
    let fake = one_environment();
    let places = chain(&fake, &[KEY]);
    for (place, count) in places.iter().zip([1, 20, 300]) {
        Sdk::connect(place.sdk, KEY, ENVIRONMENT).used("a", count);
    }
    arrives(&fake, "a", 321);
    let bodies = fake.metrics(ENVIRONMENT);
    assert!(bodies.iter().all(|received| received.rows().iter().all(|row| row["metricsType"] == "FFMETRICS")));
}

#[test]
fn a_leader_that_is_away_costs_nothing() {
    let fake = one_environment();
    let places = chain(&fake, &[KEY]);
    let sdk = Sdk::connect(places[2].sdk, KEY, ENVIRONMENT);
    link(&places[1]).cut();
    (0..10).for_each(|_| sdk.used("a", 3));
    link(&places[2]).cut();
    (0..10).for_each(|_| sdk.used("a", 4));
    assert_eq!(fake.counted(ENVIRONMENT, "a"), 0);
    places[1..].iter().for_each(|place| link(place).restore());
    arrives(&fake, "a", 70);
}

/// A flag of its own for each report, so that what was lost or doubled shows by name.
#[test]
fn whatever_breaks_between_relays_nothing_is_lost_or_doubled() {
    const STEPS: usize = 150;
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let fake = two_environments();
    let mut places = chain(&fake, &[KEY, OTHER_KEY]);
    let mut reported: BTreeMap<(&str, String), i64> = BTreeMap::new();
    for step in 0..STEPS {
        match random.random_range(0..20) {
            0 | 1 => {
                let which = random.random_range(0..places.len());
                places[which].restart();
                wait_ready(places[which].sdk);
            }
            2..=4 => link(&places[random.random_range(1..3)]).cut(),
            5..=8 => places[1..].iter().for_each(|place| link(place).restore()),
            _ => {
                let place = &places[random.random_range(0..places.len())];
                let (environment, key) = if random.random_bool(0.5) { (ENVIRONMENT, KEY) } else { (OTHER, OTHER_KEY) };
                let (flag, count) = (format!("flag{}", step % 40), random.random_range(1..1000));
                Sdk::connect(place.sdk, key, environment).used(&flag, count);
                *reported.entry((environment, flag)).or_default() += count;
            }
        }
        thread::park_timeout(Duration::from_millis(random.random_range(0..150)));
    }
    places[1..].iter().for_each(|place| link(place).restore());
    let differing = || {
        let counted = reported
            .iter()
            .map(|((environment, flag), count)| (*environment, flag.clone(), *count, fake.counted(environment, flag)));
        counted.filter(|(_, _, reported, counted)| reported != counted).collect::<Vec<_>>()
    };
    wait_for("every count", || {
        let differing = differing();
        let doubled: Vec<_> = differing.iter().filter(|(_, _, reported, counted)| reported < counted).collect();
        assert!(doubled.is_empty(), "counted twice: {doubled:?}");
        differing.is_empty().then_some(())
    });
    // What comes now came too often.
    for place in &mut places {
        place.restart();
        wait_ready(place.sdk);
    }
    Sdk::connect(places[2].sdk, KEY, ENVIRONMENT).used("last", 1);
    arrives(&fake, "last", 1);
    assert_eq!(differing(), []);
    assert!(places.iter().all(|place| metric(place.sdk, "ff_relay_metrics_dropped_total") == 0.0));
}

fn registrations(fake: &crate::fake_harness::FakeHarness, target: &str) -> Vec<Request> {
    let all = fake.requests(Route::Auth).into_iter();
    all.filter(|request| request.json()["target"]["identifier"] == target).collect()
}

#[test]
fn targets_are_registered_with_the_leaders_key_and_keys_of_sdks_stay_where_they_are() {
    const CLIENT_KEY: &str = "a-key-that-only-the-sdk-and-its-relay-see";
    let fake = one_environment();
    fake.add_key(ENVIRONMENT, CLIENT_KEY, "Client");
    let places = chain(&fake, &[KEY]);
    let links: Vec<&ChaosProxy> = places[1..].iter().map(link).collect();
    // A connection from its beginning.
    links.iter().for_each(|link| {
        link.record();
        link.cut();
        link.restore();
    });
    let target = json!({"identifier": "pat-at-a-follower", "name": "Pat", "attributes": {"plan": "pro"}});
    let body = json!({"apiKey": CLIENT_KEY, "target": target}).to_string();
    wait_for("an authentication", || (post(places[2].sdk, "/client/auth", &[], &body).status == 200).then_some(()));
    let sdk = Sdk::connect(places[2].sdk, CLIENT_KEY, ENVIRONMENT);
    sdk.used("a-flag-of-the-follower", 5);
    let _stream = sdk.stream();
    arrives(&fake, "a-flag-of-the-follower", 5);
    let seen = wait_for("the registration", || registrations(&fake, "pat-at-a-follower").into_iter().next()).json();
    assert_eq!(seen["apiKey"], KEY);
    assert_eq!(seen["target"]["attributes"]["plan"], "pro");
    for link in links {
        assert!(link.has_carried("pat-at-a-follower") && link.has_carried("a-flag-of-the-follower"));
        assert!(!link.has_carried(CLIENT_KEY) && !link.has_carried(&sdk.authorization));
    }
    let all = fake.all_requests();
    assert!(!all.iter().any(|request| String::from_utf8_lossy(&request.body).contains(CLIENT_KEY)));
}
