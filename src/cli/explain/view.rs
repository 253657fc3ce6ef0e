//! An explanation as JSON.

use serde_json::{Value, json};

use crate::cli::view::{embedded, word};
use crate::proto::inspect::v1 as proto;

pub(super) fn json(it: &proto::ExplainEvaluationResponse) -> Value {
    json!({
        "flag": it.flag,
        "kind": it.kind,
        "on": it.on,
        "servedVersion": it.served_version,
        "target": embedded(&it.target_json),
        "targetOrigin": word(it.target_origin().as_str_name(), "TARGET_ORIGIN_"),
        "reason": word(it.reason().as_str_name(), "REASON_"),
        "variation": it.variation,
        "value": it.value,
        "prerequisites": it.prerequisites.iter().map(prerequisite).collect::<Vec<_>>(),
        "targetMap": it.target_map.iter().map(map_step).collect::<Vec<_>>(),
        "rules": it.rules.iter().map(rule).collect::<Vec<_>>(),
        "distributions": it.distributions.iter().map(bucket).collect::<Vec<_>>(),
        "segments": it.segments.iter().map(segment).collect::<Vec<_>>(),
    })
}

fn prerequisite(it: &proto::PrerequisiteStep) -> Value {
    json!({
        "of": it.of,
        "flag": it.flag,
        "wanted": it.wanted,
        "wantedCount": it.wanted_count,
        "served": it.served,
        "outcome": word(it.outcome().as_str_name(), "PREREQUISITE_OUTCOME_"),
    })
}

fn map_step(it: &proto::MapStep) -> Value {
    json!({"variation": it.variation, "listed": it.listed, "segments": references(&it.segments), "held": it.held})
}

fn rule(it: &proto::RuleStep) -> Value {
    json!({
        "rule": it.rule,
        "priority": it.priority,
        "clauses": it.clauses.iter().map(clause).collect::<Vec<_>>(),
        "held": it.held,
    })
}

fn clause(it: &proto::ClauseStep) -> Value {
    json!({
        "attribute": it.attribute,
        "op": it.op,
        "values": it.values,
        "valueCount": it.value_count,
        "text": it.text,
        "segments": references(&it.segments),
        "held": it.held,
    })
}

fn references(all: &[proto::SegmentReference]) -> Vec<Value> {
    let outcome = |it: &proto::SegmentReference| word(it.outcome().as_str_name(), "SEGMENT_OUTCOME_");
    all.iter().map(|it| json!({"segment": it.segment, "outcome": outcome(it)})).collect()
}

fn segment(it: &proto::SegmentStep) -> Value {
    let rules = it.rules.iter().map(|rule| json!({"clauses": rule.clauses.iter().map(clause).collect::<Vec<_>>()}));
    json!({
        "segment": it.segment,
        "outcome": word(it.outcome().as_str_name(), "SEGMENT_OUTCOME_"),
        "rules": rules.collect::<Vec<_>>(),
    })
}

fn bucket(it: &proto::BucketStep) -> Value {
    let shares = it.shares.iter().map(|share| json!({"variation": share.variation, "weight": share.weight}));
    json!({
        "bucketBy": it.bucket_by,
        "bucket": it.bucket,
        "shares": shares.collect::<Vec<_>>(),
        "variation": it.variation,
    })
}
