//! Steps 2 to 4: what a flag serves.

use super::Walk;
use crate::evaluate::compiled::{Choice, CompiledDistribution, CompiledFlag, CompiledServe};
use crate::evaluate::explanation::Reason;
use crate::evaluate::trace::Trace;

/// What a flag serves by itself, once it was evaluated: the variation's place, or none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Served(u32);

impl Served {
    const NOTHING: u32 = u32::MAX;

    fn new(place: Option<u32>) -> Self {
        Self(place.unwrap_or(Self::NOTHING))
    }

    fn place(self) -> Option<u32> {
        (self.0 != Self::NOTHING).then_some(self.0)
    }
}

impl<'a> Walk<'a, '_> {
    /// A flag's answer, prerequisites included: the place of a variation.
    pub(in crate::evaluate) fn answer<T: Trace>(&mut self, flag: &'a CompiledFlag, trace: &mut T) -> Option<u32> {
        if !flag.prerequisites.is_empty() && !self.prerequisites_met(flag, trace) {
            trace.reason(Reason::PrerequisiteNotMet);
            return flag.off_when_unmet;
        }
        self.serve(flag, trace)
    }

    /// What the flag serves without regard to its prerequisites; evaluated once per request where
    /// others ask for it too.
    pub(super) fn serve<T: Trace>(&mut self, flag: &'a CompiledFlag, trace: &mut T) -> Option<u32> {
        let slot = flag.slot;
        if !self.environment.is_prerequisite(slot) {
            return self.choose(flag, trace).place();
        }
        // Whoever watches is to see how it came about.
        if let Some(served) = self.scratch.served(slot).filter(|_| !T::WATCHES) {
            return served.place();
        }
        let place = self.choose(flag, trace).place();
        self.scratch.set_served(slot, Served::new(place));
        place
    }

    fn choose<T: Trace>(&mut self, flag: &'a CompiledFlag, trace: &mut T) -> Choice {
        if !flag.on {
            trace.reason(Reason::Off);
            return flag.off;
        }
        let (choice, reason) = match self.target_map(flag, trace) {
            Choice::Empty => match self.rules(flag, trace) {
                Choice::Empty => self.default(flag, trace),
                choice => (choice, Reason::Rule),
            },
            choice => (choice, Reason::TargetMap),
        };
        trace.reason(reason);
        choice
    }

    fn target_map<T: Trace>(&mut self, flag: &'a CompiledFlag, trace: &mut T) -> Choice {
        for entry in &flag.target_map {
            let listed = entry.targets.contains(&self.target.identifier, self.identifier_hash());
            let held = listed || self.in_any(&entry.segments, trace);
            trace.map_entry(entry, listed, held);
            if held {
                // Also where it is "", which leaves the rules to decide.
                return entry.choice;
            }
        }
        Choice::Empty
    }

    fn rules<T: Trace>(&mut self, flag: &'a CompiledFlag, trace: &mut T) -> Choice {
        for (place, rule) in flag.rules.iter().enumerate() {
            let held = self.all_hold(&rule.clauses, trace);
            trace.rule(place, held);
            if !held {
                continue;
            }
            // An empty choice ends the rules; a rule that serves nothing at all does not.
            match &rule.serve {
                CompiledServe::Nothing => {}
                CompiledServe::Distribution(distribution) => {
                    return self.distribute(distribution, trace);
                }
                CompiledServe::Variation(choice) => return *choice,
            }
        }
        Choice::Empty
    }

    fn default<T: Trace>(&mut self, flag: &'a CompiledFlag, trace: &mut T) -> (Choice, Reason) {
        let distribution = flag.default_distribution.as_ref();
        match distribution.map_or(Choice::Empty, |distribution| self.distribute(distribution, trace)) {
            Choice::Empty => (flag.default_variation, Reason::DefaultVariation),
            choice => (choice, Reason::DefaultDistribution),
        }
    }

    fn distribute<T: Trace>(&mut self, distribution: &'a CompiledDistribution, trace: &mut T) -> Choice {
        let bucket = self.bucket(distribution.bucket_by);
        trace.distribution(distribution, bucket);
        distribution.choose(bucket)
    }
}

impl Choice {
    fn place(self) -> Option<u32> {
        match self {
            Self::Known(place) => Some(place),
            Self::Empty | Self::Unknown(_) => None,
        }
    }
}
