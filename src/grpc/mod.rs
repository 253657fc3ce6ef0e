//! The admin and snapshot API: its own listener, its own credentials, the
//! error table shared with HTTP (`grpc.md`).

pub mod access;
pub mod admin;
pub mod archives;
pub mod byte_range;
pub mod download;
pub mod export;
pub mod inspect;
pub mod page;
pub mod server;
pub mod snapshot;
pub mod spool;
pub mod status;
pub mod transfer;
pub mod usage;
