//! Options whose feature does not exist yet.

use super::error::Problem;
use super::option_spec::{Status, Variable};
use super::remarks::is_unused;
use super::settings::Settings;

/// Refuses what is asked for, would be in effect, and does not exist: one problem per feature, with
/// the names of all its options.
pub(super) fn find(settings: &Settings, problems: &mut Vec<Problem>) {
    let mut missing: Vec<(&'static str, Vec<&'static str>)> = Vec::new();
    for setting in settings.0.iter().filter(|setting| setting.is_asked_for()) {
        // `HTTPS_PROXY` and its kin are there for every program, and ask nothing of this one.
        if setting.spec.variable == Variable::EitherCase {
            continue;
        }
        let Status::NotYet(feature) = setting.spec.status else {
            continue;
        };
        // A value that was refused has its own problem already.
        if setting.value.is_none() || is_unused(settings, setting) {
            continue;
        }
        match missing.iter_mut().find(|(name, _)| *name == feature) {
            Some((_, options)) => options.push(setting.spec.flag),
            None => missing.push((feature, vec![setting.spec.flag])),
        }
    }
    problems
        .extend(missing.into_iter().map(|(feature, options)| Problem::NotYet { options: options.join(", "), feature }));
}
