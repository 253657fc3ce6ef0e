//! The admin and snapshot API: its own listener, its own credentials, the
//! error table shared with HTTP (`grpc.md`).

pub mod access;
pub mod admin;
pub mod archives;
pub mod audit;
pub mod boundary;
pub mod byte_range;
pub mod call;
mod call_body;
pub mod download;
pub mod export;
pub mod import;
pub mod import_report;
pub mod inspect;
mod listener;
mod mend;
pub mod page;
pub mod peer;
pub mod plain;
pub mod reflection;
pub mod sending;
pub mod server;
pub mod snapshot;
pub mod spool;
pub mod status;
pub mod sync;
pub mod usage;
