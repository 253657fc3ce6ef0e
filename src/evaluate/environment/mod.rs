//! One environment, compiled: immutable, shared between requests.

mod affected;
mod build;
mod change;
mod references;
mod segment_order;

use std::sync::{Arc, OnceLock};

use self::affected::Users;
pub(super) use self::segment_order::{OrderedComponent, SegmentOrder};

use super::compile::{CompileError, CompileOptions, Source};
use super::compiled::{CompiledFlag, CompiledSegment, ExpressionCost};
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
    /// What stays as it is when flags change that refer to what they referred to.
    frame: Arc<Frame>,
    /// What regular expressions were charged: all of them, and the most that one part must find left.
    expressions: ExpressionCost,
}

/// How an environment's parts hang together.
#[derive(Debug)]
struct Frame {
    /// The slots of the flags that exist, sorted by identifier.
    flags_by_identifier: Box<[Slot]>,
    segments: Box<[Option<Arc<CompiledSegment>>]>,
    segment_order: SegmentOrder,
    /// Which flags and segments others refer to, by slot.
    used_flags: Box<[bool]>,
    used_segments: Box<[bool]>,
    /// Made by the first change of something that others refer to.
    users: OnceLock<Users>,
    /// See [`CompiledEnvironment::warnings`].
    warnings: Arc<[Warning]>,
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
        let environment = build::build(flags, segments, previous, options)?;
        let warnings = environment.warnings().to_vec();
        Ok((environment, warnings))
    }

    /// This environment with these flags, each of which it has, in a new form: what
    /// [`CompiledEnvironment::compile`] would give. `None` where that needs a look at all of it.
    ///
    /// # Errors
    ///
    /// A flag has the wrong shape.
    pub fn with_flags(&self, flags: &[Source<'_>], options: &CompileOptions) -> Result<Option<Self>, CompileError> {
        change::with_flags(self, flags, options)
    }

    /// All warnings that the environment gives rise to, sorted.
    #[must_use]
    pub fn warnings(&self) -> &Arc<[Warning]> {
        &self.frame.warnings
    }

    /// The order of segments that cannot be evaluated as they come.
    pub(super) fn segment_order(&self) -> &SegmentOrder {
        &self.frame.segment_order
    }

    /// The evaluation of one request: what is known about the target is computed at most once.
    #[must_use]
    pub fn evaluator<'a>(&'a self, target: &'a Target) -> Evaluator<'a> {
        Evaluator::new(self, target)
    }

    /// How many flags there are.
    #[must_use]
    pub fn flag_count(&self) -> usize {
        self.frame.flags_by_identifier.len()
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

    #[inline]
    pub(super) fn flag(&self, slot: Slot) -> Option<&CompiledFlag> {
        self.flags.get(at(slot))?.as_deref()
    }

    /// Whether a flag asks for this one.
    #[inline]
    pub(super) fn is_prerequisite(&self, flag: Slot) -> bool {
        self.frame.used_flags.get(at(flag)) == Some(&true)
    }

    pub(super) fn flag_named(&self, identifier: &str) -> Option<&CompiledFlag> {
        self.flag(self.slots.find(Kind::Flag, identifier)?)
    }

    /// Every flag, sorted by identifier.
    pub(super) fn flags(&self) -> impl Iterator<Item = &CompiledFlag> {
        self.frame.flags_by_identifier.iter().filter_map(|&slot| self.flag(slot))
    }

    #[inline]
    pub(super) fn segment(&self, slot: Slot) -> Option<&CompiledSegment> {
        self.frame.segments.get(at(slot))?.as_deref()
    }

    fn segments(&self) -> impl Iterator<Item = &CompiledSegment> {
        self.frame.segments.iter().filter_map(Option::as_deref)
    }
}
