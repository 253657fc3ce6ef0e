//! Keys and tokens go to Harness and nowhere else: not to other hosts, not into anything that the relay says.

use std::ffi::{OsStr, OsString};

use crate::fake_harness::{ADMIN_TOKEN, FakeHarness, Fault, Route};
use crate::relay_process::RelayProcess;
use crate::setup::{PROXY_KEY, Sdk, proxied, relay_for, two_environments, wait_ready};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER_KEY};
use crate::support::wait_for;

fn nothing_leaks(fake: &FakeHarness, options: Vec<String>, listing: Route) {
    let fixed = [
        "--listen-address=127.0.0.1",
        "--grpc-address=off",
        "--log-level=DEBUG",
        "--request-timeout=500ms",
        "--flag-poll-interval=100ms",
    ];
    let arguments: Vec<OsString> = options.into_iter().chain(fixed.map(str::to_owned)).map(OsString::from).collect();
    let relay = RelayProcess::start(OsStr::new(env!("CARGO_BIN_EXE_ff-relay")), &arguments);
    fake.fail(Route::Stream).with(Fault::status(401));
    fake.reset_streams();
    for fault in [Fault::status(500), Fault::status(401), Fault::Truncated, Fault::Reset(0), Fault::Hang, Fault::html()]
    {
        let shown = format!("{fault:?}");
        let planted = fake.fail(listing).times(1).with(fault);
        wait_for(&shown, || (planted.hits() == 1).then_some(()));
    }
    fake.stop();
    wait_for("stale data", || relay.get("/health").ok()?.body.contains("\"stale\":true").then_some(()));
    let said = [
        relay.log(),
        relay.get("/health").unwrap().body,
        relay.get("/metrics").unwrap().body,
        relay.get("/readyz").unwrap().body,
    ];
    let tokens = fake.all_requests().into_iter().filter_map(|request| request.bearer().map(str::to_owned));
    let keys = [KEY, OTHER_KEY, PROXY_KEY, ADMIN_TOKEN].map(str::to_owned);
    for secret in keys.into_iter().chain(tokens) {
        for text in &said {
            assert!(!text.contains(&secret), "{secret} stands in {text}");
        }
    }
}

#[test]
fn with_api_keys() {
    let fake = two_environments();
    let options = fake.api_key_options(&[KEY, OTHER_KEY]);
    nothing_leaks(&fake, options, Route::Flags);
    assert!(fake.count_in(ENVIRONMENT, Route::Flags) > 0);
}

/// The proxy key stands in a URL, so every error text about that URL is in danger.
#[test]
fn with_a_proxy_key() {
    let fake = proxied();
    fake.fail(Route::ProxyConfig).times(2).with(Fault::Truncated);
    let options = fake.proxy_key_options(PROXY_KEY);
    nothing_leaks(&fake, options, Route::ProxyConfig);
}

/// A gateway that sends people to its sign-in page: what is sent there must not hold what is meant for Harness.
#[test]
fn redirects_do_not_carry_them_away() {
    let elsewhere = two_environments();
    for route in [Route::Auth, Route::ApiKeys, Route::Flags, Route::Segments, Route::Stream] {
        let fake = two_environments();
        let location = format!("{}/elsewhere", elsewhere.url());
        for status in [302, 307] {
            let answer = Fault::Answer(status, vec![("Location".into(), location.clone())], Vec::new());
            fake.fail(route).times(1).with(answer);
        }
        let relay = relay_for(&fake, &[KEY], &["--flag-poll-interval=200ms"]);
        wait_ready(relay.sdk);
        assert_eq!(Sdk::connect(relay.sdk, KEY, ENVIRONMENT).version("a"), 1);
        fake.wait_for_streams(1);
    }
    for request in elsewhere.all_requests() {
        let shown = format!("{:?} {:?} {}", request.headers, request.query, String::from_utf8_lossy(&request.body));
        for secret in [KEY, ADMIN_TOKEN, "Bearer"] {
            assert!(!shown.contains(secret), "{secret} went elsewhere: {shown}");
        }
    }
}
