//! Many messages at once cost a handful of fetches.

use serde_json::json;

use crate::fake_harness::{FakeHarness, Route};
use crate::setup::{followed, one_environment, turn_off};
use crate::support::configuration::{ENVIRONMENT, boolean};
use crate::support::wait_for;

fn fetches(fake: &FakeHarness) -> usize {
    [Route::Flag, Route::Flags, Route::Segment, Route::Segments].into_iter().map(|route| fake.count(route)).sum()
}

#[test]
fn ten_thousand_messages_about_one_flag() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    fake.forget_requests();
    fake.silently(|| fake.patch_flag(ENVIRONMENT, "a", |_| ()));
    let message = json!({"event": "patch", "domain": "flag", "identifier": "a", "version": 2});
    for _ in 0..10_000 {
        fake.send_message(ENVIRONMENT, &message);
    }
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    sdk.wait_for_version("a", 3);
    assert!(fetches(&fake) <= 20, "{} fetches", fetches(&fake));
}

#[test]
fn ten_thousand_messages_about_a_thousand_flags() {
    let fake = one_environment();
    for number in 0..1_000 {
        fake.create_flag(ENVIRONMENT, boolean(&format!("f{number}"), true, 1));
    }
    let (_relay, sdk) = followed(&fake, &[]);
    fake.forget_requests();
    for _ in 0..10 {
        for number in 0..1_000 {
            fake.patch_flag(ENVIRONMENT, &format!("f{number}"), |_| ());
        }
    }
    wait_for("the newest of each", || {
        (sdk.flags().values().filter(|flag| flag["version"] == 11).count() == 1_000).then_some(())
    });
    assert!(fetches(&fake) <= 20, "{} fetches", fetches(&fake));
}
