//! Names under which a credential's snapshots are stored: they tell one from
//! the other, and nothing of the key.

use std::sync::Arc;

use crate::config::Secret;
use crate::snapshot::item::Digest;

/// The name of an SDK key.
#[must_use]
pub fn sdk_credential(key: &Secret) -> Arc<str> {
    named("api-key", key)
}

/// The name of a proxy key.
#[must_use]
pub fn proxy_credential(key: &Secret) -> Arc<str> {
    named("proxy-key", key)
}

/// Not the plain hash of the key: that one is what SDKs are known by.
fn named(kind: &str, key: &Secret) -> Arc<str> {
    let digest = Digest::of(format!("ff-relay snapshot {kind}\0{}", key.expose()).as_bytes()).to_string();
    Arc::from(format!("{kind}-{}", digest.get(..16).unwrap_or_default()))
}
