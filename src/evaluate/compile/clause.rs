use super::Compiler;
use crate::evaluate::compiled::{CompiledClause, Shown, Test};
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
        CompiledClause {
            attribute: self.slot(Kind::Attribute, &clause.attribute),
            op: clause.op.as_str().into(),
            test: self.test(clause),
            shown: shown(&clause.values),
        }
    }

    fn test(&mut self, clause: &Clause) -> Test {
        let Some(first) = clause.values.first() else {
            return Test::Never;
        };
        let value = || first.as_str().into();
        match clause.op.as_str() {
            "equal" => Test::Equal(fold_text(first)),
            "equal_sensitive" => Test::EqualSensitive(value()),
            "starts_with" => Test::StartsWith(value()),
            "ends_with" => Test::EndsWith(value()),
            "contains" => Test::Contains(value()),
            "in" => Test::In(TextSet::new(clause.values.iter().map(String::as_str), &self.slots.hasher)),
            "gt" => Test::Greater(value()),
            "match" => self.expression(first).map_or(Test::Never, Test::Match),
            "segmentMatch" => Test::Segments(self.slots(Kind::Segment, &clause.values)),
            op => {
                let subject = self.subject.clone();
                self.warn(Warning::UnknownOperator { subject, op: op.into() });
                Test::Never
            }
        }
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
