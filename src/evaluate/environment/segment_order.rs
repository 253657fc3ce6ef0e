//! The order in which segments that refer to segments are evaluated.

use std::sync::Arc;

use crate::evaluate::compiled::CompiledSegment;
use crate::evaluate::graph::components;
use crate::evaluate::slots::{Slot, at};

/// Segments nested deeper than this are not evaluated by recursion.
const RECURSION_LIMIT: u32 = 64;

/// Which segments cannot be evaluated by plain recursion, and in what order they can.
///
/// A segment is ordered when it leads to a circle or nests deeper than [`RECURSION_LIMIT`]. What
/// an ordered segment leads to is either not ordered, or comes before it or in its circle.
#[derive(Debug)]
pub(in crate::evaluate) struct SegmentOrder {
    ordered: Box<[bool]>,
    /// The ordered segments, each after all it leads to.
    pub(in crate::evaluate) components: Box<[OrderedComponent]>,
}

/// One ordered segment, or a circle of them.
#[derive(Debug)]
pub(in crate::evaluate) struct OrderedComponent {
    pub(in crate::evaluate) cyclic: bool,
    pub(in crate::evaluate) members: Box<[Slot]>,
    /// For each member the places, among the members, of those that refer to it.
    pub(in crate::evaluate) dependents: Box<[Box<[usize]>]>,
}

impl SegmentOrder {
    pub(super) fn of(segments: &[Option<Arc<CompiledSegment>>]) -> Self {
        let edges = |slot: Slot| -> &[Slot] {
            let segment = segments.get(at(slot)).and_then(Option::as_ref);
            segment.map_or(&[], |segment| &segment.origin.uses.segments)
        };
        let mut ordered = vec![false; segments.len()].into_boxed_slice();
        let mut depth = vec![0_u32; segments.len()];
        let mut found = Vec::new();
        for component in components(segments.len(), edges) {
            let targets = || component.members.iter().flat_map(|&member| edges(member));
            let deepest = targets().filter_map(|&target| depth.get(at(target))).max();
            let own_depth = deepest.map_or(0, |&deepest| deepest.saturating_add(1));
            let leads_to_ordered = targets().any(|&target| ordered.get(at(target)) == Some(&true));
            let is_ordered = component.cyclic || own_depth > RECURSION_LIMIT || leads_to_ordered;
            for &member in &component.members {
                if let (Some(depth), Some(ordered)) = (depth.get_mut(at(member)), ordered.get_mut(at(member))) {
                    (*depth, *ordered) = (own_depth, is_ordered);
                }
            }
            if is_ordered {
                let dependents = if component.cyclic { dependents(&component.members, edges) } else { Box::default() };
                let members = component.members.into_boxed_slice();
                found.push(OrderedComponent { cyclic: component.cyclic, members, dependents });
            }
        }
        Self { ordered, components: found.into_boxed_slice() }
    }

    pub(in crate::evaluate) fn is_ordered(&self, slot: Slot) -> bool {
        self.ordered.get(at(slot)) == Some(&true)
    }
}

fn dependents<'e>(members: &[Slot], edges: impl Fn(Slot) -> &'e [Slot]) -> Box<[Box<[usize]>]> {
    let mut dependents = vec![Vec::new(); members.len()];
    for (place, &member) in members.iter().enumerate() {
        for target in edges(member) {
            // Members are sorted.
            if let Some(list) = members.binary_search(target).ok().and_then(|at| dependents.get_mut(at)) {
                list.push(place);
            }
        }
    }
    dependents.into_iter().map(Vec::into_boxed_slice).collect()
}
