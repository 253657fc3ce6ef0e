//! Sets of characters as ranges of code points.

use crate::evaluate::fold::orbits;

const LAST: u32 = 0x10_FFFF;

/// Code points, surrogates too: Go's classes know them, though no text has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CharSet {
    ranges: Vec<(u32, u32)>,
}

impl CharSet {
    pub(super) fn of(ranges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut set = Self { ranges: ranges.into_iter().collect() };
        set.tidy();
        set
    }

    pub(super) fn all() -> Self {
        Self { ranges: vec![(0, LAST)] }
    }

    /// Adds a range; `tidy` or another operation must follow before the set is read.
    pub(super) fn push(&mut self, first: u32, last: u32) {
        self.ranges.push((first, last));
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.ranges.extend_from_slice(&other.ranges);
    }

    /// Sorts and joins the ranges.
    pub(super) fn tidy(&mut self) {
        self.ranges.sort_unstable();
        self.ranges.dedup_by(|next, kept| {
            let joined = next.0 <= kept.1.saturating_add(1);
            if joined {
                kept.1 = kept.1.max(next.1);
            }
            joined
        });
    }

    /// The set without one member.
    pub(super) fn without(self, code: u32) -> Self {
        let mut others = self.negated();
        others.push(code, code);
        others.negated()
    }

    /// Everything that is not in the set.
    pub(super) fn negated(mut self) -> Self {
        self.tidy();
        let mut negated = Self::default();
        let mut next = 0;
        for &(first, last) in &self.ranges {
            if next < first {
                negated.push(next, first - 1);
            }
            next = last + 1;
        }
        if next <= LAST {
            negated.push(next, LAST);
        }
        negated
    }

    /// The set with everything that is equal to a member but for case.
    pub(super) fn folded(mut self) -> Self {
        self.tidy();
        let mut additions = Vec::new();
        for orbit in orbits() {
            let members = orbit.iter().filter(|&&character| self.contains(character)).count();
            if members > 0 && members < orbit.len() {
                additions.extend(orbit.iter().map(|&character| (u32::from(character), u32::from(character))));
            }
        }
        self.ranges.extend(additions);
        self.tidy();
        self
    }

    pub(super) fn contains(&self, character: char) -> bool {
        let code = u32::from(character);
        let after = self.ranges.partition_point(|&(first, _)| first <= code);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|&(_, last)| code <= last)
    }

    pub(super) fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// The ranges without surrogates, which are no characters.
    pub(super) fn characters(&self) -> impl Iterator<Item = (char, char)> {
        self.ranges
            .iter()
            .flat_map(|&(first, last)| {
                let below = (first, last.min(0xD7FF));
                let above = (first.max(0xE000), last);
                [below, above].into_iter().filter(|(first, last)| first <= last)
            })
            .filter_map(|(first, last)| Some((char::from_u32(first)?, char::from_u32(last)?)))
    }
}
