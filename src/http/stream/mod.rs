//! SDK streams: server-sent events from the difference of snapshots.
//!
//! A stream has no queue: it holds its place in the environment's change log
//! and takes the newest state of each item when its socket can be written.

pub mod answers;
pub mod body;
pub mod cursor;
pub mod feed;
pub mod memory;
pub mod open;
pub mod pace;
pub mod registry;
pub mod replay;
pub mod target;
pub mod writer;
