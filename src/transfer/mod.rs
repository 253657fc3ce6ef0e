//! How states of environments travel between relays: revisions, ledgers and
//! updates as messages, and messages as what snapshots are made of.

mod reading;
pub mod sealing;
mod update;
mod writing;

pub use reading::{FromMessage, revision_of};
pub use update::{Assembled, Update};
pub use writing::{update_for, write_item_key, write_revision, write_served};

/// Bytes of a chunk.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes of an update's payload that a follower takes: an archive inflates to
/// as much.
pub const MAX_UPDATE_BYTES: u64 = 1024 * 1024 * 1024;
