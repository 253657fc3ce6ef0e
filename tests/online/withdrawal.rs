//! What Harness has taken away stays away, also when the relay starts again while Harness cannot be asked.

use serde_json::json;

use crate::fake_harness::{FakeHarness, Route};
use crate::setup::{
    Sdk, authenticate, health_of, one_environment, proxied, proxy_relay, relay_for, settle, two_environments,
    wait_ready,
};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY, key_hash};
use crate::support::relay::TestRelay;
use crate::support::wait_for;

struct Place {
    fake: FakeHarness,
    option: String,
    _data: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        Place { fake: proxied(), option: format!("--data-dir={}", data.path().display()), _data: data }
    }

    fn relay(&self) -> TestRelay {
        proxy_relay(&self.fake, &[&self.option])
    }
}

#[test]
fn an_environment() {
    let place = Place::new();
    let relay = place.relay();
    settle(&place.fake, &relay);
    let other = Sdk::connect(relay.sdk, OTHER_KEY, OTHER);
    place.fake.remove_environment(OTHER);
    wait_for("a refusal", || (other.flag("b").status == 401).then_some(()));
    drop(relay);
    place.fake.stop();
    let relay = place.relay();
    wait_ready(relay.sdk);
    assert_eq!(authenticate(relay.sdk, KEY).status, 200);
    let other = Sdk { relay: relay.sdk, ..other };
    assert_ne!(other.flag("b").status, 200);
    assert!(health_of(relay.sdk, OTHER).is_null());
}

#[test]
fn a_key() {
    let place = Place::new();
    place.fake.add_key(ENVIRONMENT, "revoked", "Client");
    let relay = place.relay();
    settle(&place.fake, &relay);
    let revoked = Sdk::connect(relay.sdk, "revoked", ENVIRONMENT);
    place.fake.remove_key(ENVIRONMENT, "revoked");
    wait_for("a refusal", || (revoked.flag("a").status == 401).then_some(()));
    drop(relay);
    place.fake.stop();
    let relay = place.relay();
    wait_ready(relay.sdk);
    assert_eq!(authenticate(relay.sdk, KEY).status, 200);
    let revoked = Sdk { relay: relay.sdk, ..revoked };
    assert_ne!(revoked.flag("a").status, 200);
}

#[test]
fn everything_with_the_proxy_key() {
    let place = Place::new();
    let relay = place.relay();
    settle(&place.fake, &relay);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    place.fake.delete_proxy_key();
    wait_for("nothing served", || (sdk.flag("a").status != 200).then_some(()));
    drop(relay);
    place.fake.stop();
    let relay = place.relay();
    let sdk = Sdk { relay: relay.sdk, ..sdk };
    assert_ne!(sdk.flag("a").status, 200);
    assert!(health_of(relay.sdk, ENVIRONMENT).is_null());
}

#[test]
fn a_flag() {
    let fake = one_environment();
    let data = tempfile::tempdir().unwrap();
    let option = format!("--data-dir={}", data.path().display());
    let relay = relay_for(&fake, &[KEY], &[&option]);
    settle(&fake, &relay);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    fake.delete_flag(ENVIRONMENT, "a");
    wait_for("the deletion", || (sdk.flag("a").status == 404).then_some(()));
    drop(relay);
    fake.stop();
    let relay = relay_for(&fake, &[KEY], &[&option]);
    wait_ready(relay.sdk);
    assert_eq!(Sdk { relay: relay.sdk, ..sdk }.flag("a").status, 404);
}

/// Of a key that stands in two environments the first keeps it, whatever happens in the other.
#[test]
fn a_key_of_two_environments_stays_where_it_is() {
    let fake = two_environments();
    fake.add_key(ENVIRONMENT, "shared", "Client");
    let relay = relay_for(&fake, &[KEY, OTHER_KEY], &["--key-refresh-interval=1s"]);
    wait_ready(relay.sdk);
    let sdk = Sdk::connect(relay.sdk, "shared", ENVIRONMENT);
    assert_eq!(sdk.version("a"), 1);
    let looks = fake.count(Route::ApiKeys);
    fake.add_key_row(OTHER, json!({"identifier": "shared", "key": key_hash("shared"), "type": "Client"}));
    fake.wait_for_count(Route::ApiKeys, looks + 3);
    assert_eq!(Sdk::connect(relay.sdk, "shared", ENVIRONMENT).version("a"), 1);
}
