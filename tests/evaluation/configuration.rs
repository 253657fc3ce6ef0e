//! Odd configuration: what is warned about, what is refused, and how it is read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use crate::support::{Environment, compile, flag, for_segment, in_segments, served, target};
use ff_relay::evaluate::{CompileOptions, CompiledEnvironment};
use ff_relay::model::Target;
use serde_json::{Value, json};

#[test]
fn odd_configuration_is_warned_about_and_served() {
    let rule = |clauses: Value, serve: Value| json!({"priority": 1, "clauses": clauses, "serve": serve});
    let flags = [
        flag(
            "weights",
            &json!({"defaultServe": {"distribution": {"bucketBy": "identifier", "variations": [
            {"variation": "true", "weight": 50.0}, {"variation": "gone", "weight": 49}]}}}),
        ),
        flag(
            "expression",
            &json!({"rules": [rule(
            json!([{"attribute": "identifier", "op": "match", "values": ["a**"]}]), json!({"variation": "false"}))]}),
        ),
        flag(
            "operator",
            &json!({"rules": [rule(
            json!([{"attribute": "identifier", "op": "like", "values": ["a"]}]), json!({"variation": "false"}))]}),
        ),
        flag("prerequisite", &json!({"prerequisites": [{"feature": "gone", "variations": ["true"]}]})),
        flag("empty", &json!({"variations": null})),
        flag("c1", &json!({"prerequisites": [{"feature": "c2", "variations": ["true"]}]})),
        flag("c2", &json!({"prerequisites": [{"feature": "c1", "variations": ["true"]}]})),
    ];
    let segments = [json!({"identifier": "s", "rules": [in_segments(&["s", "gone"])]})];
    let (environment, warnings) = compile(&Environment::new(&flags, &segments), None, &CompileOptions::default());
    let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    for expected in [
        "flag \"weights\" has a rollout whose weights add up to 99, not 100, in its default",
        "flag \"weights\" has no variation \"gone\", which its default names: serving it gives no answer",
        "flag \"expression\" has the invalid regular expression \"a**\" (repetition of a repetition): the clause never holds",
        "flag \"operator\" uses the unknown operator \"like\": the clause never holds",
        "flag \"prerequisite\" has the unknown prerequisite \"gone\": it counts as met, as do those after it",
        "flag \"empty\" has no variations: it cannot be evaluated",
        "prerequisites lead round in a circle: \"c1\", \"c2\"; such flags answer their off variation",
        "segments lead round in a circle: \"s\"; nobody is a member on account of the circle itself",
        "segment \"s\" refers to the unknown segment \"gone\", which is skipped",
    ] {
        assert!(texts.iter().any(|text| text == expected), "{expected}\nnot in\n{}", texts.join("\n"));
    }
    assert_eq!(texts.len(), 9, "{texts:#?}");
    let target = target("abc");
    for (flag, variation) in [
        ("expression", Some("true")),
        ("operator", Some("true")),
        ("prerequisite", Some("true")),
        ("empty", None),
        ("c1", Some("false")),
        ("c2", Some("false")),
    ] {
        assert_eq!(served(&environment, flag, &target).as_deref(), variation, "{flag}");
    }
}

#[test]
fn a_wrong_shape_is_an_error_that_names_the_part() {
    let flags = [flag("good", &json!({})), flag("bad", &json!({"rules": "none"}))];
    let sources = Environment::new(&flags, &[]);
    let error = CompiledEnvironment::compile(&sources.flags(), &[], None, &CompileOptions::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("flag \"bad\" has the wrong shape: invalid type: string \"none\""), "{text}");

    for fields in
        [json!({"version": 1.5}), json!({"state": 1}), json!({"variations": [{"identifier": "a", "value": 1}]})]
    {
        let sources = Environment::new(&[flag("f", &fields)], &[]);
        let compiled = CompiledEnvironment::compile(&sources.flags(), &[], None, &CompileOptions::default());
        assert!(compiled.is_err(), "{fields}");
    }
}

#[test]
fn leniently_read_fields_are_read() {
    let flags = [flag("f", &json!({"version": 2.0, "rules": null, "prerequisites": null, "unknown": {"a": [1]}}))];
    let mut sources = Environment::new(&flags, &[]);
    // A field given twice: the last one counts.
    sources.flags.push(("twice".to_owned(), flags[0].to_string().replacen('{', "{\"state\":\"off\",", 1)));
    let (environment, warnings) = compile(&sources, None, &CompileOptions::default());
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(served(&environment, "f", &target("t")).as_deref(), Some("true"));
    assert_eq!(served(&environment, "twice", &target("t")).as_deref(), Some("true"));
}

#[test]
fn the_last_of_an_identifier_counts() {
    let flags = [flag("f", &json!({})), flag("f", &json!({"state": "off"}))];
    let (environment, warnings) = compile(&Environment::new(&flags, &[]), None, &CompileOptions::default());
    assert_eq!(served(&environment, "f", &target("t")).as_deref(), Some("false"));
    assert_eq!(warnings[0].to_string(), "flag \"f\" is listed more than once, the last one counts");
    assert_eq!(environment.flag_count(), 1);
}

#[test]
fn without_and_rules_the_first_clauses_stand_in() {
    let clause = |value: &str| json!({"attribute": "name", "op": "equal", "values": [value]});
    let serving = json!([{"clauses": [clause("a"), clause("never")]}, {"clauses": [clause("b")]}, {"clauses": []}]);
    let segments = [
        json!({"identifier": "filled", "rules": [], "servingRules": serving}),
        json!({"identifier": "kept", "rules": [clause("c")], "servingRules": serving}),
    ];
    let flags = [for_segment("filled", "filled"), for_segment("kept", "kept")];
    let sources = Environment::new(&flags, &segments);
    for (and_rules, filled, kept) in [(true, "b", "b"), (false, "ab", "c")] {
        let options = CompileOptions { and_rules, ..CompileOptions::default() };
        let (environment, _) = compile(&sources, None, &options);
        for name in ["a", "b", "c"] {
            let target = Target { name: name.to_owned(), ..target("t") };
            for (flag, members) in [("filled", filled), ("kept", kept)] {
                let member = served(&environment, flag, &target).as_deref() == Some("false");
                assert_eq!(member, members.contains(name), "{flag} {name} {and_rules}");
            }
        }
    }
}
