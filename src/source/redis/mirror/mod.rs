//! The Go proxies' layout: read what they stored, plan what they are to find
//! (`redis.md`). Pure: no Redis, no clock.
//!
//! What is written differs from the source's text ([`Item::text`]) in two
//! ways only (`stored`): `version` is the served one, because nothing
//! travels beside the mirror that could say it and SDKs go from relay to Go
//! proxy and back; and `rules` are filled where the offline directory fills
//! them. So what is read back has the digest of what was written only where
//! the served version is the source's.
//!
//! [`Item::text`]: crate::snapshot::item::Item::text

mod drift;
mod event;
mod keys;
mod plan;
mod read;
mod repair;
mod rules;
mod stored;

use std::collections::BTreeMap;

use crate::snapshot::content::KeyHash;

pub use event::{Event, parse_event};
pub use plan::{Plan, Write, plan, removal};
pub use read::{Read, read};
pub use repair::repair;

/// What was found in Redis of one environment, texts as stored.
#[derive(Default, Clone, Debug)]
pub struct Found {
    pub flags: FoundKind,
    pub segments: FoundKind,
    /// The single target keys, by the identifier in the key's name.
    pub targets: BTreeMap<String, Vec<u8>>,
    pub api_configs: Option<Vec<u8>>,
    /// The `auth-key-…` keys that hold this environment's id.
    pub auth_keys: Vec<KeyHash>,
}

/// Flags or segments as they were found.
#[derive(Default, Clone, Debug)]
pub struct FoundKind {
    pub list: Option<Vec<u8>>,
    /// A JSON string: the SHA-256 of the list's text.
    pub latest: Option<Vec<u8>>,
    /// The single keys, by the identifier in the key's name.
    pub singles: BTreeMap<String, Vec<u8>>,
}

/// Which program's layout it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Go proxy v1: lists and single keys, nothing else.
    V1,
    /// Go proxy v2, and the mirror of a relay.
    V2,
}

impl Found {
    /// v1 knows neither `…-latest` nor `…-api-configs`.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let newer = self.flags.latest.is_some() || self.segments.latest.is_some() || self.api_configs.is_some();
        if newer { Layout::V2 } else { Layout::V1 }
    }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod properties;
