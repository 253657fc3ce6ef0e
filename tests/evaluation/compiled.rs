//! Compiling bit by bit: reuse, the budget for expressions, and whom a change touches.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use crate::support::{Environment, compile, flag, for_segment, in_segments, served, target};
use ff_relay::evaluate::{CompileOptions, CompiledEnvironment, Warning};
use serde_json::json;

#[test]
fn what_did_not_change_is_used_again() {
    let options = CompileOptions::default();
    let segment = json!({"identifier": "s", "included": [{"identifier": "t"}]});
    let first = Environment::new(&[for_segment("a", "s"), flag("b", &json!({}))], std::slice::from_ref(&segment));
    let second = Environment::new(
        &[flag("0", &json!({})), for_segment("a", "s"), flag("b", &json!({"state": "off"}))],
        &[segment, json!({"identifier": "0"})],
    );
    let (before, _) = compile(&first, None, &options);
    let (after, _) = compile(&second, Some(&before), &options);
    assert!(after.shares_flag(&before, "a"));
    assert!(after.shares_segment(&before, "s"));
    assert!(!after.shares_flag(&before, "b"));
    assert_eq!(served(&after, "a", &target("t")).as_deref(), Some("false"));
    assert_eq!(served(&after, "a", &target("u")).as_deref(), Some("true"));
    assert_eq!(served(&after, "b", &target("t")).as_deref(), Some("false"));
    assert_eq!(served(&before, "b", &target("t")).as_deref(), Some("true"));

    let other = CompileOptions { and_rules: false, ..options };
    let (with_other_options, _) = compile(&second, Some(&after), &other);
    assert!(!with_other_options.shares_flag(&after, "a"));
}

#[test]
fn a_segment_that_comes_later_is_found_by_a_flag_that_was_there() {
    let options = CompileOptions::default();
    let (before, warnings) = compile(&Environment::new(&[for_segment("a", "s")], &[]), None, &options);
    assert!(matches!(warnings.as_slice(), [Warning::UnknownSegment { .. }]), "{warnings:?}");
    let segment = json!({"identifier": "s", "included": [{"identifier": "t"}]});
    let both = Environment::new(&[for_segment("a", "s")], &[segment]);
    let (after, warnings) = compile(&both, Some(&before), &options);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(after.shares_flag(&before, "a"));
    assert_eq!(served(&after, "a", &target("t")).as_deref(), Some("false"));
}

#[test]
fn slots_that_nobody_uses_are_given_up_some_time() {
    let options = CompileOptions::default();
    let (mut environment, _) = compile(&Environment::default(), None, &options);
    for round in 0..60 {
        let flags: Vec<_> = (0..50).map(|at| flag(&format!("f{round}-{at}"), &json!({}))).collect();
        (environment, _) = compile(&Environment::new(&flags, &[]), Some(&environment), &options);
        assert!(environment.slot_count() < 1400, "{}", environment.slot_count());
        assert_eq!(environment.flag_count(), 50);
    }
}

#[test]
fn expressions_share_a_budget_in_the_order_of_identifiers() {
    let with_expression = |identifier: &str, expression: &str| {
        let clause = json!({"attribute": "identifier", "op": "match", "values": [expression]});
        let rule = json!({"priority": 1, "clauses": [clause], "serve": {"variation": "false"}});
        flag(identifier, &json!({"rules": [rule]}))
    };
    let options = CompileOptions {
        regex_bytes_per_expression: 256 << 10,
        regex_bytes_per_environment: 32 << 10,
        ..CompileOptions::default()
    };
    let flags = ["c", "b", "a"].map(|identifier| with_expression(identifier, "^t$"));
    let sources = Environment::new(&flags, &[]);
    let (full, warnings) = compile(&sources, None, &options);
    assert!(matches!(warnings.as_slice(), [Warning::ExpressionBudgetPassed { .. }]), "{warnings:?}");
    let answers = |environment: &CompiledEnvironment| {
        ["a", "b", "c"].map(|flag| served(environment, flag, &target("t")).unwrap())
    };
    assert_eq!(answers(&full), ["false", "false", "true"]);

    // Without "a" there is room for "c", which must be compiled again; with it, there is none.
    let fewer = Environment::new(&flags[..2], &[]);
    let (without, warnings) = compile(&fewer, Some(&full), &options);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(without.shares_flag(&full, "b") && !without.shares_flag(&full, "c"));
    assert_eq!(served(&without, "c", &target("t")).as_deref(), Some("false"));
    let (again, warnings) = compile(&sources, Some(&without), &options);
    assert_eq!(warnings.len(), 1);
    assert_eq!(answers(&again), answers(&full));

    let huge = Environment::new(&[with_expression("f", r"\pL{900}")], &[]);
    let wide = CompileOptions { regex_bytes_per_environment: 64 << 20, ..options };
    let (_, warnings) = compile(&huge, None, &wide);
    assert!(matches!(warnings.as_slice(), [Warning::ExpressionTooLarge { .. }]), "{warnings:?}");
}

#[test]
fn a_change_touches_all_who_depend_on_it() {
    let requires = |identifier: &str, feature: &str| {
        flag(identifier, &json!({"prerequisites": [{"feature": feature, "variations": ["true"]}]}))
    };
    let mapped = json!({"variationToTargetMap": [{"variation": "false", "targetSegments": ["outer"]}]});
    let flags = [
        flag("alone", &json!({})),
        for_segment("rule", "inner"),
        flag("map", &mapped),
        requires("child", "rule"),
        requires("grandchild", "child"),
        requires("of-missing", "missing"),
        for_segment("of-missing-segment", "missing"),
    ];
    let segments = [
        json!({"identifier": "inner"}),
        json!({"identifier": "outer", "servingRules": [{"clauses": [in_segments(&["inner"])]}]}),
    ];
    let (environment, _) = compile(&Environment::new(&flags, &segments), None, &CompileOptions::default());
    for (changed_flags, changed_segments, expected) in [
        (&["alone"][..], &[][..], &["alone"][..]),
        (&["rule"], &[], &["child", "grandchild", "rule"]),
        (&[], &["inner"], &["child", "grandchild", "map", "rule"]),
        (&[], &["outer"], &["map"]),
        (&["missing"], &[], &["missing", "of-missing"]),
        (&[], &["missing"], &["of-missing-segment"]),
        (&["never-heard-of"], &["nor-of-this"], &["never-heard-of"]),
        (&["grandchild"], &["outer"], &["grandchild", "map"]),
        (&[], &[], &[]),
    ] {
        let affected = environment.affected_flags(changed_flags, changed_segments);
        let affected: Vec<&str> = affected.iter().map(AsRef::as_ref).collect();
        assert_eq!(affected, expected, "{changed_flags:?} {changed_segments:?}");
    }
}
