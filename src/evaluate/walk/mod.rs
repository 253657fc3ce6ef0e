//! The evaluator: evaluation.md, step by step. Everything computed is kept for the request.

mod attributes;
mod clause;
mod flag;
mod prerequisites;
mod scratch;
mod segments;

use self::scratch::Borrowed;
use super::environment::CompiledEnvironment;
use crate::model::Target;

/// One request's evaluation, and what it knows so far.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    environment: &'a CompiledEnvironment,
    target: &'a Target,
    identifier_hash: Option<u64>,
    scratch: Borrowed,
}

impl<'a> Walk<'a> {
    pub(super) fn new(environment: &'a CompiledEnvironment, target: &'a Target) -> Self {
        Self { environment, target, identifier_hash: None, scratch: Borrowed::for_evaluation_in(environment) }
    }
}
