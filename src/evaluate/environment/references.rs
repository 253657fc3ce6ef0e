//! What flags and segments refer to: missing ones, circles, slots that nobody uses any more.

use std::sync::Arc;

use super::CompiledEnvironment;
use crate::evaluate::compiled::Origin;
use crate::evaluate::graph::components;
use crate::evaluate::slots::{Names, Slot, at};
use crate::evaluate::warning::{Subject, Warning};

/// The warnings that no flag or segment can give by itself.
pub(super) fn warnings(environment: &CompiledEnvironment) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for flag in environment.flags() {
        let missing = flag.origin.uses.flags.iter().filter(|&&slot| environment.flag(slot).is_none());
        warnings.extend(missing.map(|&slot| Warning::UnknownPrerequisite {
            flag: Arc::clone(&flag.origin.identifier),
            prerequisite: Arc::from(environment.slots.flags.name(slot)),
        }));
        unknown_segments(environment, &flag.origin, Subject::Flag, &mut warnings);
    }
    for segment in environment.segments() {
        unknown_segments(environment, &segment.origin, Subject::Segment, &mut warnings);
    }
    for component in
        components(environment.flags.len(), |slot| environment.flag(slot).map_or(&[], |flag| &flag.origin.uses.flags))
    {
        if component.cyclic {
            let flags = sorted_names(&environment.slots.flags, &component.members);
            warnings.push(Warning::PrerequisiteCycle { flags });
        }
    }
    for component in &environment.segment_order.components {
        if component.cyclic {
            let segments = sorted_names(&environment.slots.segments, &component.members);
            warnings.push(Warning::SegmentCycle { segments });
        }
    }
    warnings
}

fn unknown_segments(
    environment: &CompiledEnvironment,
    origin: &Origin,
    subject: impl Fn(Arc<str>) -> Subject,
    warnings: &mut Vec<Warning>,
) {
    let missing = origin.uses.segments.iter().filter(|&&slot| environment.segment(slot).is_none());
    warnings.extend(missing.map(|&slot| Warning::UnknownSegment {
        subject: subject(Arc::clone(&origin.identifier)),
        segment: Arc::from(environment.slots.segments.name(slot)),
    }));
}

fn sorted_names(names: &Names, slots: &[Slot]) -> Vec<Arc<str>> {
    let mut sorted: Vec<Arc<str>> = slots.iter().map(|&slot| Arc::from(names.name(slot))).collect();
    sorted.sort_unstable();
    sorted
}

/// Whether so few slots are in use that starting with fresh ones pays.
pub(super) fn mostly_dead(environment: &CompiledEnvironment) -> bool {
    const ALWAYS_ALLOWED: usize = 1024;
    let slots = &environment.slots;
    let mut attributes = Marks::new(slots.attributes.len());
    let mut flags = Marks::new(slots.flags.len());
    let mut segments = Marks::new(slots.segments.len());
    for origin in environment.flags().map(|flag| &flag.origin) {
        flags.mark(&[origin.slot]);
        flags.mark(&origin.uses.flags);
        attributes.mark(&origin.uses.attributes);
        segments.mark(&origin.uses.segments);
    }
    for origin in environment.segments().map(|segment| &segment.origin) {
        segments.mark(&[origin.slot]);
        attributes.mark(&origin.uses.attributes);
        segments.mark(&origin.uses.segments);
    }
    let live = attributes.count + flags.count + segments.count;
    slots.len().saturating_sub(live) > 2 * live + ALWAYS_ALLOWED
}

struct Marks {
    marked: Vec<bool>,
    count: usize,
}

impl Marks {
    fn new(slots: usize) -> Self {
        Self { marked: vec![false; slots], count: 0 }
    }

    fn mark(&mut self, slots: &[Slot]) {
        for &slot in slots {
            if let Some(marked) = self.marked.get_mut(at(slot)).filter(|marked| !**marked) {
                *marked = true;
                self.count += 1;
            }
        }
    }
}
