use super::answer::FlagAnswer;
use super::environment::CompiledEnvironment;
use super::explanation::{Explanation, explain};
use super::trace::Silent;
use super::walk::Walk;
use crate::model::Target;

/// The evaluation of one request: one environment, one target.
///
/// Texts of attributes, hashes, buckets, segment memberships and prerequisites are computed when
/// they are first needed and kept until the request is answered.
#[derive(Debug)]
pub struct Evaluator<'a> {
    environment: &'a CompiledEnvironment,
    target: &'a Target,
    walk: Walk<'a>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(environment: &'a CompiledEnvironment, target: &'a Target) -> Self {
        Self { environment, target, walk: Walk::new(environment, target) }
    }

    /// What a flag answers; `None` when there is no such flag.
    pub fn flag(&mut self, identifier: &str) -> Option<FlagAnswer<'a>> {
        let flag = self.environment.flag_named(identifier)?;
        Some(FlagAnswer::new(flag, self.walk.answer(flag, &mut Silent)))
    }

    /// What every flag answers, sorted by the bytes of the flags' identifiers.
    pub fn all(&mut self, mut each: impl FnMut(FlagAnswer<'a>)) {
        for flag in self.environment.flags() {
            each(FlagAnswer::new(flag, self.walk.answer(flag, &mut Silent)));
        }
    }

    /// What a flag answers and why; `None` when there is no such flag.
    pub fn explain(&mut self, identifier: &str) -> Option<Explanation> {
        let flag = self.environment.flag_named(identifier)?;
        // What this request already knows would be missing from the explanation.
        Some(explain(self.environment, self.target, flag))
    }
}
