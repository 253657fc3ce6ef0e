//! Redis as source and as the place that relays share (`redis.md`).
//!
//! [`member`] is the one task that goes from role to role. [`truth`] is what
//! our relays read and write, [`mirror`] the Go proxies' layout beside it,
//! [`bus`] what relays tell each other, [`lease`] who may write.

pub mod ack;
pub mod bus;
pub mod decide;
pub mod go_cache;
pub mod keeper;
pub mod keys;
pub mod lease;
pub mod link;
pub mod member;
pub mod mirror;
pub mod own_source;
pub mod probe;
pub mod reader;
pub mod secrets;
pub mod targets;
pub mod truth;
pub mod usage;

/// Under what content that came from Redis is stored.
pub const CREDENTIAL: &str = "redis";
