//! What an evaluation finds out, in memory that outlives it.
//!
//! A thread keeps one scratch. A row counts only if its stamp is the evaluation's own, so that to
//! begin one clears nothing, and a flag that is asked alone costs what it looks at.

use std::cell::Cell;

use serde_json::Value;

use super::flag::Served;
use super::held::Held;
use super::prerequisites::Met;
use crate::evaluate::environment::CompiledEnvironment;
use crate::evaluate::explanation::SegmentOutcome;
use crate::evaluate::slots::{Slot, at};
use crate::evaluate::text::write_attribute_text;

/// Texts of attributes take at most so much while nobody evaluates.
const TEXTS_KEPT: usize = 64 << 10;

/// Rows by slot, as far as an environment had so many.
#[derive(Debug, Default)]
pub(in crate::evaluate) struct Scratch {
    /// The current evaluation's; 0 is never one.
    stamp: u32,
    /// Of the target's identifier.
    pub(super) identifier_hash: Option<u64>,
    attributes: Vec<Row<Attribute>>,
    memberships: Vec<Row<SegmentOutcome>>,
    served: Vec<Row<Served>>,
    met: Vec<Row<Met>>,
    pub(super) held: Held,
    /// The attributes' texts, one behind the other.
    texts: String,
    pub(super) ordered_segments_done: bool,
    /// Prerequisites being checked: each flag and the next of its list. Empty between walks.
    pub(super) path: Vec<(Slot, usize)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Row<T> {
    stamp: u32,
    known: T,
}

/// What is known of an attribute: its text, and what was computed from that.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attribute {
    pub(super) text: Text,
    pub(super) hash: Option<u64>,
    pub(super) bucket: Option<u8>,
}

/// Where an attribute's text stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Text {
    #[default]
    Unknown,
    /// The target has no such attribute.
    Missing,
    /// Among the target's attributes, where it is a string.
    InTarget(usize),
    /// Among the texts that were written for this evaluation.
    Written { start: usize, end: usize },
}

impl Scratch {
    fn begin(&mut self, environment: &CompiledEnvironment) {
        let slots = &environment.slots;
        grow(&mut self.attributes, slots.attributes.len());
        grow(&mut self.memberships, slots.segments.len());
        grow(&mut self.served, slots.flags.len());
        grow(&mut self.met, slots.flags.len());
        self.identifier_hash = None;
        self.texts.clear();
        self.path.clear();
        self.ordered_segments_done = false;
        self.held.begin();
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            // Stamps of four billion evaluations ago would look like this one's.
            self.attributes.fill(Row::default());
            self.memberships.fill(Row::default());
            self.served.fill(Row::default());
            self.met.fill(Row::default());
            self.held.clear();
            self.stamp = 1;
        }
    }

    /// The current evaluation's; never 0.
    #[inline]
    pub(super) fn stamp(&self) -> u32 {
        self.stamp
    }

    /// What is known of an attribute; nothing at first.
    #[inline]
    pub(super) fn attribute(&mut self, slot: Slot) -> Option<&mut Attribute> {
        let row = self.attributes.get_mut(at(slot))?;
        if row.stamp != self.stamp {
            *row = Row { stamp: self.stamp, known: Attribute::default() };
        }
        Some(&mut row.known)
    }

    /// What a segment says of the target, once that was found out.
    #[inline]
    pub(super) fn membership(&self, slot: Slot) -> Option<SegmentOutcome> {
        known(&self.memberships, self.stamp, slot)
    }

    #[inline]
    pub(super) fn set_membership(&mut self, slot: Slot, outcome: SegmentOutcome) {
        set(&mut self.memberships, self.stamp, slot, outcome);
    }

    /// What a flag serves by itself, once that was found out.
    #[inline]
    pub(super) fn served(&self, slot: Slot) -> Option<Served> {
        known(&self.served, self.stamp, slot)
    }

    #[inline]
    pub(super) fn set_served(&mut self, slot: Slot, served: Served) {
        set(&mut self.served, self.stamp, slot, served);
    }

    /// How far a flag's prerequisites were checked.
    #[inline]
    pub(super) fn met(&self, slot: Slot) -> Met {
        known(&self.met, self.stamp, slot).unwrap_or_default()
    }

    #[inline]
    pub(super) fn set_met(&mut self, slot: Slot, met: Met) {
        set(&mut self.met, self.stamp, slot, met);
    }

    /// Writes the text of a value that is no string.
    pub(super) fn write(&mut self, value: &Value) -> Text {
        let start = self.texts.len();
        write_attribute_text(value, &mut self.texts);
        Text::Written { start, end: self.texts.len() }
    }

    #[inline]
    pub(super) fn written(&self, start: usize, end: usize) -> &str {
        self.texts.get(start..end).unwrap_or_default()
    }
}

fn grow<T: Clone + Default>(rows: &mut Vec<Row<T>>, slots: usize) {
    if rows.len() < slots {
        rows.resize(slots, Row::default());
    }
}

#[inline]
fn known<T: Copy>(rows: &[Row<T>], stamp: u32, slot: Slot) -> Option<T> {
    rows.get(at(slot)).filter(|row| row.stamp == stamp).map(|row| row.known)
}

#[inline]
fn set<T>(rows: &mut [Row<T>], stamp: u32, slot: Slot, known: T) {
    if let Some(row) = rows.get_mut(at(slot)) {
        *row = Row { stamp, known };
    }
}

thread_local! {
    /// Empty while an evaluation has it.
    static KEPT: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// The thread's scratch for as long as one evaluation; a new one where an evaluation runs inside
/// another.
#[derive(Debug)]
pub(in crate::evaluate) struct Kept(Option<Box<Scratch>>);

impl Kept {
    pub(in crate::evaluate) fn for_evaluation_in(environment: &CompiledEnvironment) -> Self {
        let mut kept = Self(KEPT.try_with(Cell::take).unwrap_or_default());
        kept.get().begin(environment);
        kept
    }

    pub(in crate::evaluate) fn get(&mut self) -> &mut Scratch {
        self.0.get_or_insert_default()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut scratch = self.0.take();
        if let Some(scratch) = scratch.as_mut().filter(|scratch| scratch.texts.capacity() > TEXTS_KEPT) {
            scratch.texts = String::new();
        }
        // A thread that ends keeps nothing.
        let _ = KEPT.try_with(|kept| kept.set(scratch));
    }
}
