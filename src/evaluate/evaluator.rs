use super::answer::FlagAnswer;
use super::environment::CompiledEnvironment;
use super::explanation::{Explanation, explain};
use super::trace::Silent;
use super::walk::{Kept, Walk};
use crate::model::Target;

/// The evaluation of one request: one environment, one target.
///
/// Texts of attributes, hashes, buckets, segment memberships and prerequisites are computed when
/// they are first needed and kept until the request is answered.
#[derive(Debug)]
pub struct Evaluator<'a> {
    environment: &'a CompiledEnvironment,
    target: &'a Target,
    kept: Kept,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(environment: &'a CompiledEnvironment, target: &'a Target) -> Self {
        Self { environment, target, kept: Kept::for_evaluation_in(environment) }
    }

    fn walk(&mut self) -> Walk<'a, '_> {
        Walk::new(self.environment, self.target, self.kept.get())
    }

    /// What a flag answers; `None` when there is no such flag.
    pub fn flag(&mut self, identifier: &str) -> Option<FlagAnswer<'a>> {
        let flag = self.environment.flag_named(identifier)?;
        Some(FlagAnswer::new(flag, self.walk().answer(flag, &mut Silent)))
    }

    /// What every flag answers, sorted by the bytes of the flags' identifiers.
    pub fn all(&mut self, mut each: impl FnMut(FlagAnswer<'a>)) {
        let environment = self.environment;
        let mut walk = self.walk();
        for flag in environment.flags() {
            each(FlagAnswer::new(flag, walk.answer(flag, &mut Silent)));
        }
    }

    /// What a flag answers and why; `None` when there is no such flag.
    pub fn explain(&mut self, identifier: &str) -> Option<Explanation> {
        let flag = self.environment.flag_named(identifier)?;
        // What this request already knows would be missing from the explanation.
        Some(explain(self.environment, self.target, flag))
    }
}
