//! Harness as the source: every environment kept equal to upstream, whatever
//! the network does (`upstream.md`).
//!
//! A [`Session`](session) per key holds the token. Each environment has a
//! [`Feed`](feed): an [`Assembly`](assembly) of what was fetched, a
//! [`Schedule`](schedule) of what is needed next, its [`Progress`](progress).
//! [Workers](worker) fetch, [streams](stream) listen, and the one
//! intake task swaps what comes of it into the store.

pub mod answers;
pub mod api_keys;
pub mod assembly;
pub mod backoff;
pub mod call_error;
pub mod calls;
pub mod calm;
pub mod carrier;
pub mod claims;
pub mod client;
pub mod credential;
pub mod engine;
pub mod feed;
pub mod key_list;
pub mod key_lists;
pub mod message;
pub mod one_shot;
pub mod progress;
pub mod proxy_config;
pub mod proxy_environments;
pub mod proxy_key;
pub mod recipe;
pub mod roster;
pub mod schedule;
pub mod session;
pub mod sse;
pub mod stream;
pub mod swap;
pub mod targets;
pub mod token;
pub mod worker;

pub use credential::{proxy_credential, sdk_credential};
