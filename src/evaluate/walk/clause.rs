use super::Walk;
use crate::evaluate::compiled::{CompiledClause, Test};
use crate::evaluate::fold::equals_folded;
use crate::evaluate::trace::Trace;

impl<'a> Walk<'a> {
    /// Whether every clause holds; none at all hold for everybody.
    pub(in crate::evaluate) fn all_hold<T: Trace>(&mut self, clauses: &'a [CompiledClause], trace: &mut T) -> bool {
        clauses.iter().all(|clause| self.holds(clause, trace))
    }

    pub(in crate::evaluate) fn holds<T: Trace>(&mut self, clause: &'a CompiledClause, trace: &mut T) -> bool {
        if let Test::Segments(segments) = &clause.test {
            let held = self.in_any(segments, trace);
            trace.clause(clause, "", held);
            return held;
        }
        if let Test::In(values) = &clause.test {
            let (text, hash) = self.hashed_text(clause.attribute);
            let held = !text.is_empty() && values.contains(text, hash);
            trace.clause(clause, text, held);
            return held;
        }
        let text = self.text(clause.attribute);
        let held = !text.is_empty() && clause.test.holds_on(text);
        trace.clause(clause, text, held);
        held
    }
}

impl Test {
    /// For the operators that need nothing but the text.
    fn holds_on(&self, text: &str) -> bool {
        match self {
            Self::Equal(folded) => equals_folded(text, folded),
            Self::EqualSensitive(value) => text == &**value,
            Self::StartsWith(value) => text.starts_with(&**value),
            Self::EndsWith(value) => text.ends_with(&**value),
            Self::Contains(value) => text.contains(&**value),
            Self::Greater(value) => text > &**value,
            Self::Match(expression) => expression.is_match(text),
            Self::Never | Self::In(_) | Self::Segments(_) => false,
        }
    }
}
