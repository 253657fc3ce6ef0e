//! Puts an environment together from new and unchanged parts.

use std::sync::{Arc, OnceLock};

use super::references;
use super::segment_order::SegmentOrder;
use super::{CompiledEnvironment, Frame};
use crate::evaluate::compile::{CompileError, CompileOptions, Compiler, Source, compile_flag, compile_segment};
use crate::evaluate::compiled::{CompiledFlag, CompiledSegment, ExpressionCost, Origin};
use crate::evaluate::slots::{Kind, Slot, Slots, at};
use crate::evaluate::warning::{Subject, Warning};

pub(super) fn build(
    flags: &[Source<'_>],
    segments: &[Source<'_>],
    previous: Option<&CompiledEnvironment>,
    options: &CompileOptions,
) -> Result<CompiledEnvironment, CompileError> {
    let previous = previous.filter(|previous| previous.options == *options);
    let built = Builder::new(previous, options).build(flags, segments)?;
    if previous.is_some() && references::mostly_dead(&built) {
        return Builder::new(None, options).build(flags, segments);
    }
    Ok(built)
}

struct Builder<'p> {
    previous: Option<&'p CompiledEnvironment>,
    options: &'p CompileOptions,
    slots: Arc<Slots>,
    expression_bytes_left: usize,
    expressions: ExpressionCost,
    warnings: Vec<Warning>,
}

impl<'p> Builder<'p> {
    fn new(previous: Option<&'p CompiledEnvironment>, options: &'p CompileOptions) -> Self {
        Self {
            previous,
            options,
            slots: previous.map(|previous| Arc::clone(&previous.slots)).unwrap_or_default(),
            expression_bytes_left: options.regex_bytes_per_environment,
            expressions: ExpressionCost::default(),
            warnings: Vec::new(),
        }
    }

    fn build(mut self, flags: &[Source<'_>], segments: &[Source<'_>]) -> Result<CompiledEnvironment, CompileError> {
        // In the order of the identifiers, so that who gets the budget for regular expressions
        // does not depend on the order of the lists.
        let compiled_flags = self
            .sorted(flags, Subject::Flag)
            .into_iter()
            .map(|source| self.flag(source))
            .collect::<Result<Vec<_>, _>>()?;
        let compiled_segments = self
            .sorted(segments, Subject::Segment)
            .into_iter()
            .map(|source| self.segment(source))
            .collect::<Result<Vec<_>, _>>()?;

        let flags_by_identifier = compiled_flags.iter().map(|flag| flag.origin.slot).collect();
        let segments = by_slot(self.slots.segments.len(), compiled_segments, |segment| segment.origin.slot);
        let mut frame = Frame {
            flags_by_identifier,
            segment_order: SegmentOrder::of(&segments),
            segments,
            used_flags: Box::default(),
            used_segments: Box::default(),
            users: OnceLock::new(),
            warnings: Arc::default(),
        };
        let flags = by_slot(self.slots.flags.len(), compiled_flags, |flag| flag.origin.slot);
        (frame.used_flags, frame.used_segments) = references::used(&self.slots, &flags, &frame.segments);
        let mut warnings = self.warnings;
        warnings.extend(references::warnings(&self.slots, &flags, &frame));
        warnings.sort_unstable();
        warnings.dedup();
        frame.warnings = warnings.into();
        Ok(CompiledEnvironment {
            options: *self.options,
            flags,
            frame: Arc::new(frame),
            expressions: self.expressions,
            slots: self.slots,
        })
    }

    /// By identifier, the last of each.
    fn sorted<'s, 'j>(
        &mut self,
        sources: &'s [Source<'j>],
        subject: impl Fn(Arc<str>) -> Subject,
    ) -> Vec<&'s Source<'j>> {
        let mut sorted: Vec<_> = sources.iter().rev().collect();
        sorted.sort_by_key(|source| source.identifier);
        sorted.dedup_by(|later, kept| {
            let twice = later.identifier == kept.identifier;
            if twice {
                let subject = subject(Arc::from(kept.identifier));
                self.warnings.push(Warning::ListedTwice { subject });
            }
            twice
        });
        sorted
    }

    fn flag(&mut self, source: &Source<'_>) -> Result<Arc<CompiledFlag>, CompileError> {
        let slot = Slots::intern(&mut self.slots, Kind::Flag, source.identifier);
        let before = self.previous.and_then(|previous| previous.flags.get(at(slot))?.as_ref());
        let flag = match before {
            Some(flag) if self.reusable(&flag.origin, source) => Arc::clone(flag),
            _ => {
                let compiler = self.compiler(Subject::Flag(Arc::from(source.identifier)));
                Arc::new(compile_flag(compiler, slot, source)?)
            }
        };
        self.account(&flag.origin);
        Ok(flag)
    }

    fn segment(&mut self, source: &Source<'_>) -> Result<Arc<CompiledSegment>, CompileError> {
        let slot = Slots::intern(&mut self.slots, Kind::Segment, source.identifier);
        let before = self.previous.and_then(|previous| previous.frame.segments.get(at(slot))?.as_ref());
        let segment = match before {
            Some(segment) if self.reusable(&segment.origin, source) => Arc::clone(segment),
            _ => {
                let compiler = self.compiler(Subject::Segment(Arc::from(source.identifier)));
                Arc::new(compile_segment(compiler, slot, source)?)
            }
        };
        self.account(&segment.origin);
        Ok(segment)
    }

    /// A form that lacks an expression for want of budget, or that would lack one now, is not the
    /// one that compiling afresh gives.
    fn reusable(&self, origin: &Origin, source: &Source<'_>) -> bool {
        let ExpressionCost { needed, clipped, .. } = origin.expressions;
        origin.digest == source.digest && !clipped && needed <= self.expression_bytes_left
    }

    fn compiler(&mut self, subject: Subject) -> Compiler<'_> {
        Compiler::new(&mut self.slots, self.options, subject, self.expression_bytes_left)
    }

    fn account(&mut self, origin: &Origin) {
        self.expression_bytes_left = self.expression_bytes_left.saturating_sub(origin.expressions.charged);
        self.expressions = self.expressions.and(origin.expressions);
        self.warnings.extend_from_slice(&origin.warnings);
    }
}

fn by_slot<T>(slots: usize, compiled: Vec<Arc<T>>, slot: impl Fn(&T) -> Slot) -> Box<[Option<Arc<T>>]> {
    let mut placed = vec![None; slots];
    for part in compiled {
        if let Some(place) = placed.get_mut(at(slot(&part))) {
            *place = Some(part);
        }
    }
    placed.into_boxed_slice()
}
