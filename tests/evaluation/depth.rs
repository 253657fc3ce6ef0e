//! Circles, long chains and dense graphs: no overflow, no endless walk.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use crate::support::Environment;
use ff_relay::evaluate::{CompileOptions, CompiledEnvironment, PrerequisiteOutcome, Reason};
use ff_relay::model::Target;
use serde_json::{Value, json};

fn flag(identifier: &str, prerequisites: &[&str]) -> Value {
    let prerequisites: Vec<_> =
        prerequisites.iter().map(|feature| json!({"feature": feature, "variations": ["on"]})).collect();
    json!({
        "feature": identifier, "kind": "string", "state": "on", "offVariation": "off",
        "defaultServe": {"variation": "on"}, "prerequisites": prerequisites,
        "variations": [{"identifier": "on", "value": "1"}, {"identifier": "off", "value": "0"}],
    })
}

fn for_segment(identifier: &str, segment: &str) -> Value {
    let mut flag = flag(identifier, &[]);
    let clause = json!({"op": "segmentMatch", "values": [segment]});
    flag["rules"] = json!([{"clauses": [clause], "serve": {"variation": "off"}}]);
    flag
}

fn compile(flags: &[Value], segments: &[Value]) -> CompiledEnvironment {
    let sources = Environment::new(flags, segments);
    CompiledEnvironment::compile(&sources.flags(), &sources.segments(), None, &CompileOptions::default()).unwrap().0
}

fn all(environment: &CompiledEnvironment, target: &Target) -> Vec<(String, Option<String>)> {
    let mut answers = Vec::new();
    environment.evaluator(target).all(|answer| {
        let variation = answer.variation.map(|variation| variation.identifier.to_string());
        answers.push((answer.identifier.to_owned(), variation));
    });
    answers
}

fn target() -> Target {
    Target { identifier: "t".to_owned(), ..Target::default() }
}

#[test]
fn every_flag_that_leads_into_a_circle_is_off() {
    let flags = [
        flag("a", &["b"]),
        flag("b", &["c"]),
        flag("c", &["b"]),
        flag("self", &["self"]),
        flag("free", &[]),
        flag("user-of-free", &["free"]),
        flag("d", &["user-of-free", "a"]),
        // A missing flag ends the list before the circle is reached.
        flag("saved", &["missing", "b"]),
    ];
    let environment = compile(&flags, &[]);
    let off = ["a", "b", "c", "d", "self"];
    for (flag, variation) in all(&environment, &target()) {
        let expected = if off.contains(&flag.as_str()) { "off" } else { "on" };
        assert_eq!(variation.as_deref(), Some(expected), "{flag}");
        // Asked alone the answer is the same.
        let target = target();
        let alone = environment.evaluator(&target).flag(&flag).unwrap().variation.unwrap();
        assert_eq!(&*alone.identifier, expected, "{flag} alone");
    }
    let target = target();
    let explanation = environment.evaluator(&target).explain("a").unwrap();
    assert_eq!(explanation.reason, Reason::PrerequisiteNotMet);
    let outcomes: Vec<_> = explanation.prerequisites.iter().map(|step| step.outcome).collect();
    assert_eq!(outcomes, [PrerequisiteOutcome::Met, PrerequisiteOutcome::Met, PrerequisiteOutcome::Circle]);
}

#[test]
fn a_circle_of_segments_makes_nobody_a_member_but_those_it_lists() {
    let refers = |identifier: &str, to: &str, included: &[&str]| {
        let included: Vec<_> = included.iter().map(|identifier| json!({"identifier": identifier})).collect();
        let clause = json!({"op": "segmentMatch", "values": [to]});
        json!({"identifier": identifier, "included": included, "rules": [clause]})
    };
    let segments = [
        refers("a", "b", &[]),
        refers("b", "c", &[]),
        refers("c", "a", &["t"]),
        refers("x", "y", &[]),
        refers("y", "x", &[]),
        refers("self", "self", &[]),
        refers("into-x", "x", &[]),
    ];
    let names = ["a", "b", "c", "x", "y", "self", "into-x"];
    let flags: Vec<_> = names.iter().map(|name| for_segment(&format!("f-{name}"), name)).collect();
    let environment = compile(&flags, &segments);
    for (flag, variation) in all(&environment, &target()) {
        let member = ["f-a", "f-b", "f-c"].contains(&flag.as_str());
        assert_eq!(variation.as_deref(), Some(if member { "off" } else { "on" }), "{flag}");
        let target = target();
        let alone = environment.evaluator(&target).flag(&flag).unwrap().variation.unwrap();
        assert_eq!(Some(&*alone.identifier), variation.as_deref(), "{flag} alone");
    }
    let stranger = Target { identifier: "u".to_owned(), ..Target::default() };
    assert!(all(&environment, &stranger).iter().all(|(_, variation)| variation.as_deref() == Some("on")));
}

