//! Which features exist: the one place that changes when one is built.

use super::super::option_spec::Status;

/// Anything with Redis.
pub(super) const REDIS: Status = Status::NotYet("sharing configuration through Redis");
