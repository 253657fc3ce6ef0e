use std::sync::Arc;

use super::{Compiler, shared};
use crate::evaluate::compiled::{Comparison, CompiledClause, SegmentTest, Shown, Test, TextTest};
use crate::evaluate::fold::fold_text;
use crate::evaluate::slots::Kind;
use crate::evaluate::text_set::TextSet;
use crate::evaluate::warning::Warning;
use crate::model::{Clause, TargetReference};

impl Compiler<'_> {
    pub(super) fn clauses(&mut self, clauses: &[Clause]) -> Box<[CompiledClause]> {
        clauses.iter().map(|clause| self.clause(clause)).collect()
    }

    pub(super) fn clause(&mut self, clause: &Clause) -> CompiledClause {
        let attribute = self.slot(Kind::Attribute, &clause.attribute);
        let test = match clause.op.as_str() {
            "segmentMatch" => {
                let segments = self.slots(Kind::Segment, &clause.values);
                Test::Segments(Box::new(SegmentTest { segments, shown: shown(&clause.values) }))
            }
            op => Test::Text(self.text_test(op, &clause.values)),
        };
        CompiledClause { attribute, test }
    }

    fn text_test(&mut self, op: &str, values: &[String]) -> Arc<TextTest> {
        let key = shared::key(op, values, self.options.regex_bytes_per_expression);
        if let Some(test) = shared::find(&key).filter(|test| self.may_share(test)) {
            return test;
        }
        let comparison = self.comparison(op, values);
        // A refused expression may be taken elsewhere.
        let own = comparison.is_none();
        let comparison = comparison.unwrap_or(Comparison::Never);
        let test = TextTest { op: op.into(), comparison, shown: shown(values) };
        if own { Arc::new(test) } else { shared::share(key, test) }
    }

    /// `None` when an expression or an operator gives rise to a warning.
    fn comparison(&mut self, op: &str, values: &[String]) -> Option<Comparison> {
        let Some(first) = values.first() else {
            return Some(Comparison::Never);
        };
        let value = || first.as_str().into();
        Some(match op {
            "equal" => Comparison::Equal(fold_text(first)),
            "equal_sensitive" => Comparison::EqualSensitive(value()),
            "starts_with" => Comparison::StartsWith(value()),
            "ends_with" => Comparison::EndsWith(value()),
            "contains" => Comparison::Contains(value()),
            "in" => Comparison::In(TextSet::new(values.iter().map(String::as_str), &self.slots.hasher)),
            "gt" => Comparison::Greater(value()),
            "match" => Comparison::Match(self.expression(first)?),
            op => {
                let subject = self.subject.clone();
                self.warn(Warning::UnknownOperator { subject, op: op.into() });
                return None;
            }
        })
    }

    pub(super) fn targets(&self, targets: &[TargetReference]) -> TextSet {
        TextSet::new(targets.iter().map(|target| target.identifier.as_str()), &self.slots.hasher)
    }
}

/// Explanations show this many values of a list.
const SHOWN: usize = 20;

pub(super) fn shown(values: &[String]) -> Shown {
    let first = values.iter().take(SHOWN).map(|value| value.as_str().into()).collect();
    Shown { first, total: values.len() }
}
