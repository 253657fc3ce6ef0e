//! One environment, compiled: immutable, shared between requests.

mod affected;
mod build;
mod references;
mod segment_order;

use std::sync::Arc;

pub(super) use self::segment_order::{OrderedComponent, SegmentOrder};

use super::compile::{CompileError, CompileOptions, Source};
use super::compiled::{CompiledFlag, CompiledSegment};
use super::evaluator::Evaluator;
use super::slots::{Kind, Slot, Slots, at};
use super::warning::Warning;
use crate::model::Target;

/// An environment's flags and segments in the form that is evaluated.
///
/// Immutable, `Send` and `Sync`; meant to be shared in an `Arc`.
#[derive(Debug)]
pub struct CompiledEnvironment {
    pub(super) slots: Arc<Slots>,
    options: CompileOptions,
    /// By slot; a slot that is only referred to, or whose flag is gone, is empty.
    flags: Box<[Option<Arc<CompiledFlag>>]>,
    /// The slots of the flags that exist, sorted by identifier.
    flags_by_identifier: Box<[Slot]>,
    segments: Box<[Option<Arc<CompiledSegment>>]>,
    pub(super) segment_order: SegmentOrder,
}

impl CompiledEnvironment {
    /// Compiles an environment.
    ///
    /// `previous` is the environment's compiled form before this change: of every flag and
    /// segment whose digest is equal the compiled form is used again, without parsing anything.
    /// The result is the same as without it. Of sources with the same identifier the last counts.
    ///
    /// The warnings are all that the environment gives rise to, sorted, also those of parts that
    /// did not change.
    ///
    /// # Errors
    ///
    /// A flag or segment has the wrong shape. Everything else that is odd is a warning.
    pub fn compile(
        flags: &[Source<'_>],
        segments: &[Source<'_>],
        previous: Option<&Self>,
        options: &CompileOptions,
    ) -> Result<(Self, Vec<Warning>), CompileError> {
        build::build(flags, segments, previous, options)
    }

    /// The evaluation of one request: what is known about the target is computed at most once.
    #[must_use]
    pub fn evaluator<'a>(&'a self, target: &'a Target) -> Evaluator<'a> {
        Evaluator::new(self, target)
    }

    /// How many flags there are.
    #[must_use]
    pub fn flag_count(&self) -> usize {
        self.flags_by_identifier.len()
    }

    /// The identifiers of all flags, sorted by their bytes.
    pub fn flag_identifiers(&self) -> impl Iterator<Item = &str> {
        self.flags().map(|flag| &*flag.origin.identifier)
    }

    /// Whether both environments hold the very same compiled form of a flag.
    #[doc(hidden)]
    #[must_use]
    pub fn shares_flag(&self, other: &Self, identifier: &str) -> bool {
        let of = |environment: &Self| environment.flag_named(identifier).map(std::ptr::from_ref);
        of(self).is_some() && of(self) == of(other)
    }

    /// Whether both environments hold the very same compiled form of a segment.
    #[doc(hidden)]
    #[must_use]
    pub fn shares_segment(&self, other: &Self, identifier: &str) -> bool {
        let of = |environment: &Self| {
            let slot = environment.slots.find(Kind::Segment, identifier)?;
            environment.segment(slot).map(std::ptr::from_ref)
        };
        of(self).is_some() && of(self) == of(other)
    }

    /// How many slots there are, used ones and others.
    #[doc(hidden)]
    #[must_use]
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn flag(&self, slot: Slot) -> Option<&CompiledFlag> {
        self.flags.get(at(slot))?.as_deref()
    }

    pub(super) fn flag_named(&self, identifier: &str) -> Option<&CompiledFlag> {
        self.flag(self.slots.find(Kind::Flag, identifier)?)
    }

    /// Every flag, sorted by identifier.
    pub(super) fn flags(&self) -> impl Iterator<Item = &CompiledFlag> {
        self.flags_by_identifier.iter().filter_map(|&slot| self.flag(slot))
    }

    pub(super) fn segment(&self, slot: Slot) -> Option<&CompiledSegment> {
        self.segments.get(at(slot))?.as_deref()
    }

    fn segments(&self) -> impl Iterator<Item = &CompiledSegment> {
        self.segments.iter().filter_map(Option::as_deref)
    }
}
