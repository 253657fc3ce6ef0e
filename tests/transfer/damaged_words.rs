//! What is damaged on the link beside an update's payload: the list of
//! environments, and the head of an update.

use crate::following::revisions;
use crate::place::Place;
use crate::support::configuration::{Configuration, ENVIRONMENT, OTHER, OTHER_KEY, boolean, key_hash};
use crate::support::wait_for;

fn configuration() -> Configuration {
    let configuration = Configuration::with_flags(&[boolean("a", true, 1)]);
    configuration.write(OTHER, "auth_config.json", &serde_json::json!([key_hash(OTHER_KEY)]));
    configuration
}

fn head(configuration: &Configuration) -> Place {
    let source = format!("--config-dir={}", configuration.path().display());
    Place::head(&["--offline", &source, "--config-reload=true", "--config-reload-interval=100ms"])
}

fn wait_until_equal(head: &Place, follower: &Place) {
    let equal = || revisions(head.relay()) == revisions(follower.relay());
    wait_for("the follower to have what the leader has", || equal().then_some(()));
}

#[test]
fn a_damaged_list_of_environments_withdraws_nothing() {
    let configuration = configuration();
    let head = head(&configuration);
    let follower = Place::behind(head.grpc, &[] as &[&str]);
    wait_until_equal(&head, &follower);
    let link = follower.link.as_ref().unwrap();
    link.cut();
    link.spoil(OTHER);
    let before = link.connected();
    link.restore();
    wait_for("the list to be damaged", || link.has_spoilt().then_some(()));
    // The stream is given up at once, and another one tells it rightly.
    wait_for("a new stream", || {
        assert_eq!(revisions(head.relay()), revisions(follower.relay()));
        (link.connected() > before + 1).then_some(())
    });
}

#[test]
fn a_damaged_head_of_an_update_is_not_waited_for() {
    let configuration = configuration();
    let head = head(&configuration);
    let follower = Place::behind(head.grpc, &[] as &[&str]);
    wait_until_equal(&head, &follower);
    let link = follower.link.as_ref().unwrap();
    link.spoil(ENVIRONMENT);
    configuration.edit_flag("a", |flag| flag["state"] = serde_json::json!("off"));
    wait_for("the head to be damaged", || link.has_spoilt().then_some(()));
    wait_until_equal(&head, &follower);
}
