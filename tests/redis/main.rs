//! What the relay keeps in Redis, with real servers: one module per
//! behaviour.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test may fail, and counts are whole numbers"
)]

#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/chaos_proxy.rs"]
mod chaos_proxy;
#[path = "../support/fake_harness/mod.rs"]
mod fake_harness;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/redis_cluster.rs"]
mod redis_cluster;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/redis_sentinel.rs"]
mod redis_sentinel;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/redis_server.rs"]
mod redis_server;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/relay_process.rs"]
mod relay_process;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../online/reports.rs"]
mod reports;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../online/setup.rs"]
mod setup;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../relay/support/mod.rs"]
mod support;

#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../transfer/archives.rs"]
mod archives;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../transfer/sending.rs"]
mod sending;

mod fleet;
mod go_contents;

mod connections;
mod fleets;
mod go_proxies;
mod imports;
mod lost_pieces;
mod many_environments;
mod old_states;
mod options;
mod random_fleet;
mod roles;
mod sharing;
mod topologies;
mod trouble;
mod usage_beside_go;
mod usage_sharing;
mod usage_trouble;
mod writes;
