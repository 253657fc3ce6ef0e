//! Which SDK keys a mirror knows.
//!
//! The `auth-key-…` keys decide, with v1 and with v2: the Go proxies let an
//! SDK in by them alone, and v2 writes and deletes them *before* it touches
//! `…-api-configs`, its own list for cleaning up. So where the two differ the
//! list is the older one: it lacks a new key, or still has a withdrawn one.
//! In the recorded contents they are the same.

use std::collections::BTreeSet;

use super::Found;
use crate::model::json::Json;
use crate::snapshot::content::KeyHash;
use crate::snapshot::item::Digest;
use crate::source::redis::keys::go::AUTH_KEY_PREFIX;

/// The key hashes, and a sentence if `…-api-configs` says otherwise.
pub(super) fn read(found: &Found, problems: &mut Vec<String>) -> Vec<KeyHash> {
    let known: BTreeSet<KeyHash> = found.auth_keys.iter().copied().collect();
    match found.api_configs.as_deref().map(listed) {
        Some(None) => {
            problems.push("the list of SDK keys (api-configs) cannot be read; the auth-key keys are used".into())
        }
        Some(Some(listed)) if listed != known => problems.push(format!(
            "the list of SDK keys (api-configs) has {} keys and {} auth-key keys lead here; the auth-key keys are used",
            listed.len(),
            known.len()
        )),
        None | Some(Some(_)) => {}
    }
    known.into_iter().collect()
}

fn listed(text: &[u8]) -> Option<BTreeSet<KeyHash>> {
    let json = Json::parse(std::str::from_utf8(text).ok()?).ok()?;
    let hash = |name: &Json<'_>| Digest::from_hex(name.as_str()?.strip_prefix(AUTH_KEY_PREFIX)?);
    match &json {
        Json::Null => Some(BTreeSet::new()),
        json => json.as_array()?.iter().map(hash).collect(),
    }
}
