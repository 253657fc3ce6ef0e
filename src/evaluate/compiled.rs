//! Flags and segments in the form that is evaluated: names are slots, lists are sets.

use std::sync::Arc;

use regex::Regex;

use super::slots::Slot;
use super::text_set::TextSet;
use super::variation::CompiledVariation;
use super::warning::Warning;

/// Where a compiled form came from, and what decides whether it can be used again.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) identifier: Arc<str>,
    pub(super) slot: Slot,
    pub(super) digest: [u8; 32],
    pub(super) warnings: Vec<Warning>,
    pub(super) uses: Uses,
    pub(super) expressions: ExpressionCost,
}

/// The slots that a compiled form refers to, each list sorted and without duplicates.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    pub(super) attributes: Box<[Slot]>,
    pub(super) flags: Box<[Slot]>,
    pub(super) segments: Box<[Slot]>,
}

/// What the regular expressions of one flag or segment take of the environment's budget.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ExpressionCost {
    /// Bytes charged.
    pub(super) charged: usize,
    /// Bytes that must have been left for the same result.
    pub(super) needed: usize,
    /// Whether an expression was left out for want of budget.
    pub(super) clipped: bool,
}

impl ExpressionCost {
    /// Of two parts: what both take, and the most that one of them needs.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            charged: self.charged.saturating_add(other.charged),
            needed: self.needed.max(other.needed),
            clipped: self.clipped || other.clipped,
        }
    }
}

/// In the order in which evaluation looks at it, and what explanations alone need at the end: most
/// flags take two lines of the processor's cache.
#[derive(Debug)]
#[repr(C)]
pub(super) struct CompiledFlag {
    pub(super) on: bool,
    /// The origin's.
    pub(super) slot: Slot,
    pub(super) prerequisites: Box<[CompiledPrerequisite]>,
    pub(super) target_map: Box<[MapEntry]>,
    pub(super) rules: Box<[CompiledRule]>,
    pub(super) default_variation: Choice,
    pub(super) default_distribution: Option<CompiledDistribution>,
    pub(super) variations: Box<[CompiledVariation]>,
    pub(super) off: Choice,
    /// The off variation's place also where its identifier is `""`: an unmet prerequisite looks
    /// it up all the same.
    pub(super) off_when_unmet: Option<u32>,
    pub(super) kind: Box<str>,
    pub(super) origin: Origin,
    /// What [`Choice::Unknown`] counts through.
    pub(super) unknown_variations: Box<[Box<str>]>,
    /// Of each rule.
    pub(super) rule_names: Box<[RuleName]>,
}

/// A variation as the configuration names it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Choice {
    /// `""` or nothing: not a hit.
    Empty,
    /// Its place among the flag's variations.
    Known(u32),
    /// The flag has no such variation, so no answer. Its place among the flag's unknown ones.
    Unknown(u32),
}

#[derive(Debug)]
pub(super) struct CompiledPrerequisite {
    pub(super) flag: Slot,
    pub(super) variations: TextSet,
    pub(super) shown: Shown,
}

#[derive(Debug)]
pub(super) struct MapEntry {
    pub(super) targets: TextSet,
    pub(super) segments: Box<[Slot]>,
    pub(super) choice: Choice,
}

#[derive(Debug)]
pub(super) struct CompiledRule {
    pub(super) clauses: Box<[CompiledClause]>,
    pub(super) serve: CompiledServe,
}

/// A rule as explanations name it.
#[derive(Debug)]
pub(super) struct RuleName {
    pub(super) identifier: Box<str>,
    pub(super) priority: i64,
}

#[derive(Debug)]
pub(super) enum CompiledServe {
    /// Neither a distribution nor a variation: the next rule is tried.
    Nothing,
    Distribution(CompiledDistribution),
    Variation(Choice),
}

#[derive(Debug)]
pub(super) struct CompiledDistribution {
    pub(super) bucket_by: Slot,
    pub(super) shares: Box<[Share]>,
}

#[derive(Debug)]
pub(super) struct Share {
    pub(super) weight: i64,
    /// The sum of the weights so far, this one included.
    pub(super) up_to: i64,
    pub(super) choice: Choice,
}

impl CompiledDistribution {
    /// What a bucket gets: the first share that reaches up to it, else the last one. Bucket 0
    /// stands for a target that is in none.
    #[inline]
    pub(super) fn choose(&self, bucket: u8) -> Choice {
        let reached = |share: &&Share| bucket > 0 && share.up_to >= i64::from(bucket);
        let share = self.shares.iter().find(reached).or_else(|| self.shares.last());
        share.map_or(Choice::Empty, |share| share.choice)
    }
}

#[derive(Debug)]
pub(super) struct CompiledClause {
    pub(super) attribute: Slot,
    pub(super) test: Test,
}

/// What a clause asks.
#[derive(Debug)]
pub(super) enum Test {
    /// Of the attribute's text; shared with every clause that asks the same of any attribute.
    Text(Arc<TextTest>),
    /// Of the target.
    Segments(Box<SegmentTest>),
}

impl CompiledClause {
    /// The operator and its values, for explanations.
    pub(super) fn shown(&self) -> (&str, &Shown) {
        match &self.test {
            Test::Text(test) => (&test.op, &test.shown),
            Test::Segments(test) => ("segmentMatch", &test.shown),
        }
    }
}

#[derive(Debug)]
pub(super) struct SegmentTest {
    pub(super) segments: Box<[Slot]>,
    pub(super) shown: Shown,
}

#[derive(Debug)]
pub(super) struct TextTest {
    pub(super) op: Box<str>,
    pub(super) comparison: Comparison,
    pub(super) shown: Shown,
}

#[derive(Debug)]
pub(super) enum Comparison {
    /// No values, an unknown operator, an invalid expression.
    Never,
    /// The value, folded.
    Equal(Box<str>),
    EqualSensitive(Box<str>),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    Contains(Box<str>),
    In(TextSet),
    Greater(Box<str>),
    Match(Expression),
}

/// A regular expression, and what it takes of a budget.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) regex: Regex,
    /// The smallest charge within which it can be built, in bytes.
    pub(super) charge: usize,
}

/// The first values of a list, for explanations.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) first: Box<[Box<str>]>,
    pub(super) total: usize,
}

#[derive(Debug)]
pub(super) struct CompiledSegment {
    pub(super) origin: Origin,
    pub(super) included: TextSet,
    pub(super) excluded: TextSet,
    pub(super) rules: SegmentRules,
}

#[derive(Debug)]
pub(super) enum SegmentRules {
    /// `servingRules`: any of them, by all of its clauses; one without clauses never holds.
    Serving(Box<[Box<[CompiledClause]>]>),
    /// `rules`: any clause.
    AnyClause(Box<[CompiledClause]>),
}
