//! A set of texts that is looked up by a hash computed elsewhere.

use std::hash::BuildHasher;

use hashbrown::hash_table::HashTable;

use super::slots::Hasher;

/// Texts in one allocation, found by hash: a look-up costs the same for one text or a million.
///
/// The hash must come from the hasher that the set was built with: the environment's slots keep it.
#[derive(Debug, Default)]
pub(super) struct TextSet {
    joined: Box<str>,
    spans: HashTable<(usize, usize)>,
}

impl TextSet {
    pub(super) fn new<'t>(texts: impl Iterator<Item = &'t str> + Clone, hasher: &Hasher) -> Self {
        let mut joined = String::with_capacity(texts.clone().map(str::len).sum());
        let mut spans = HashTable::with_capacity(texts.clone().count());
        for text in texts {
            let hash = hasher.hash_one(text);
            if spans.find(hash, |&span| slice(&joined, span) == text).is_some() {
                continue;
            }
            let span = (joined.len(), text.len());
            joined.push_str(text);
            spans.insert_unique(hash, span, |&span| hasher.hash_one(slice(&joined, span)));
        }
        Self { joined: joined.into_boxed_str(), spans }
    }

    pub(super) fn contains(&self, text: &str, hash: u64) -> bool {
        self.spans.find(hash, |&span| slice(&self.joined, span) == text).is_some()
    }
}

fn slice(joined: &str, (start, length): (usize, usize)) -> &str {
    joined.get(start..start + length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_was_put_in_and_nothing_else() {
        let hasher = Hasher::default();
        let set = TextSet::new(["a", "ab", "", "a", "é"].into_iter(), &hasher);
        for (text, has) in [("a", true), ("ab", true), ("", true), ("é", true), ("b", false), ("aab", false)] {
            assert_eq!(set.contains(text, hasher.hash_one(text)), has, "{text}");
        }
        assert!(!TextSet::default().contains("a", 1));
    }
}
