//! What tests said of attributes in one evaluation.

use crate::evaluate::slots::Slot;

/// Answers that are remembered at once: more than the distinct tests of most environments.
const PLACES: usize = 256;

/// A test's answer stands at the place that its own place in memory gives, until another takes it.
/// None is there before [`Held::begin`].
#[derive(Debug, Default)]
pub(super) struct Held(Vec<Row>);

#[derive(Debug, Clone, Copy, Default)]
struct Row {
    test: usize,
    attribute: Slot,
    /// Of the evaluation; 0 is never one.
    stamp: u32,
    held: bool,
}

impl Held {
    pub(super) fn begin(&mut self) {
        if self.0.is_empty() {
            self.0.resize(PLACES, Row::default());
        }
    }

    /// What the test at this place in memory said of the attribute.
    #[inline]
    pub(super) fn get(&self, test: usize, attribute: Slot, stamp: u32) -> Option<bool> {
        let row = self.0.get(place(test, attribute))?;
        (row.test == test && row.attribute == attribute && row.stamp == stamp).then_some(row.held)
    }

    #[inline]
    pub(super) fn set(&mut self, test: usize, attribute: Slot, stamp: u32, held: bool) {
        if let Some(row) = self.0.get_mut(place(test, attribute)) {
            *row = Row { test, attribute, stamp, held };
        }
    }

    /// Forgets everything, whatever its stamp.
    pub(super) fn clear(&mut self) {
        self.0.fill(Row::default());
    }
}

/// Tests lie some multiple of 16 bytes apart.
#[inline]
fn place(test: usize, attribute: Slot) -> usize {
    let mixed = (test >> 4).wrapping_add(attribute as usize * 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 48) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_of_its_test_its_attribute_and_its_evaluation() {
        let mut held = Held::default();
        held.begin();
        held.set(4096, 1, 7, true);
        for (test, attribute, stamp, known) in
            [(4096, 1, 7, Some(true)), (4096, 1, 8, None), (4096, 2, 7, None), (4112, 1, 7, None)]
        {
            assert_eq!(held.get(test, attribute, stamp), known, "{test} {attribute} {stamp}");
        }
        held.clear();
        assert_eq!(held.get(4096, 1, 7), None);
    }

    #[test]
    fn one_that_was_displaced_is_not_known_and_none_is_taken_for_another() {
        let mut held = Held::default();
        held.begin();
        let answer = |test: usize| test.is_multiple_of(32);
        for test in (0..1000_usize).map(|at| 16 * at) {
            held.set(test, 0, 1, answer(test));
        }
        let known = (0..1000_usize).map(|at| 16 * at).filter_map(|test| Some((test, held.get(test, 0, 1)?)));
        let known: Vec<_> = known.collect();
        assert!(known.iter().all(|&(test, held)| held == answer(test)));
        assert!(known.len() > PLACES / 2 && known.len() <= PLACES);
    }
}
