use super::Walk;
use crate::evaluate::compiled::{Comparison, CompiledClause, Test, TextTest};
use crate::evaluate::fold::equals_folded;
use crate::evaluate::slots::Slot;
use crate::evaluate::trace::Trace;

impl<'a> Walk<'a, '_> {
    /// Whether every clause holds; none at all hold for everybody.
    pub(in crate::evaluate) fn all_hold<T: Trace>(&mut self, clauses: &'a [CompiledClause], trace: &mut T) -> bool {
        clauses.iter().all(|clause| self.holds(clause, trace))
    }

    #[inline]
    pub(in crate::evaluate) fn holds<T: Trace>(&mut self, clause: &'a CompiledClause, trace: &mut T) -> bool {
        let (held, attribute) = match &clause.test {
            Test::Segments(test) => (self.in_any(&test.segments, trace), None),
            Test::Text(test) => (self.text_holds(test, clause.attribute), Some(clause.attribute)),
        };
        if T::WATCHES {
            let text = attribute.map_or("", |attribute| self.text(attribute));
            trace.clause(clause, text, held);
        }
        held
    }

    /// Flags ask much the same: what was asked of an attribute before is not asked again.
    #[inline]
    fn text_holds(&mut self, test: &'a TextTest, attribute: Slot) -> bool {
        // The environment holds every test for as long as it is evaluated: the place in memory
        // tells one from the others.
        let place = std::ptr::from_ref(test).addr();
        if let Some(held) = self.scratch.held.get(place, attribute, self.scratch.stamp()) {
            return held;
        }
        let held = self.compare(&test.comparison, attribute);
        let stamp = self.scratch.stamp();
        self.scratch.held.set(place, attribute, stamp, held);
        held
    }

    fn compare(&mut self, comparison: &Comparison, attribute: Slot) -> bool {
        if let Comparison::In(values) = comparison {
            let (text, hash) = self.hashed_text(attribute);
            return !text.is_empty() && values.contains(text, hash);
        }
        let text = self.text(attribute);
        !text.is_empty() && comparison.holds_on(text)
    }
}

impl Comparison {
    /// For the operators that need nothing but the text.
    fn holds_on(&self, text: &str) -> bool {
        match self {
            Self::Equal(folded) => equals_folded(text, folded),
            Self::EqualSensitive(value) => text == &**value,
            Self::StartsWith(value) => text.starts_with(&**value),
            Self::EndsWith(value) => text.ends_with(&**value),
            Self::Contains(value) => text.contains(&**value),
            Self::Greater(value) => text > &**value,
            Self::Match(expression) => expression.regex.is_match(text),
            Self::Never | Self::In(_) => false,
        }
    }
}
