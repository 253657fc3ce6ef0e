//! The relay against a stand-in for Harness: one module per behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "../support/fake_harness/mod.rs"]
mod fake_harness;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../relay/support/mod.rs"]
mod support;

mod fake_harness_itself;
