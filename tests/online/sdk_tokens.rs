//! What upstream's token says of an environment stands in the tokens of its
//! SDKs; and a proxy key's relay is ready only with all of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::fake_harness::{ACCOUNT, Fault, PROJECT, Route};
use crate::setup::{one_environment, proxied, proxy_relay, relay, wait_ready};
use crate::support::client::{get, token};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY};
use crate::support::wait_for;

fn claims(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[test]
fn name_what_an_api_key_leads_to() {
    let fake = one_environment();
    let relay = relay(&fake, &[]);
    let claims = claims(&token(relay.sdk, KEY));
    assert_eq!(claims["environment"], ENVIRONMENT);
    assert_eq!(claims["accountID"], ACCOUNT);
    assert_eq!(claims["projectIdentifier"], PROJECT);
    assert_ne!(claims["environmentIdentifier"], ENVIRONMENT);
}

#[test]
fn name_the_account_of_a_proxy_key() {
    let fake = proxied();
    let relay = proxy_relay(&fake, &[]);
    wait_ready(relay.sdk);
    assert_eq!(claims(&token(relay.sdk, OTHER_KEY))["accountID"], ACCOUNT);
}

#[test]
fn a_relay_with_a_part_of_its_environments_is_not_ready() {
    let fake = proxied();
    for number in 0..20 {
        fake.add_environment(&format!("more-{number:02}"), &format!("more-key-{number:02}"));
    }
    let second = fake.fail(Route::ProxyConfig).when(|request| request.query("pageNumber") == Some("1"));
    let second = second.with(Fault::status(500));
    let relay = proxy_relay(&fake, &[]);
    wait_for("the first page", || {
        let health = get(relay.sdk, "/health", &[]).ok();
        health["environments"].as_array()?.iter().any(|each| each["sequence"].is_number()).then_some(())
    });
    assert_eq!(get(relay.sdk, "/readyz", &[]).status, 503);
    fake.clear(&second);
    wait_ready(relay.sdk);
    assert_eq!(claims(&token(relay.sdk, OTHER_KEY))["environment"], OTHER);
}
