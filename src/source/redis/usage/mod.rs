//! SDK metrics between relays that share a Redis.
//!
//! Whoever does not lead puts a batch into a stream under its id and keeps
//! it until the leader says that upstream has it. The leader reads with a
//! consumer group, carries each batch upstream as it is, and then notes that
//! it is done. So the stream may be lost at any time: the sender puts it in
//! once more, and an id that is there already is not added again.

pub mod carrier;
mod desk;
mod from_go;
pub mod go;
mod group;
pub mod receiver;
mod refused;
pub mod waiting;
