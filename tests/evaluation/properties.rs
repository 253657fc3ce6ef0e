//! What holds for every environment.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeMap;

use crate::generated::{environment, target};
use crate::support::Environment;
use ff_relay::evaluate::{CompileOptions, CompiledEnvironment, Warning};
use ff_relay::model::Target;
use proptest::prelude::*;
use serde_json::Value;

type Answers = BTreeMap<String, Option<String>>;

fn compile(sources: &Environment, previous: Option<&CompiledEnvironment>) -> (CompiledEnvironment, Vec<Warning>) {
    // Room for a few expressions only, so that the budget plays its part.
    let options = CompileOptions { regex_bytes_per_environment: 48 << 10, ..CompileOptions::default() };
    CompiledEnvironment::compile(&sources.flags(), &sources.segments(), previous, &options).unwrap()
}

fn answers(environment: &CompiledEnvironment, target: &Target) -> Answers {
    let mut answers = Answers::new();
    environment.evaluator(target).all(|answer| {
        let variation = answer.variation.map(|variation| variation.identifier.to_string());
        answers.insert(answer.identifier.to_owned(), variation);
    });
    answers
}

fn sources((flags, segments): &(Vec<Value>, Vec<Value>)) -> Environment {
    Environment::new(flags, segments)
}

/// Identifiers of those that differ, came or went.
fn changed(before: &[(String, String)], after: &[(String, String)]) -> Vec<String> {
    let before: BTreeMap<_, _> = before.iter().cloned().collect();
    let after: BTreeMap<_, _> = after.iter().cloned().collect();
    let all = before.keys().chain(after.keys());
    all.filter(|identifier| before.get(*identifier) != after.get(*identifier)).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_the_lists_makes_no_difference(
        (parts, shuffled) in environment().prop_flat_map(|(flags, segments)| {
            let shuffled = (Just(flags.clone()).prop_shuffle(), Just(segments.clone()).prop_shuffle());
            (Just((flags, segments)), shuffled)
        }),
        target in target(),
    ) {
        let (one, one_warnings) = compile(&sources(&parts), None);
        let (other, other_warnings) = compile(&sources(&shuffled), None);
        prop_assert_eq!(answers(&one, &target), answers(&other, &target));
        prop_assert_eq!(one_warnings, other_warnings);
    }

    #[test]
    fn compiling_bit_by_bit_gives_the_same_as_afresh(
        steps in prop::collection::vec(environment(), 2..5),
        target in target(),
    ) {
        let mut previous: Option<CompiledEnvironment> = None;
        for step in &steps {
            let sources = sources(step);
            let (afresh, afresh_warnings) = compile(&sources, None);
            let (bit_by_bit, warnings) = compile(&sources, previous.as_ref());
            prop_assert_eq!(answers(&afresh, &target), answers(&bit_by_bit, &target));
            prop_assert_eq!(afresh_warnings, warnings);
            previous = Some(bit_by_bit);
        }
    }

    #[test]
    fn one_flag_alone_all_flags_and_the_explanation_agree(parts in environment(), target in target()) {
        let (environment, _) = compile(&sources(&parts), None);
        let all = answers(&environment, &target);
        prop_assert!(all.keys().map(String::as_str).eq(environment.flag_identifiers()));
        for (flag, expected) in &all {
            let mut alone = environment.evaluator(&target);
            let variation = alone.flag(flag).unwrap().variation.map(|variation| variation.identifier.to_string());
            prop_assert_eq!(&variation, expected, "{} alone", flag);
            let explanation = alone.explain(flag).unwrap();
            prop_assert_eq!(&explanation.variation, expected, "{} explained", flag);
            prop_assert!(serde_json::to_value(&explanation).is_ok());
        }
        prop_assert!(environment.evaluator(&target).flag("no such flag").is_none());
    }

    #[test]
    fn whatever_changes_its_answer_was_among_the_affected(
        before in environment(),
        after in environment(),
        targets in prop::collection::vec(target(), 1..4),
    ) {
        let (before_sources, after_sources) = (sources(&before), sources(&after));
        let wide = CompileOptions::default();
        let compile = |sources: &Environment, previous: Option<&CompiledEnvironment>| {
            CompiledEnvironment::compile(&sources.flags(), &sources.segments(), previous, &wide).unwrap().0
        };
        let old = compile(&before_sources, None);
        let new = compile(&after_sources, Some(&old));
        let flags = changed(&before_sources.flags, &after_sources.flags);
        let segments = changed(&before_sources.segments, &after_sources.segments);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let affected = new.affected_flags(&flags, &segments);
        prop_assert!(affected.is_sorted());
        for target in &targets {
            let (old, new) = (answers(&old, target), answers(&new, target));
            for flag in old.keys().chain(new.keys()) {
                if old.get(flag) != new.get(flag) {
                    prop_assert!(affected.iter().any(|affected| **affected == **flag), "{}", flag);
                }
            }
        }
    }
}
