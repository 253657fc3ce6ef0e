//! SDK keys at a relay that follows one which has Harness.

use crate::setup::{authenticate, followed, one_environment, wait_ready};
use crate::support::relay::TestRelay;

/// A leader reads the key lists again before it refuses a key; its followers
/// must not refuse on its last reading.
#[test]
fn a_new_key_is_not_refused_by_a_follower() {
    let fake = one_environment();
    let (leader, _sdk) = followed(&fake, &["--grpc-sync-tokens=sync-token"]);
    let address = format!("--peer-address={}", leader.grpc.unwrap());
    let tail = TestRelay::start(&["--peer-token=sync-token", &address]).unwrap();
    wait_ready(tail.sdk);
    assert_eq!(authenticate(tail.sdk, "nobody's").status, 401, "the follower is certain");
    fake.add_key(crate::support::configuration::ENVIRONMENT, "fresh", "Client");
    let status = authenticate(tail.sdk, "fresh").status;
    assert_ne!(status, 401, "for good, and the key is good");
}
