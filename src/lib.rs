//! ff-relay: a relay proxy for Harness Feature Flags.
//!
//! Two one-way flows that meet only in [`app`]: configuration goes from a
//! [`source`] into the [`store`] and out by [`http`] and [`grpc`]; usage
//! comes in by [`http`] and goes to [`usage`].
//!
//! ```text
//! main → app, cli → { http, grpc, source } → store → snapshot → evaluate → model
//! ```
//!
//! A [`snapshot`] is everything that is served for one environment,
//! immutable and ready to be sent; the store swaps snapshots atomically, and
//! what changed is always the difference of two of them.

pub mod app;
pub mod cli;
pub mod config;
pub mod evaluate;
pub mod fault;
pub mod grpc;
pub mod http;
pub mod lifecycle;
pub mod model;
pub mod proto;
pub mod snapshot;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod transfer;
pub mod usage;
