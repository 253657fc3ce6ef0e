//! Harness by HTTPS: certificates of the operator's own authority, and proxies that are asked to connect.

use crate::fake_harness::{FakeHarness, Route};
use crate::setup::{Sdk, health, one_environment, relay, start, turn_off};
use crate::support::client::get;
use crate::support::configuration::{ENVIRONMENT, KEY};
use crate::support::wait_for;
use crate::tls_front::{ConnectProxy, TlsFront};

/// The fake's options with other base URLs.
fn through(fake: &FakeHarness, base: &str) -> Vec<String> {
    fake.api_key_options(&[KEY]).into_iter().map(|option| option.replace(&fake.url(), base)).collect()
}

#[test]
fn a_ca_bundle_makes_it_trusted() {
    let fake = one_environment();
    let front = TlsFront::to(fake.address(), &["localhost"]);
    let bundle = format!("--ca-bundle={}", front.ca_bundle().display());
    let base = format!("https://localhost:{}", front.address.port());
    let relay = start(&through(&fake, &base), &[&bundle]);
    let sdk = Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    let mut events = sdk.stream();
    fake.wait_for_streams(1);
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    while events.next().unwrap()["version"] != 2 {}
}

#[test]
fn without_it_nothing_is_sent() {
    let fake = one_environment();
    let front = TlsFront::to(fake.address(), &["localhost"]);
    let relay = start(&through(&fake, &format!("https://localhost:{}", front.address.port())), &[]);
    wait_for("two attempts", || (front.refused() >= 2).then_some(()));
    assert!(fake.all_requests().is_empty());
    assert_eq!(get(relay.sdk, "/readyz", &[]).status, 503);
    assert!(!health(relay.sdk).to_string().contains(KEY));
}

#[test]
fn a_certificate_for_another_name_is_not_trusted() {
    let fake = one_environment();
    let front = TlsFront::to(fake.address(), &["another.invalid"]);
    let bundle = format!("--ca-bundle={}", front.ca_bundle().display());
    let _relay = start(&through(&fake, &format!("https://localhost:{}", front.address.port())), &[&bundle]);
    wait_for("two attempts", || (front.refused() >= 2).then_some(()));
    assert!(fake.all_requests().is_empty());
}

/// Behind a proxy names are not even looked up here.
#[test]
fn a_proxy_is_asked_to_connect() {
    let fake = one_environment();
    let front = TlsFront::to(fake.address(), &["harness.invalid"]);
    let proxy = ConnectProxy::to(front.address);
    let bundle = format!("--ca-bundle={}", front.ca_bundle().display());
    let option = format!("--https-proxy=http://{}", proxy.address);
    let relay = start(&through(&fake, "https://harness.invalid"), &[&bundle, &option]);
    assert_eq!(Sdk::connect(relay.sdk, KEY, ENVIRONMENT).version("a"), 1);
    assert!(proxy.asked().iter().all(|target| target == "harness.invalid:443"), "{:?}", proxy.asked());
    assert!(fake.requests(Route::Flags)[0].path.starts_with("/sdk/api/1.0/"));
}

#[test]
fn plain_ones_do_not_use_the_proxy_for_https() {
    let fake = one_environment();
    let relay = relay(&fake, &["--https-proxy=http://127.0.0.1:9"]);
    assert_eq!(Sdk::connect(relay.sdk, KEY, ENVIRONMENT).version("a"), 1);
}