#[test]
fn long_chains_do_not_overflow_the_stack() {
    const LONG: usize = 200_000;
    let name = |at: usize| format!("n{at:06}");
    let flag = |at: usize, to: usize| {
        let json = format!(
            r#"{{"state":"on","offVariation":"off","defaultServe":{{"variation":"on"}},
            "variations":[{{"identifier":"on"}},{{"identifier":"off"}}],
            "prerequisites":[{{"feature":"{}","variations":["on"]}}]}}"#,
            name(to)
        );
        (name(at), json)
    };
    let segment = |at: usize| {
        let included = if at == LONG - 1 { r#"{"identifier":"t"}"# } else { "" };
        let to = name(at + 1);
        let json = format!(r#"{{"included":[{included}],"rules":[{{"op":"segmentMatch","values":["{to}"]}}]}}"#);
        (name(at), json)
    };
    let compile = |sources: &Environment| crate::support::compile(sources, None, &CompileOptions::default()).0;
    let mut sources = Environment {
        flags: (0..LONG).map(|at| flag(at, at + 1)).collect(),
        segments: (0..LONG).map(segment).collect(),
    };
    let by_segment = for_segment("by-segment", &name(0)).to_string();
    sources.flags.push(("by-segment".to_owned(), by_segment));
    let environment = compile(&sources);
    let answers = all(&environment, &target());
    assert_eq!(answers.len(), LONG + 1);
    for (flag, variation) in &answers {
        let expected = if flag == "by-segment" { "off" } else { "on" };
        assert_eq!(variation.as_deref(), Some(expected), "{flag}");
    }
    assert_eq!(environment.affected_flags(&[&name(LONG - 1)], &[]).len(), LONG);
    assert_eq!(environment.affected_flags(&[], &[&name(LONG - 1)]).len(), 1);

    // And the same as one large circle.
    sources.segments.clear();
    sources.flags.push(flag(LONG, 0));
    let environment = compile(&sources);
    let on = all(&environment, &target()).iter().filter(|(_, v)| v.as_deref() == Some("on")).count();
    assert_eq!(on, 1);
}

#[test]
fn dense_graphs_are_walked_once() {
    const NODES: usize = 300;
    let name = |at: usize| format!("n{at:03}");
    let names: Vec<_> = (0..NODES).map(name).collect();
    let after = |at: usize| names.iter().skip(at + 1).map(String::as_str).collect::<Vec<_>>();
    let mut flags: Vec<_> = (0..NODES).map(|at| flag(&name(at), &after(at))).collect();
    flags.push(for_segment("by-segment", &name(0)));
    flags.push(for_segment("by-circle", "c000"));
    let clauses = |targets: Vec<String>| -> Vec<Value> {
        targets.into_iter().map(|target| json!({"op": "segmentMatch", "values": [target]})).collect()
    };
    let nested =
        |at: usize| json!({"identifier": name(at), "rules": clauses(names.iter().skip(at + 1).cloned().collect())});
    let circle = |at: usize| {
        let all = (0..NODES).map(|to| format!("c{to:03}")).collect();
        json!({"identifier": format!("c{at:03}"), "rules": clauses(all)})
    };
    let segments: Vec<_> = (0..NODES).map(nested).chain((0..NODES).map(circle)).collect();
    let environment = compile(&flags, &segments);
    assert!(all(&environment, &target()).iter().all(|(_, variation)| variation.as_deref() == Some("on")));
    let target = target();
    let explanation = environment.evaluator(&target).explain("by-circle").unwrap();
    assert_eq!(explanation.segments.len(), NODES);
}
