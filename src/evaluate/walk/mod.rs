//! The evaluator: evaluation.md, step by step. Everything computed is kept for the request.

mod attributes;
mod clause;
mod flag;
mod held;
mod prerequisites;
mod scratch;
mod segments;

pub(super) use self::scratch::{Kept, Scratch};
use super::environment::CompiledEnvironment;
use crate::model::Target;

/// One request's evaluation, and what it knows so far.
#[derive(Debug)]
pub(super) struct Walk<'a, 's> {
    environment: &'a CompiledEnvironment,
    target: &'a Target,
    scratch: &'s mut Scratch,
}

impl<'a, 's> Walk<'a, 's> {
    /// `scratch` was begun for this environment, and is this target's since.
    #[inline]
    pub(super) fn new(environment: &'a CompiledEnvironment, target: &'a Target, scratch: &'s mut Scratch) -> Self {
        Self { environment, target, scratch }
    }
}
