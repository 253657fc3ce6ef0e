//! The target's attributes: texts, their hashes, and the buckets they fall into.

use std::hash::BuildHasher;

use serde_json::Value;

use super::Walk;
use super::scratch::Text;
use crate::evaluate::bucket::bucket;
use crate::evaluate::slots::{IDENTIFIER, NAME, Slot};

impl Walk<'_, '_> {
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
        let known = self.scratch.attribute(attribute).and_then(|known| known.hash);
        let hash = known.unwrap_or_else(|| {
            let hasher = &self.environment.slots.hasher;
            let hash = hasher.hash_one(self.text(attribute));
            if let Some(known) = self.scratch.attribute(attribute) {
                known.hash = Some(hash);
            }
            hash
        });
        (self.text(attribute), hash)
    }

    fn kept_text(&mut self, attribute: Slot) -> &str {
        let known = self.scratch.attribute(attribute).map_or(Text::Missing, |known| known.text);
        let text = match known {
            Text::Unknown => self.find_text(attribute),
            known => known,
        };
        match text {
            Text::Unknown | Text::Missing => "",
            Text::InTarget(position) => self.target.attributes.at(position).and_then(Value::as_str).unwrap_or_default(),
            Text::Written { start, end } => self.scratch.written(start, end),
        }
    }

    fn find_text(&mut self, attribute: Slot) -> Text {
        let attributes = &self.target.attributes;
        let position = match self.environment.slots.attributes.name(attribute) {
            // Not an attribute, even where the target has one of that name.
            "" => None,
            name => attributes.position(name),
        };
        let text = match position.map(|position| (position, attributes.at(position))) {
            None | Some((_, None)) => Text::Missing,
            Some((position, Some(Value::String(_)))) => Text::InTarget(position),
            Some((_, Some(value))) => self.scratch.write(value),
        };
        if let Some(known) = self.scratch.attribute(attribute) {
            known.text = text;
        }
        text
    }

    /// The hash of the target's identifier.
    pub(super) fn identifier_hash(&mut self) -> u64 {
        let (target, hasher) = (self.target, &self.environment.slots.hasher);
        *self.scratch.identifier_hash.get_or_insert_with(|| hasher.hash_one(target.identifier.as_str()))
    }

    /// The target's bucket by an attribute, 1 to 100; 0 when it is in none.
    pub(super) fn bucket(&mut self, bucket_by: Slot) -> u8 {
        if let Some(bucket) = self.scratch.attribute(bucket_by).and_then(|known| known.bucket) {
            return bucket;
        }
        let (environment, target) = (self.environment, self.target);
        let found = match self.text(bucket_by) {
            // The identifier stands in, as the attribute's name too.
            "" if target.identifier.is_empty() => 0,
            "" => bucket("identifier", &target.identifier),
            text => bucket(environment.slots.attributes.name(bucket_by), text),
        };
        if let Some(known) = self.scratch.attribute(bucket_by) {
            known.bucket = Some(found);
        }
        found
    }
}
