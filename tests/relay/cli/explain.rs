//! `explain`: what a person reads, to the letter.

use ff_relay::proto::inspect::v1 as proto;
use ff_relay::proto::inspect::v1::explain_evaluation_request::Subject;
use serde_json::json;

use super::Shell;
use super::fake::{ENVIRONMENT, Fake, Script};

fn clause(attribute: &str, op: &str, values: &[&str], text: &str, held: bool) -> proto::ClauseStep {
    proto::ClauseStep {
        attribute: attribute.into(),
        op: op.into(),
        values: values.iter().map(ToString::to_string).collect(),
        value_count: values.len() as u64 + u64::from(op == "in") * 3,
        text: text.into(),
        segments: Vec::new(),
        held,
    }
}

fn explanation() -> proto::ExplainEvaluationResponse {
    let beta = proto::SegmentReference { segment: "beta".into(), outcome: proto::SegmentOutcome::Rule.into() };
    let member = proto::ClauseStep { segments: vec![beta.clone()], ..clause("", "segmentMatch", &["beta"], "", true) };
    let share = |variation: &str, weight| proto::ShareStep { variation: variation.into(), weight };
    proto::ExplainEvaluationResponse {
        flag: "dark-mode".into(),
        kind: "string".into(),
        on: true,
        target_json: br#"{"identifier":"jo"}"#.to_vec(),
        target_origin: proto::TargetOrigin::Learnt.into(),
        reason: proto::Reason::Rule.into(),
        variation: Some("blue".into()),
        value: Some("00f".into()),
        prerequisites: vec![proto::PrerequisiteStep {
            of: "dark-mode".into(),
            flag: "login".into(),
            wanted: vec!["on".into(), "beta".into()],
            wanted_count: 2,
            served: Some("on".into()),
            outcome: proto::PrerequisiteOutcome::Met.into(),
        }],
        target_map: vec![proto::MapStep {
            variation: "red".into(),
            listed: false,
            segments: vec![proto::SegmentReference {
                segment: "vip".into(),
                outcome: proto::SegmentOutcome::NotMember.into(),
            }],
            held: false,
        }],
        rules: vec![
            proto::RuleStep {
                rule: "mail".into(),
                priority: 1,
                clauses: vec![clause("email", "ends_with", &["@x.org"], "jo@y.org", false)],
                held: false,
            },
            proto::RuleStep {
                rule: "members".into(),
                priority: 2,
                clauses: vec![clause("tier", "in", &["gold", "silver"], "gold", true), member],
                held: true,
            },
        ],
        distributions: vec![proto::BucketStep {
            bucket_by: "identifier".into(),
            bucket: Some(57),
            shares: vec![share("red", 50), share("blue", 50)],
            variation: "blue".into(),
        }],
        segments: vec![proto::SegmentStep {
            segment: "beta".into(),
            outcome: proto::SegmentOutcome::Rule.into(),
            rules: vec![proto::SegmentRuleStep { clauses: vec![clause("age", "gt", &["18"], "", false)] }],
        }],
        served_version: 12,
    }
}

const TEXT: &str = r#"flag     dark-mode (string, on, served version 12)
target   {"identifier":"jo"} (brought by an SDK)
serves   blue (value "00f")
because  rule members holds

prerequisites
  ✓ login (of dark-mode): serves "on", one of "on", "beta"

target map
  ✗ red: does not list the target (segments: vip not member)

rules
  ✗ mail (priority 1): does not hold
      ✗ email ends_with "@x.org": it is "jo@y.org"
  ✓ members (priority 2): holds
      ✓ tier in "gold", "silver" and 3 more: it is "gold"
      ✓ member of "beta" (segments: beta rule)

rollout by identifier: bucket 57 of 100
  1–50      50 %  red
  51–100    50 %  blue  ←
  serves blue

segments
  ✓ beta: a rule holds
      rule 1
        ✗ age gt "18": the target has none
"#;

#[test]
fn every_step_is_told() {
    let fake = Fake::start(Script { explanation: explanation(), ..Script::default() });
    let shell = Shell::at(fake.address, "t");
    assert_eq!(shell.run(&["explain", "--flag", "dark-mode", "--target", "jo"]).good(), TEXT);
    let asked = fake.asked.lock().unwrap().explain.clone().unwrap();
    assert_eq!((asked.environment_id.as_str(), asked.flag.as_str()), (ENVIRONMENT, "dark-mode"));
    assert_eq!(asked.subject, Some(Subject::TargetIdentifier("jo".into())));
    let target = r#"{"identifier":"jo"}"#;
    let words = ["explain", "--environment", "e", "--flag", "f", "--target-json", target, "--output", "json"];
    let value = shell.run(&words).json();
    assert_eq!(fake.asked.lock().unwrap().explain.clone().unwrap().subject, Some(Subject::TargetJson(target.into())));
    assert_eq!((&value["variation"], &value["reason"]), (&json!("blue"), &json!("RULE")));
    assert_eq!(value["rules"][1]["clauses"][1]["segments"], json!([{"segment": "beta", "outcome": "RULE"}]));
    assert_eq!(value["distributions"][0]["shares"][0], json!({"variation": "red", "weight": 50}));
    assert_eq!(shell.run(&["explain", "--flag", "f"]).code, 64);
    assert_eq!(shell.run(&["explain", "--flag", "f", "--target", "a", "--target-json", "{}"]).code, 64);
}
