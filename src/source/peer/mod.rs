//! Another relay as source: this one follows it (`grpc.md`, "Following
//! another relay").
//!
//! ```text
//! leader ── updates ──▶ session ── jobs ──▶ intake ──▶ StoreWriter
//!   ▲                      │ acks
//!   └──────────────────────┘
//! ```

pub mod apply;
pub mod carrier;
pub mod channel;
pub mod fetch;
pub mod follower;
pub mod incoming;
pub mod known;
pub mod session;
pub mod standing;

/// Under what a follower's content is stored: leaders of one set are
/// interchangeable.
pub const CREDENTIAL: &str = "peer";
