//! Connections go through a proxy where one is configured.

use crate::fake_harness::Route;
use crate::setup::{Sdk, one_environment, start};
use crate::support::configuration::{ENVIRONMENT, KEY};

#[test]
fn is_used_for_hosts_that_are_not_excepted() {
    let fake = one_environment();
    // The fake takes requests for any host, as a proxy gets them.
    let elsewhere = |option: String| option.replace(&fake.url(), "http://harness.invalid");
    let options: Vec<String> = fake.api_key_options(&[KEY]).into_iter().map(elsewhere).collect();
    let proxy = format!("--http-proxy={}", fake.url());
    let relay = start(&options, &[&proxy, "--no-proxy=other.invalid"]);
    assert_eq!(Sdk::connect(relay.sdk, KEY, ENVIRONMENT).version("a"), 1);
    assert_eq!(fake.requests(Route::Flags)[0].header("host"), Some("harness.invalid"));
}

#[test]
fn is_not_used_for_excepted_ones() {
    let fake = one_environment();
    let relay = start(&fake.api_key_options(&[KEY]), &["--http-proxy=http://127.0.0.1:9", "--no-proxy=127.0.0.1"]);
    assert_eq!(Sdk::connect(relay.sdk, KEY, ENVIRONMENT).version("a"), 1);
}
