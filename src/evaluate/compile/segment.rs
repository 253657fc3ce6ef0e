use super::{CompileError, Compiler, Source};
use crate::evaluate::compiled::{CompiledSegment, SegmentRules};
use crate::evaluate::slots::Slot;
use crate::model::Segment;

/// Compiles one segment. `compiler` is for this segment alone, `slot` is the segment's own.
pub(in crate::evaluate) fn compile_segment(
    mut compiler: Compiler<'_>,
    slot: Slot,
    source: &Source<'_>,
) -> Result<CompiledSegment, CompileError> {
    let segment: Segment = compiler.read(source.json)?;
    let included = compiler.targets(&segment.included);
    let excluded = compiler.targets(&segment.excluded);
    let rules = compiler.segment_rules(&segment);
    Ok(CompiledSegment { origin: compiler.into_origin(slot, source.digest), included, excluded, rules })
}

impl Compiler<'_> {
    fn segment_rules(&mut self, segment: &Segment) -> SegmentRules {
        if self.options.and_rules && !segment.serving_rules.is_empty() {
            let rules = segment.serving_rules.iter();
            return SegmentRules::Serving(rules.map(|rule| self.clauses(&rule.clauses)).collect());
        }
        if self.options.and_rules || !segment.rules.is_empty() {
            return SegmentRules::AnyClause(self.clauses(&segment.rules));
        }
        // What the Go proxy v2 does without AND rules.
        let first_clauses = segment.serving_rules.iter().filter_map(|rule| rule.clauses.first());
        SegmentRules::AnyClause(first_clauses.map(|clause| self.clause(clause)).collect())
    }
}
