//! Harness as the source: every environment kept equal to upstream, whatever
//! the network does (`upstream.md`).
//!
//! A [`Session`](session) per key holds the token. Each environment has a
//! [`Feed`](feed): an [`Assembly`](assembly) of what was fetched, a
//! [`Schedule`](schedule) of what is needed next, its [`Progress`](progress).
//! [Workers](worker) fetch, [streams](stream) listen, and the one
//! [intake task](intake_task) swaps what comes of it into the store.

mod answers;
pub mod api_keys;
mod assembly;
mod backoff;
mod call_error;
pub mod calls;
mod calm;
pub mod carrier;
mod claims;
pub mod client;
mod credential;
pub mod engine;
mod feed;
pub mod intake_task;
mod key_list;
mod key_lists;
mod message;
pub mod one_shot;
mod progress;
mod proxy_config;
mod proxy_environments;
pub mod proxy_key;
pub mod roster;
mod schedule;
mod session;
mod sse;
mod stream;
mod targets;
mod token;
mod worker;

pub use credential::{proxy_credential, sdk_credential};
