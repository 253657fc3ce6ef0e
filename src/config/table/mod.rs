//! The option table: every option, once.

mod harness;
mod listener;
mod operation;
mod shared;
mod source;

use super::option_spec::OptionSpec;

/// Every option, ordered by where it is declared; help and README order it by group.
pub fn all() -> impl Iterator<Item = &'static OptionSpec> {
    [source::OPTIONS, listener::OPTIONS, operation::OPTIONS, harness::OPTIONS, shared::OPTIONS].into_iter().flatten()
}

/// The option of that flag name.
#[must_use]
pub fn find(flag: &str) -> Option<&'static OptionSpec> {
    all().find(|spec| spec.flag == flag)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::option_spec::{Fallback, Group};
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names = HashSet::new();
        for spec in all() {
            assert!(names.insert(spec.flag.to_owned()), "{} twice", spec.flag);
            for variable in [spec.variable_name(), spec.file_variable_name()].into_iter().flatten() {
                assert!(names.insert(variable.clone()), "{variable} twice");
            }
        }
    }

    #[test]
    fn defaults_are_valid() {
        for spec in all() {
            if let Fallback::Text(text) = spec.fallback {
                assert!(spec.kind.parse(text).is_some(), "-{}: {text}", spec.flag);
            }
        }
    }

    #[test]
    fn every_option_is_in_a_group_that_help_shows() {
        assert!(all().all(|spec| Group::ALL.contains(&spec.group)));
        assert!(Group::ALL.iter().all(|group| all().any(|spec| spec.group == *group)));
    }
}
