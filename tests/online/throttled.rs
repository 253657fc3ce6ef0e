//! `Retry-After` is honoured.

use std::time::Duration;

use crate::fake_harness::{FakeHarness, Fault, Route};
use crate::setup::{Sdk, all_at_once, followed, one_environment, relay, turn_off};
use crate::support::configuration::{ENVIRONMENT, KEY};

/// The time between the throttled request and the next of its kind.
fn pause(fake: &FakeHarness, route: Route, status: u16) -> Duration {
    let requests = fake.requests(route);
    let throttled = requests.iter().position(|request| request.status == Some(status)).unwrap();
    requests[throttled + 1].at - requests[throttled].at
}

fn at_start(route: Route, status: u16) {
    let fake = one_environment();
    let answer = Fault::Answer(status, vec![("Retry-After".into(), "2".into())], Vec::new());
    fake.fail(route).times(1).with(answer);
    let relay = relay(&fake, &[]);
    Sdk::connect(relay.sdk, KEY, ENVIRONMENT);
    fake.wait_for_count(route, 2);
    let pause = pause(&fake, route, status);
    assert!(pause >= Duration::from_millis(1_900), "{route:?}: came again after {pause:?}");
    assert!(pause <= Duration::from_secs(15), "{route:?}: came again after {pause:?}");
}

fn on_one_item() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    fake.fail(Route::Flag).times(1).with(Fault::too_many(2));
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    sdk.wait_for_version("a", 2);
    let asked = fake.requests(Route::Flag).into_iter().chain(fake.requests(Route::Flags));
    let times: Vec<_> = asked.map(|request| request.at).collect();
    let throttled = fake.requests(Route::Flag)[0].at;
    let next = times.into_iter().filter(|at| *at > throttled).min().unwrap();
    assert!(next - throttled >= Duration::from_millis(1_900), "came again after {:?}", next - throttled);
}

#[test]
fn on_every_route() {
    all_at_once(&[
        ("throttled authentication", || at_start(Route::Auth, 429)),
        ("throttled flags", || at_start(Route::Flags, 429)),
        ("unavailable flags", || at_start(Route::Flags, 503)),
        ("throttled segments", || at_start(Route::Segments, 429)),
        ("throttled keys", || at_start(Route::ApiKeys, 429)),
        ("throttled stream", || at_start(Route::Stream, 429)),
        ("a throttled item", on_one_item),
    ]);
}
