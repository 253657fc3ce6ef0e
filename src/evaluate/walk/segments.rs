//! Segment membership.

use super::Walk;
use crate::evaluate::compiled::{CompiledSegment, SegmentRules};
use crate::evaluate::environment::OrderedComponent;
use crate::evaluate::explanation::SegmentOutcome;
use crate::evaluate::slots::Slot;
use crate::evaluate::trace::{Silent, Trace};

impl<'a> Walk<'a, '_> {
    /// Whether the target is in one of the segments. Being excluded from one ends the list.
    pub(super) fn in_any<T: Trace>(&mut self, segments: &'a [Slot], trace: &mut T) -> bool {
        for &segment in segments {
            let outcome = self.membership(segment);
            trace.segment(segment, outcome);
            match outcome {
                SegmentOutcome::Excluded => return false,
                SegmentOutcome::Included | SegmentOutcome::Rule => return true,
                SegmentOutcome::NotMember | SegmentOutcome::Unknown => {}
            }
        }
        false
    }

    /// What a segment says about the target.
    pub(in crate::evaluate) fn membership(&mut self, slot: Slot) -> SegmentOutcome {
        if let Some(known) = self.scratch.membership(slot) {
            return known;
        }
        let Some(segment) = self.environment.segment(slot) else {
            return SegmentOutcome::Unknown;
        };
        if self.environment.segment_order().is_ordered(slot) {
            self.ordered_segments();
            // They all are known now.
            return self.scratch.membership(slot).unwrap_or(SegmentOutcome::NotMember);
        }
        // As deep as segments nest, which is limited for those that are not ordered.
        let outcome = self.judge(segment);
        self.scratch.set_membership(slot, outcome);
        outcome
    }

    /// The segments that recursion must not enter, each after those it leads to.
    fn ordered_segments(&mut self) {
        if std::mem::replace(&mut self.scratch.ordered_segments_done, true) {
            return;
        }
        let environment = self.environment;
        for component in &environment.segment_order().components {
            if component.cyclic {
                self.circle(component);
                continue;
            }
            for &slot in &component.members {
                if let Some(segment) = environment.segment(slot) {
                    let outcome = self.judge(segment);
                    self.scratch.set_membership(slot, outcome);
                }
            }
        }
    }

    /// Segments that lead to each other: at first only the lists count, then whoever a rule makes
    /// a member can make the target a member elsewhere, until nothing changes. Which segment was
    /// asked about first makes no difference so.
    fn circle(&mut self, component: &'a OrderedComponent) {
        let environment = self.environment;
        for &slot in &component.members {
            let listed = environment.segment(slot).and_then(|segment| self.listed(segment));
            self.scratch.set_membership(slot, listed.unwrap_or(SegmentOutcome::NotMember));
        }
        let mut to_do: Vec<usize> = (0..component.members.len()).rev().collect();
        let mut waiting = vec![true; component.members.len()];
        while let Some(place) = to_do.pop() {
            if let Some(waiting) = waiting.get_mut(place) {
                *waiting = false;
            }
            let Some(&slot) = component.members.get(place) else {
                continue;
            };
            if self.scratch.membership(slot) != Some(SegmentOutcome::NotMember) {
                continue;
            }
            let Some(segment) = environment.segment(slot) else {
                continue;
            };
            if self.judge(segment) == SegmentOutcome::Rule {
                self.scratch.set_membership(slot, SegmentOutcome::Rule);
                for &dependent in component.dependents.get(place).into_iter().flatten() {
                    if let Some(waiting) = waiting.get_mut(dependent).filter(|waiting| !**waiting) {
                        *waiting = true;
                        to_do.push(dependent);
                    }
                }
            }
        }
        // Whoever was on the lists from the start was seen by everybody from the start.
    }

    fn listed(&mut self, segment: &CompiledSegment) -> Option<SegmentOutcome> {
        let (identifier, hash) = (self.target.identifier.as_str(), self.identifier_hash());
        if segment.excluded.contains(identifier, hash) {
            Some(SegmentOutcome::Excluded)
        } else if segment.included.contains(identifier, hash) {
            Some(SegmentOutcome::Included)
        } else {
            None
        }
    }

    fn judge(&mut self, segment: &'a CompiledSegment) -> SegmentOutcome {
        if let Some(listed) = self.listed(segment) {
            return listed;
        }
        let held = match &segment.rules {
            SegmentRules::Serving(rules) => {
                rules.iter().any(|clauses| !clauses.is_empty() && self.all_hold(clauses, &mut Silent))
            }
            SegmentRules::AnyClause(clauses) => clauses.iter().any(|clause| self.holds(clause, &mut Silent)),
        };
        if held { SegmentOutcome::Rule } else { SegmentOutcome::NotMember }
    }
}
