//! Upstream says that something changed, and for a while answers as if it had not.

use serde_json::json;

use crate::fake_harness::Route;
use crate::setup::{followed, one_environment, segment, turn_off};
use crate::support::configuration::{ENVIRONMENT, boolean};
use crate::support::wait_for;

#[test]
fn an_item_older_than_its_message_is_fetched_again() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.lag(ENVIRONMENT, Route::Flag, 2);
    fake.lag(ENVIRONMENT, Route::Segment, 1);
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    fake.patch_segment(ENVIRONMENT, "s", |_| ());
    assert_eq!(events.take_sorted(2), ["patch flag a", "patch target-segment s"]);
    assert_eq!((sdk.version("a"), sdk.segments()["s"]["version"].clone()), (2, json!(2)));
}

#[test]
fn a_created_item_may_be_unknown_at_first() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.lag(ENVIRONMENT, Route::Flag, 2);
    fake.create_flag(ENVIRONMENT, boolean("b", true, 1));
    assert_eq!(events.next_short(), "create flag b");
    fake.lag(ENVIRONMENT, Route::Segment, 2);
    fake.create_segment(ENVIRONMENT, segment("t", 1));
    assert_eq!(events.next_short(), "create target-segment t");
}

#[test]
fn a_list_older_than_what_is_known_takes_nothing_back() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.lag(ENVIRONMENT, Route::Flags, 1);
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    assert_eq!(events.next().unwrap()["version"], 2);
    fake.forget_requests();
    fake.close_streams();
    fake.wait_for_count(Route::Flags, 1);
    wait_for("a second look at the flag", || (fake.count(Route::Flag) + fake.count(Route::Flags) > 1).then_some(()));
    fake.wait_for_streams(1);
    fake.patch_segment(ENVIRONMENT, "s", |_| ());
    assert_eq!(events.next_short(), "patch target-segment s", "nothing was said about the flag");
    assert_eq!((sdk.version("a"), sdk.flag("a").ok()["state"].clone()), (2, json!("off")));
}

/// The single route never gets it right: the list is fetched in the end.
pub fn the_environment_is_fetched_in_the_end() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.lag(ENVIRONMENT, Route::Flag, 10_000);
    fake.patch_flag(ENVIRONMENT, "a", turn_off);
    assert_eq!(events.next_short(), "patch flag a");
    fake.create_flag(ENVIRONMENT, boolean("b", true, 1));
    assert_eq!(events.next_short(), "create flag b");
    let asked = fake.count(Route::Flag);
    assert!(asked <= 20, "{asked} requests for two items");
}

/// An item may be gone again before it could be fetched: nothing is retried for ever.
pub fn a_message_about_what_is_gone_is_given_up() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    fake.forget_requests();
    let message = json!({"event": "create", "domain": "flag", "identifier": "ghost", "version": 1});
    fake.send_message(ENVIRONMENT, &message);
    fake.wait_for_count(Route::Flags, 1);
    let asked = fake.count(Route::Flag);
    assert!(asked <= 10, "{asked} requests for an item that is not there");
    std::thread::sleep(std::time::Duration::from_secs(12));
    assert_eq!((fake.count(Route::Flag), sdk.flags().len()), (asked, 1), "and no more after the resync");
}
