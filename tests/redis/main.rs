//! What the relay keeps in Redis, with real servers: one module per
//! behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/redis_cluster.rs"]
mod redis_cluster;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/redis_sentinel.rs"]
mod redis_sentinel;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/redis_server.rs"]
mod redis_server;

mod connections;
mod options;
mod topologies;
