//! Configurations on their way between relays: imports, exports, following.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/chaos_proxy.rs"]
mod chaos_proxy;
#[path = "../support/place.rs"]
mod place;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/relay_process.rs"]
mod relay_process;
#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../relay/support/mod.rs"]
mod support;

mod archives;
mod moving_sdk;
mod sending;
mod unchanged;

mod between_sources;
mod broken_archives;
mod broken_frames;
mod damaged_words;
mod following;
mod following_tls;
mod full_disk;
mod importing;
mod random_following;
mod updates;
