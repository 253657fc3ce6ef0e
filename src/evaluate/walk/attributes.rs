//! The target's attributes: texts, their hashes, and the buckets they fall into.

use std::borrow::Cow;
use std::hash::BuildHasher;

use super::Walk;
use crate::evaluate::bucket::bucket;
use crate::evaluate::slots::{IDENTIFIER, NAME, Slot, at};
use crate::evaluate::text::attribute_text;

/// An attribute's text, and its hash once somebody asked for it.
#[derive(Debug)]
pub(super) struct AttributeText<'a> {
    text: Cow<'a, str>,
    hash: Option<u64>,
}

impl<'a> Walk<'a> {
    /// An attribute's text; `""` when the target has no such attribute.
    pub(super) fn text(&mut self, attribute: Slot) -> &str {
        self.attribute(attribute).map_or("", |attribute| &attribute.text)
    }

    /// An attribute's text and its hash.
    pub(super) fn hashed_text(&mut self, attribute: Slot) -> (&str, u64) {
        let hasher = &self.environment.slots.hasher;
        match self.attribute(attribute) {
            Some(AttributeText { text, hash }) => {
                let text: &str = text;
                (text, *hash.get_or_insert_with(|| hasher.hash_one(text)))
            }
            None => ("", hasher.hash_one("")),
        }
    }

    fn attribute(&mut self, slot: Slot) -> Option<&mut AttributeText<'a>> {
        let place = self.texts.get_mut(at(slot))?;
        if place.is_none() {
            let text = match slot {
                IDENTIFIER => Cow::Borrowed(self.target.identifier.as_str()),
                NAME => Cow::Borrowed(self.target.name.as_str()),
                _ => match self.environment.slots.attributes.name(slot) {
                    // Not an attribute, even where the target has one of that name.
                    "" => Cow::Borrowed(""),
                    name => self.target.attributes.get(name).map_or(Cow::Borrowed(""), attribute_text),
                },
            };
            *place = Some(AttributeText { text, hash: None });
        }
        place.as_mut()
    }

    /// The target's bucket by an attribute, 1 to 100; 0 when it is in none.
    pub(super) fn bucket(&mut self, bucket_by: Slot) -> u8 {
        if let Some(Some(bucket)) = self.buckets.get(at(bucket_by)) {
            return *bucket;
        }
        let (environment, target) = (self.environment, self.target);
        let found = match self.text(bucket_by) {
            // The identifier stands in, as the attribute's name too.
            "" if target.identifier.is_empty() => 0,
            "" => bucket("identifier", &target.identifier),
            text => bucket(environment.slots.attributes.name(bucket_by), text),
        };
        if let Some(place) = self.buckets.get_mut(at(bucket_by)) {
            *place = Some(found);
        }
        found
    }
}
