//! The evaluator: evaluation.md, step by step. Everything computed is kept for the request.

mod attributes;
mod clause;
mod flag;
mod prerequisites;
mod segments;

use std::hash::BuildHasher;

use self::attributes::AttributeText;
use self::flag::Served;
use self::prerequisites::Met;
use super::compiled::CompiledFlag;
use super::environment::CompiledEnvironment;
use super::explanation::SegmentOutcome;
use crate::model::Target;

/// One request's evaluation, and what it knows so far; lists are by slot.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    environment: &'a CompiledEnvironment,
    target: &'a Target,
    identifier_hash: u64,
    texts: Vec<Option<AttributeText<'a>>>,
    buckets: Vec<Option<u8>>,
    memberships: Vec<Option<SegmentOutcome>>,
    ordered_segments_done: bool,
    served: Vec<Served>,
    met: Vec<Met>,
    /// Prerequisites being checked: each flag and the next of its list. Empty between walks.
    path: Vec<(&'a CompiledFlag, usize)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(environment: &'a CompiledEnvironment, target: &'a Target) -> Self {
        let slots = &environment.slots;
        Self {
            environment,
            target,
            identifier_hash: slots.hasher.hash_one(target.identifier.as_str()),
            texts: std::iter::repeat_with(|| None).take(slots.attributes.len()).collect(),
            buckets: vec![None; slots.attributes.len()],
            memberships: vec![None; slots.segments.len()],
            ordered_segments_done: false,
            served: vec![Served::UNKNOWN; slots.flags.len()],
            met: vec![Met::Unknown; slots.flags.len()],
            path: Vec::new(),
        }
    }
}
