//! Redis as source and as the place that relays share (`redis.md`).

pub mod keys;
pub mod link;
