//! Single operations, each alone: evaluation, snapshots, bodies, digests,
//! tokens, events, archives.
//!
//! `cargo bench --bench micro -- [filter]`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

#[allow(dead_code, reason = "each benchmark uses a part of it")]
#[path = "workload/data.rs"]
mod data;

#[path = "micro/archives.rs"]
mod archives;
#[path = "micro/evaluation.rs"]
mod evaluation;
#[path = "micro/snapshots.rs"]
mod snapshots;
#[path = "micro/tokens.rs"]
mod tokens;

fn main() {
    divan::main();
}
