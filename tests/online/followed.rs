//! A relay that follows one which is fed by Harness: the same configuration, and the truth about outages.

use crate::chaos_proxy::ChaosProxy;
use crate::fake_harness::FakeHarness;
use crate::place::Place;
use crate::setup::{Sdk, authenticate, health, health_of, one_environment, turn_off, wait_ready};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean};
use crate::support::wait_for;
use crate::usage::SOON;

/// A leader, its follower, and that one's own.
pub fn chain(fake: &FakeHarness, keys: &[&str]) -> Vec<Place> {
    let mut options = fake.api_key_options(keys);
    options.push(SOON.to_owned());
    let first = Place::head(&options);
    wait_ready(first.sdk);
    let second = Place::behind(first.grpc, &[SOON]);
    let third = Place::behind(second.grpc, &[SOON]);
    let places = vec![first, second, third];
    places.iter().for_each(|place| wait_ready(place.sdk));
    places
}

pub fn link(place: &Place) -> &ChaosProxy {
    place.link.as_ref().unwrap()
}

fn is_stale(place: &Place) -> bool {
    health_of(place.sdk, ENVIRONMENT)["stale"] == true
}

#[test]
fn changes_in_harness_reach_sdks_of_followers() {
    let fake = one_environment();
    let places = chain(&fake, &[KEY]);
    fake.wait_for_streams(1);
    let sdks: Vec<Sdk> = places.iter().map(|place| Sdk::connect(place.sdk, KEY, ENVIRONMENT)).collect();
    let mut events: Vec<_> = sdks.iter().map(Sdk::stream).collect();
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    events.iter_mut().for_each(|events| assert_eq!(events.next_short(), "patch flag a"));
    sdks.iter().for_each(|sdk| assert_eq!(sdk.flag("a").ok()["state"], "off"));
    fake.create_flag(ENVIRONMENT, boolean("b", true, 1));
    events.iter_mut().for_each(|events| assert_eq!(events.next_short(), "create flag b"));
    fake.delete_flag(ENVIRONMENT, "a");
    events.iter_mut().for_each(|events| assert_eq!(events.next_short(), "delete flag a"));
    sdks.iter().for_each(|sdk| assert_eq!(sdk.flag("a").status, 404));
}

#[test]
fn an_outage_of_harness_shows_at_followers_and_refuses_no_key_for_good() {
    let fake = one_environment();
    let places = chain(&fake, &[KEY]);
    fake.wait_for_streams(1);
    let last = &places[2];
    wait_for("certain keys", || (authenticate(last.sdk, "nobody's key").status == 401).then_some(()));
    assert!(!is_stale(last));
    let sdk = Sdk::connect(last.sdk, KEY, ENVIRONMENT);

    fake.stop();
    for place in &places {
        wait_for("the outage to show", || is_stale(place).then_some(()));
        assert_eq!(health(place.sdk)["configStatus"]["state"], "STALE");
    }
    // Harness may have made the key a moment ago.
    assert_eq!(authenticate(last.sdk, "perhaps a new key").status, 500);
    assert_eq!(sdk.version("a"), 1, "what was served is served");
    Sdk::connect(last.sdk, KEY, ENVIRONMENT);

    fake.restart();
    for place in &places {
        wait_for("the end of the outage to show", || (!is_stale(place)).then_some(()));
    }
    wait_for("certain keys", || (authenticate(last.sdk, "nobody's key").status == 401).then_some(()));
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    sdk.wait_for_version("a", 2);
}

#[test]
fn an_environment_that_harness_adds_to_a_proxy_key_comes_to_followers() {
    let fake = crate::setup::proxied();
    let first = Place::head(&fake.proxy_key_options(crate::setup::PROXY_KEY));
    wait_ready(first.sdk);
    let second = Place::behind::<&str>(first.grpc, &[]);
    wait_ready(second.sdk);
    let other = Sdk::connect(second.sdk, OTHER_KEY, OTHER);
    assert_eq!(other.version("b"), 1);
    fake.add_environment("third", "the third one's key");
    fake.create_flag("third", boolean("c", true, 1));
    wait_for("the third environment", || (authenticate(second.sdk, "the third one's key").status == 200).then_some(()));
    let third = Sdk::connect(second.sdk, "the third one's key", "third");
    third.wait_for_version("c", 1);
}
