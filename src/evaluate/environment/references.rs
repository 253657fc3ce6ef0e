//! What flags and segments refer to: missing ones, circles, slots that nobody uses any more.

use std::sync::Arc;

use super::{CompiledEnvironment, Frame};
use crate::evaluate::compiled::{CompiledFlag, CompiledSegment, Origin};
use crate::evaluate::graph::components;
use crate::evaluate::slots::{Names, Slot, Slots, at};
use crate::evaluate::warning::{Subject, Warning};

type Flags = [Option<Arc<CompiledFlag>>];
type Segments = [Option<Arc<CompiledSegment>>];

/// The warnings that no flag or segment can give by itself.
pub(super) fn warnings(slots: &Slots, flags: &Flags, frame: &Frame) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let flag = |slot: Slot| flags.get(at(slot)).and_then(Option::as_ref);
    for CompiledFlag { origin, .. } in frame.flags_by_identifier.iter().filter_map(|&slot| flag(slot)).map(|it| &**it) {
        let missing = origin.uses.flags.iter().filter(|&&slot| flag(slot).is_none());
        warnings.extend(missing.map(|&slot| Warning::UnknownPrerequisite {
            flag: Arc::clone(&origin.identifier),
            prerequisite: Arc::from(slots.flags.name(slot)),
        }));
        unknown_segments(slots, &frame.segments, origin, Subject::Flag, &mut warnings);
    }
    for segment in frame.segments.iter().flatten() {
        unknown_segments(slots, &frame.segments, &segment.origin, Subject::Segment, &mut warnings);
    }
    // Without a reference there is no circle.
    if frame.used_flags.contains(&true) {
        for component in components(flags.len(), |slot| flag(slot).map_or(&[], |flag| &flag.origin.uses.flags)) {
            if component.cyclic {
                let flags = sorted_names(&slots.flags, &component.members);
                warnings.push(Warning::PrerequisiteCycle { flags });
            }
        }
    }
    for component in &frame.segment_order.components {
        if component.cyclic {
            let segments = sorted_names(&slots.segments, &component.members);
            warnings.push(Warning::SegmentCycle { segments });
        }
    }
    warnings
}

fn unknown_segments(
    slots: &Slots,
    segments: &Segments,
    origin: &Origin,
    subject: impl Fn(Arc<str>) -> Subject,
    warnings: &mut Vec<Warning>,
) {
    let missing = origin.uses.segments.iter().filter(|&&slot| segments.get(at(slot)).is_none_or(Option::is_none));
    warnings.extend(missing.map(|&slot| Warning::UnknownSegment {
        subject: subject(Arc::clone(&origin.identifier)),
        segment: Arc::from(slots.segments.name(slot)),
    }));
}

/// Which flags and which segments others refer to, by slot.
pub(super) fn used(slots: &Slots, flags: &Flags, segments: &Segments) -> (Box<[bool]>, Box<[bool]>) {
    let (mut used_flags, mut used_segments) = (Marks::new(slots.flags.len()), Marks::new(slots.segments.len()));
    for origin in flags.iter().flatten().map(|flag| &flag.origin) {
        used_flags.mark(&origin.uses.flags);
        used_segments.mark(&origin.uses.segments);
    }
    for origin in segments.iter().flatten().map(|segment| &segment.origin) {
        used_segments.mark(&origin.uses.segments);
    }
    (used_flags.marked.into(), used_segments.marked.into())
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
