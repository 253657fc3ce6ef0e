//! The admin and snapshot API: its own listener, its own credentials, the
//! error table shared with HTTP (`grpc.md`).

pub mod access;
pub mod admin;
pub mod audit;
pub mod boundary;
pub mod call;
mod call_body;
pub mod inspect;
mod listener;
mod mend;
pub mod page;
pub mod peer;
pub mod plain;
pub mod reflection;
pub mod server;
pub mod snapshot;
pub mod status;
pub mod sync;
pub mod usage;
