//! A change of flags that leaves everything around them as it is: the common one.

use std::sync::Arc;

use super::CompiledEnvironment;
use crate::evaluate::compile::{CompileError, CompileOptions, Compiler, Source, compile_flag};
use crate::evaluate::compiled::Origin;
use crate::evaluate::slots::{Kind, Slots, at};
use crate::evaluate::warning::Subject;

pub(super) fn with_flags(
    environment: &CompiledEnvironment,
    changed: &[Source<'_>],
    options: &CompileOptions,
) -> Result<Option<CompiledEnvironment>, CompileError> {
    if environment.options != *options {
        return Ok(None);
    }
    let budget = options.regex_bytes_per_environment;
    let mut expressions = environment.expressions;
    let mut slots = Arc::clone(&environment.slots);
    let mut compiled = Vec::with_capacity(changed.len());
    for source in changed {
        let before = slots.find(Kind::Flag, source.identifier).and_then(|slot| environment.flag(slot));
        let Some(before) = before else {
            return Ok(None);
        };
        let left = budget.saturating_sub(expressions.charged);
        let compiler = Compiler::new(&mut slots, options, Subject::Flag(Arc::from(source.identifier)), left);
        let flag = compile_flag(compiler, before.origin.slot, source)?;
        expressions = expressions.and(flag.origin.expressions);
        if !hangs_as(&flag.origin, &before.origin) {
            return Ok(None);
        }
        compiled.push(flag);
    }
    // Only far from the budget's end it does not matter who comes first. What the forms before
    // were charged is still counted: too much at worst, and then all of it is looked at.
    let far = expressions.charged.saturating_add(expressions.needed) <= budget;
    if expressions.clipped || !far || !has_the_names_of(&slots, &environment.slots) {
        return Ok(None);
    }
    let mut flags = environment.flags.clone();
    for flag in compiled {
        if let Some(place) = flags.get_mut(at(flag.origin.slot)) {
            *place = Some(Arc::new(flag));
        }
    }
    let (frame, options) = (Arc::clone(&environment.frame), environment.options);
    Ok(Some(CompiledEnvironment { slots, options, flags, frame, expressions }))
}

/// Whether one form in place of the other changes nothing around it.
fn hangs_as(form: &Origin, before: &Origin) -> bool {
    form.uses == before.uses && form.warnings == before.warnings
}

/// New names of attributes, too, need a look at how many are in use.
fn has_the_names_of(slots: &Arc<Slots>, before: &Arc<Slots>) -> bool {
    Arc::ptr_eq(slots, before)
}
