//! Stable numbers for names.
//!
//! Compiled flags and segments refer to each other and to attributes by slot, not by position in
//! a list. A slot keeps its name from one environment to the next, so that an unchanged flag's
//! compiled form stays right while others come and go.

use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};

use hashbrown::DefaultHashBuilder;
use hashbrown::hash_table::HashTable;

/// Kept with the slots: sets compiled earlier must agree with it.
pub(super) type Hasher = DefaultHashBuilder;

/// Seeded once per process: environments share sets.
static HASHER: LazyLock<Hasher> = LazyLock::new(Hasher::default);

/// The slot of a flag, a segment or an attribute, whichever names it comes from.
pub(super) type Slot = u32;

/// Names and their slots. Slots are given out in order and never taken back.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    slots: HashTable<Slot>,
    names: Vec<Arc<str>>,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    #[inline]
    pub(super) fn name(&self, slot: Slot) -> &str {
        self.names.get(at(slot)).map_or("", |name| name)
    }

    fn find(&self, name: &str, hash: u64) -> Option<Slot> {
        self.slots.find(hash, |&slot| self.name(slot) == name).copied()
    }

    fn add(&mut self, name: &str, hash: u64, hasher: &Hasher) -> Slot {
        // More than four billion names do not fit in memory; the last slot is never used.
        let slot = Slot::try_from(self.names.len()).unwrap_or(Slot::MAX);
        self.names.push(Arc::from(name));
        let names = &self.names;
        self.slots
            .insert_unique(hash, slot, |&slot| hasher.hash_one(names.get(at(slot)).map_or("", |name| name.as_ref())));
        slot
    }
}

/// A slot as an index.
#[inline]
pub(super) fn at(slot: Slot) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

/// Which names a slot belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Attribute,
    Flag,
    Segment,
}

/// The three sets of names of an environment.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    pub(super) hasher: Hasher,
    pub(super) attributes: Names,
    pub(super) flags: Names,
    pub(super) segments: Names,
}

/// The attribute `identifier`: the target's field, and where buckets fall back to.
pub(super) const IDENTIFIER: Slot = 0;
/// The attribute `name`: the target's field.
pub(super) const NAME: Slot = 1;

impl Default for Slots {
    fn default() -> Self {
        let hasher = HASHER.clone();
        let mut attributes = Names::default();
        for name in ["identifier", "name"] {
            attributes.add(name, hasher.hash_one(name), &hasher);
        }
        Self { hasher, attributes, flags: Names::default(), segments: Names::default() }
    }
}

impl Slots {
    fn names(&self, kind: Kind) -> &Names {
        match kind {
            Kind::Attribute => &self.attributes,
            Kind::Flag => &self.flags,
            Kind::Segment => &self.segments,
        }
    }

    pub(super) fn find(&self, kind: Kind, name: &str) -> Option<Slot> {
        self.names(kind).find(name, self.hasher.hash_one(name))
    }

    /// The slot of `name`, a new one if it has none. Copies the names only when they are shared
    /// and a new one comes.
    pub(super) fn intern(this: &mut Arc<Self>, kind: Kind, name: &str) -> Slot {
        let hash = this.hasher.hash_one(name);
        if let Some(slot) = this.names(kind).find(name, hash) {
            return slot;
        }
        let slots = Arc::make_mut(this);
        let names = match kind {
            Kind::Attribute => &mut slots.attributes,
            Kind::Flag => &mut slots.flags,
            Kind::Segment => &mut slots.segments,
        };
        names.add(name, hash, &slots.hasher)
    }

    pub(super) fn len(&self) -> usize {
        self.attributes.len() + self.flags.len() + self.segments.len()
    }
}
