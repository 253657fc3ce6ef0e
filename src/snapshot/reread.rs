//! Items by the bytes that they were read from: what stands in a file again
//! is not parsed again.

use std::collections::HashMap;
use std::sync::Arc;

use super::item::{Digest, Item, ItemKind};

/// Lists of fewer items are parsed faster than looked up.
const WORTH_REMEMBERING: usize = 256;

/// The items of one reading.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    items: Arc<HashMap<(ItemKind, Digest), Arc<Item>>>,
}

impl Remembered {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// An item, and what it was read from.
#[derive(Clone, Debug)]
pub struct Known {
    /// `None` where it is not worth remembering.
    name: Option<(ItemKind, Digest)>,
    pub item: Arc<Item>,
}

impl Known {
    /// An item of a list of so many.
    #[must_use]
    pub fn new(item: Arc<Item>, raw: &str, of: usize) -> Self {
        let name = (of >= WORTH_REMEMBERING).then(|| (item.key.kind, Digest::of(raw.as_bytes())));
        Known { name, item }
    }
}

/// One reading: what the one before it knew, and what the next will know.
#[derive(Debug, Default)]
pub struct Reading<'a> {
    before: Option<&'a Remembered>,
    now: Remembered,
}

impl<'a> Reading<'a> {
    #[must_use]
    pub fn after(before: Option<&'a Remembered>) -> Self {
        Reading { before: before.filter(|before| !before.items.is_empty()), now: Remembered::default() }
    }

    /// The item that was read from the same bytes; it is known next time, too.
    #[must_use]
    pub fn known(&self, kind: ItemKind, raw: &str) -> Option<Known> {
        let name = (kind, Digest::of(raw.as_bytes()));
        let item = self.before?.items.get(&name)?;
        Some(Known { name: Some(name), item: Arc::clone(item) })
    }

    /// True where the bytes of items are worth a look before they are parsed.
    #[must_use]
    pub fn knows_any(&self) -> bool {
        self.before.is_some()
    }

    /// Remembers the items of a list.
    pub fn remember(&mut self, list: Vec<Known>) {
        Arc::make_mut(&mut self.now.items).extend(list.into_iter().filter_map(|known| Some((known.name?, known.item))));
    }

    /// What the next reading will know.
    #[must_use]
    pub fn end(self) -> Remembered {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::tree::{Part, SourceFile, SourceFiles, read_environment, read_environment_again};

    fn files(flags: &[String]) -> SourceFiles {
        let bytes = format!("[{}]", flags.join(" ,\n")).into_bytes();
        SourceFiles::from([(Part::Flags, SourceFile { name: "f".into(), bytes })])
    }

    #[test]
    fn what_stands_there_again_is_the_same_allocation() {
        let flag =
            |n, text: &str| format!("{{\"feature\": \"f{n:03}\", \"x\": \"{text}\", \"y\": [{{\"}}\": \"\\\"{{\"}}]}}");
        let mut flags: Vec<String> = (0..300).map(|n| flag(n, "}")).collect();
        let mut reading = Reading::default();
        let before = read_environment_again(&files(&flags), &mut reading).unwrap();
        let remembered = reading.end();
        flags[7] = flag(7, "other");
        flags.remove(9);
        let mut reading = Reading::after(Some(&remembered));
        let after = read_environment_again(&files(&flags), &mut reading).unwrap();
        assert_eq!(after.digest(), read_environment(&files(&flags)).unwrap().digest());
        let kept = after.flags.iter().filter(|item| before.flags.iter().any(|old| Arc::ptr_eq(old, item))).count();
        assert_eq!(kept, 298);
        assert_eq!(reading.end().items.len(), 299);
        flags[3].pop();
        let broken = read_environment_again(&files(&flags), &mut Reading::after(Some(&remembered)));
        assert_eq!(broken.unwrap_err().to_string(), read_environment(&files(&flags)).unwrap_err().to_string());
    }
}
