//! The admin and snapshot API: its own listener, its own credentials, the
//! error table shared with HTTP (`grpc.md`).

pub mod access;
pub mod admin;
pub mod inspect;
pub mod page;
pub mod server;
pub mod snapshot;
pub mod status;
pub mod sync;
pub mod usage;
