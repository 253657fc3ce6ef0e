//! The relay against a stand-in for Harness: one module per behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/chaos_proxy.rs"]
mod chaos_proxy;
#[path = "../support/fake_harness/mod.rs"]
mod fake_harness;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/place.rs"]
mod place;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/relay_process.rs"]
mod relay_process;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../relay/support/mod.rs"]
mod support;
#[path = "../support/tls_front.rs"]
mod tls_front;

mod follower;
mod followers_keys;
mod reports;
mod setup;

mod bad_answers;
mod bursts;
mod expired_tokens;
mod fake_harness_itself;
mod followed;
mod full_disk;
mod generate;
mod health_report;
mod keys;
mod lagging_upstream;
mod long_waits;
mod lost_streams;
mod many_keys;
mod odd_messages;
mod outbound_proxy;
mod proxy_key;
mod proxy_key_trouble;
mod random;
mod sdk_tokens;
mod secrets;
mod single_changes;
mod start_order;
mod target_registration;
mod throttled;
mod upstream_tls;
mod usage;
mod usage_of_followers;
mod usage_over_crashes;
mod versions;
mod withdrawal;
