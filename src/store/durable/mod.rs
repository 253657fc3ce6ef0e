//! What must outlive the process (`data-dir`): the made secret, epochs,
//! ledgers, stored targets, snapshots. One format, atomic, checksummed, for
//! the owner's eyes only, one process at a time.

pub mod directory;
pub mod environment;
pub mod log;
pub mod paused;
pub mod persister;
pub mod record;
pub mod secrets;
pub mod staging;
pub mod targets;

pub use directory::DataDir;

/// Why something durable could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DurableError {
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
    #[error("{path}: {what}")]
    Corrupt { path: String, what: String },
    #[error("{path} is used by another process; give each relay a data-dir of its own")]
    Locked { path: String },
}
