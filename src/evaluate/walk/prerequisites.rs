//! Step 1: prerequisites, checked with an explicit stack, for chains may be long.

use super::Walk;
use crate::evaluate::compiled::CompiledFlag;
use crate::evaluate::explanation::PrerequisiteOutcome;
use crate::evaluate::slots::Slot;
use crate::evaluate::trace::{Silent, Trace};

/// Whether a flag's prerequisites are met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Met {
    #[default]
    Unknown,
    Checking,
    Yes,
    No,
}

/// What follows from one prerequisite of a list.
enum Next {
    /// The list goes on.
    GoOn,
    /// Missing or not evaluable: the list counts as met.
    ListMet,
    /// Not met, and so is every list that is being checked.
    NotMet,
    /// Met itself; its own prerequisites come next.
    Descend(Slot),
}

impl Walk<'_, '_> {
    /// Whether a flag's prerequisites are met.
    ///
    /// One that is not met makes all flags on the path not met, since each is a prerequisite of
    /// the one before. So does coming back to a flag on the path; a walk that started from any
    /// of them would come back too, which is why the results can be kept.
    pub(super) fn prerequisites_met<T: Trace>(&mut self, flag: &CompiledFlag, trace: &mut T) -> bool {
        match self.scratch.met(flag.slot) {
            Met::Yes => return true,
            Met::No => return false,
            Met::Unknown | Met::Checking => {}
        }
        // Most have one, and that has none of its own: no path is needed.
        let mut met = None;
        let mut path = Vec::new();
        self.scratch.set_met(flag.slot, Met::Checking);
        for place in 0.. {
            match self.prerequisite(flag, place, trace) {
                Next::GoOn => continue,
                Next::ListMet => met = Some(Met::Yes),
                Next::NotMet => met = Some(Met::No),
                Next::Descend(other) => {
                    path = std::mem::take(&mut self.scratch.path);
                    path.extend([(flag.slot, place + 1), (other, 0)]);
                    self.scratch.set_met(other, Met::Checking);
                }
            }
            break;
        }
        if let Some(met) = met {
            self.scratch.set_met(flag.slot, met);
            return met == Met::Yes;
        }
        while let Some((current, next)) = path.last_mut() {
            let current = *current;
            let place = *next;
            *next += 1;
            let next = match self.environment.flag(current) {
                Some(flag) => self.prerequisite(flag, place, trace),
                None => Next::ListMet,
            };
            match next {
                Next::GoOn => {}
                Next::ListMet => {
                    self.scratch.set_met(current, Met::Yes);
                    path.pop();
                }
                Next::Descend(flag) => {
                    self.scratch.set_met(flag, Met::Checking);
                    path.push((flag, 0));
                }
                Next::NotMet => {
                    for (flag, _) in path.drain(..) {
                        self.scratch.set_met(flag, Met::No);
                    }
                }
            }
        }
        self.scratch.path = path;
        self.scratch.met(flag.slot) == Met::Yes
    }

    fn prerequisite<T: Trace>(&mut self, of: &CompiledFlag, place: usize, trace: &mut T) -> Next {
        let Some(prerequisite) = of.prerequisites.get(place) else {
            return Next::ListMet;
        };
        let Some(flag) = self.environment.flag(prerequisite.flag) else {
            trace.prerequisite(of, prerequisite, None, PrerequisiteOutcome::Unknown);
            return Next::ListMet;
        };
        let served = self.serve(flag, &mut Silent);
        let Some(variation) = flag.variation(served) else {
            trace.prerequisite(of, prerequisite, None, PrerequisiteOutcome::NotEvaluated);
            return Next::ListMet;
        };
        let (outcome, next) = if prerequisite.variations.contains(&variation.identifier, variation.hash) {
            match self.scratch.met(flag.slot) {
                Met::Yes => (PrerequisiteOutcome::Met, Next::GoOn),
                Met::No => (PrerequisiteOutcome::OwnNotMet, Next::NotMet),
                Met::Checking => (PrerequisiteOutcome::Circle, Next::NotMet),
                Met::Unknown if flag.prerequisites.is_empty() => (PrerequisiteOutcome::Met, Next::GoOn),
                Met::Unknown => (PrerequisiteOutcome::Met, Next::Descend(flag.slot)),
            }
        } else {
            (PrerequisiteOutcome::OtherVariation, Next::NotMet)
        };
        trace.prerequisite(of, prerequisite, Some(&variation.identifier), outcome);
        next
    }
}
