//! Which features exist: the one place that changes when one is built.

use super::super::option_spec::Status;

/// Following another relay.
pub(super) const PEERS: Status = Status::NotYet("following another relay");

/// Anything with Redis.
pub(super) const REDIS: Status = Status::NotYet("sharing configuration through Redis");
