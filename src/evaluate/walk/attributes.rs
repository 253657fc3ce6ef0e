//! The target's attributes: texts, their hashes, and the buckets they fall into.

use std::hash::BuildHasher;

use super::Walk;
use crate::evaluate::bucket::bucket;
use crate::evaluate::slots::{IDENTIFIER, NAME, Slot};

impl Walk<'_> {
    /// An attribute's text; `""` when the target has no such attribute.
    pub(super) fn text(&mut self, attribute: Slot) -> &str {
        match attribute {
            IDENTIFIER => &self.target.identifier,
            NAME => &self.target.name,
            _ => self.kept_text(attribute),
        }
    }

    /// An attribute's text and its hash.
    pub(super) fn hashed_text(&mut self, attribute: Slot) -> (&str, u64) {
        let known = self.scratch.get().attribute(attribute).and_then(|known| known.hash);
        let hash = known.unwrap_or_else(|| {
            let hasher = &self.environment.slots.hasher;
            let hash = hasher.hash_one(self.text(attribute));
            if let Some(known) = self.scratch.get().attribute(attribute) {
                known.hash = Some(hash);
            }
            hash
        });
        (self.text(attribute), hash)
    }

    fn kept_text(&mut self, attribute: Slot) -> &str {
        let scratch = self.scratch.get();
        let known = scratch.attribute(attribute).and_then(|known| known.text);
        let span = known.unwrap_or_else(|| {
            let value = match self.environment.slots.attributes.name(attribute) {
                // Not an attribute, even where the target has one of that name.
                "" => None,
                name => self.target.attributes.get(name),
            };
            scratch.keep(attribute, value)
        });
        scratch.text(span)
    }

    /// The hash of the target's identifier.
    pub(super) fn identifier_hash(&mut self) -> u64 {
        let (target, hasher) = (self.target, &self.environment.slots.hasher);
        *self.identifier_hash.get_or_insert_with(|| hasher.hash_one(target.identifier.as_str()))
    }

    /// The target's bucket by an attribute, 1 to 100; 0 when it is in none.
    pub(super) fn bucket(&mut self, bucket_by: Slot) -> u8 {
        if let Some(bucket) = self.scratch.get().attribute(bucket_by).and_then(|known| known.bucket) {
            return bucket;
        }
        let (environment, target) = (self.environment, self.target);
        let found = match self.text(bucket_by) {
            // The identifier stands in, as the attribute's name too.
            "" if target.identifier.is_empty() => 0,
            "" => bucket("identifier", &target.identifier),
            text => bucket(environment.slots.attributes.name(bucket_by), text),
        };
        if let Some(known) = self.scratch.get().attribute(bucket_by) {
            known.bucket = Some(found);
        }
        found
    }
}
