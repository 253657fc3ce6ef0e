//! Why a flag serves what it serves: the evaluator's own explanation.

use std::sync::Arc;

use tonic::Status;

use super::flags;
use crate::evaluate as why;
use crate::fault::Fault;
use crate::grpc::status::{About, status};
use crate::model::Target;
use crate::model::json::Json;
use crate::proto::inspect::v1 as proto;
use crate::proto::inspect::v1::TargetOrigin;
use crate::proto::inspect::v1::explain_evaluation_request::Subject;
use crate::snapshot::Snapshot;
use crate::snapshot::content::find;
use crate::store::environment::Environment;

/// Whom a flag is asked for.
struct Asking {
    target: Arc<Target>,
    json: Vec<u8>,
    origin: TargetOrigin,
}

pub(super) fn explain(
    environment: &Environment,
    snapshot: &Snapshot,
    request: &proto::ExplainEvaluationRequest,
) -> Result<proto::ExplainEvaluationResponse, Status> {
    if request.flag.is_empty() {
        return Err(status(Fault::InvalidField, "flag is empty; ListFlags gives the flags", About::Field("flag")));
    }
    let asking = match &request.subject {
        Some(Subject::TargetIdentifier(identifier)) if !identifier.is_empty() => {
            known(environment, snapshot, identifier)
        }
        Some(Subject::TargetJson(json)) => sent(json)?,
        _ => {
            let message = "nobody is asking; give target_identifier or target_json";
            return Err(status(Fault::InvalidField, message, About::Field("target_identifier")));
        }
    };
    let flag = snapshot.flag(&request.flag).ok_or_else(|| flags::unknown(&request.flag))?;
    let explanation = snapshot.compiled.evaluator(&asking.target).explain(&request.flag);
    let explanation = explanation.ok_or_else(|| flags::unknown(&request.flag))?;
    Ok(answer(explanation, asking, flag.version))
}

/// As for client-side SDKs: the target that an SDK brought, else the
/// configured one, else the bare identifier.
fn known(environment: &Environment, snapshot: &Snapshot, identifier: &str) -> Asking {
    if let Some(stored) = environment.targets.get(identifier) {
        let json = stored.json.as_bytes().to_vec();
        return Asking { target: Arc::new(stored.target.clone()), json, origin: TargetOrigin::Learnt };
    }
    let written = find(&snapshot.content.targets, identifier);
    if let Some((target, item)) = snapshot.targets.get(identifier).zip(written) {
        let json = item.text.as_bytes().to_vec();
        return Asking { target: Arc::clone(target), json, origin: TargetOrigin::Configured };
    }
    let target = Target { identifier: identifier.to_owned(), ..Target::default() };
    let json = Json::Object(vec![("identifier".into(), Json::String(identifier.into()))]).compact().into_bytes();
    Asking { target: Arc::new(target), json, origin: TargetOrigin::Unspecified }
}

/// A target that came with the request, read as SDKs' targets are.
fn sent(json: &[u8]) -> Result<Asking, Status> {
    let bad = |message: &str| status(Fault::InvalidField, message, About::Field("target_json"));
    let text = std::str::from_utf8(json).map_err(|_| bad("target_json is not UTF-8"))?;
    let json = Json::parse(text).map_err(|error| bad(&format!("target_json is no JSON: {error}")))?;
    if !matches!(json, Json::Object(_)) {
        return Err(bad("target_json must be an object such as {\"identifier\":\"…\",\"attributes\":{…}}"));
    }
    let text = json.compact();
    let target: Target =
        serde_json::from_str(&text).map_err(|error| bad(&format!("target_json is no target: {error}")))?;
    if target.identifier.is_empty() {
        return Err(bad("target_json has no identifier"));
    }
    Ok(Asking { target: Arc::new(target), json: text.into_bytes(), origin: TargetOrigin::Unspecified })
}

fn answer(why: why::Explanation, asking: Asking, served_version: i64) -> proto::ExplainEvaluationResponse {
    let reason = if why.variation.is_some() { reason(why.reason) } else { proto::Reason::Unspecified };
    proto::ExplainEvaluationResponse {
        flag: why.flag,
        kind: why.kind,
        on: why.on,
        target_json: asking.json,
        target_origin: asking.origin.into(),
        reason: reason.into(),
        variation: why.variation,
        value: why.value,
        prerequisites: why.prerequisites.into_iter().map(prerequisite).collect(),
        target_map: why.target_map.into_iter().map(map_step).collect(),
        rules: why.rules.into_iter().map(rule).collect(),
        distributions: why.distributions.into_iter().map(bucket).collect(),
        segments: why.segments.into_iter().map(segment).collect(),
        served_version,
    }
}

fn reason(reason: why::Reason) -> proto::Reason {
    match reason {
        why::Reason::PrerequisiteNotMet => proto::Reason::PrerequisiteNotMet,
        why::Reason::Off => proto::Reason::Off,
        why::Reason::TargetMap => proto::Reason::TargetMap,
        why::Reason::Rule => proto::Reason::Rule,
        why::Reason::DefaultDistribution => proto::Reason::DefaultDistribution,
        why::Reason::DefaultVariation => proto::Reason::DefaultVariation,
    }
}

fn prerequisite(step: why::PrerequisiteStep) -> proto::PrerequisiteStep {
    let outcome = match step.outcome {
        why::PrerequisiteOutcome::Met => proto::PrerequisiteOutcome::Met,
        why::PrerequisiteOutcome::Unknown => proto::PrerequisiteOutcome::Unknown,
        why::PrerequisiteOutcome::NotEvaluated => proto::PrerequisiteOutcome::NotEvaluated,
        why::PrerequisiteOutcome::OtherVariation => proto::PrerequisiteOutcome::OtherVariation,
        why::PrerequisiteOutcome::OwnNotMet => proto::PrerequisiteOutcome::OwnNotMet,
        why::PrerequisiteOutcome::Circle => proto::PrerequisiteOutcome::Circle,
    };
    proto::PrerequisiteStep {
        of: step.of,
        flag: step.flag,
        wanted: step.wanted,
        wanted_count: step.wanted_count as u64,
        served: step.served,
        outcome: outcome.into(),
    }
}

fn map_step(step: why::MapStep) -> proto::MapStep {
    let segments = step.segments.into_iter().map(reference).collect();
    proto::MapStep { variation: step.variation, listed: step.listed, segments, held: step.held }
}

fn rule(step: why::RuleStep) -> proto::RuleStep {
    let clauses = step.clauses.into_iter().map(clause).collect();
    proto::RuleStep { rule: step.rule, priority: step.priority, clauses, held: step.held }
}

fn clause(step: why::ClauseStep) -> proto::ClauseStep {
    proto::ClauseStep {
        attribute: step.attribute,
        op: step.op,
        values: step.values,
        value_count: step.value_count as u64,
        text: step.text,
        segments: step.segments.into_iter().map(reference).collect(),
        held: step.held,
    }
}

fn reference(reference: why::SegmentReference) -> proto::SegmentReference {
    proto::SegmentReference { segment: reference.segment, outcome: outcome(reference.outcome).into() }
}

fn segment(step: why::SegmentStep) -> proto::SegmentStep {
    let rules = step.rules.into_iter();
    let rules = rules.map(|clauses| proto::SegmentRuleStep { clauses: clauses.into_iter().map(clause).collect() });
    proto::SegmentStep { segment: step.segment, outcome: outcome(step.outcome).into(), rules: rules.collect() }
}

fn outcome(outcome: why::SegmentOutcome) -> proto::SegmentOutcome {
    match outcome {
        why::SegmentOutcome::Excluded => proto::SegmentOutcome::Excluded,
        why::SegmentOutcome::Included => proto::SegmentOutcome::Included,
        why::SegmentOutcome::Rule => proto::SegmentOutcome::Rule,
        why::SegmentOutcome::NotMember => proto::SegmentOutcome::NotMember,
        why::SegmentOutcome::Unknown => proto::SegmentOutcome::Unknown,
    }
}

fn bucket(step: why::BucketStep) -> proto::BucketStep {
    let shares = step.shares.into_iter();
    proto::BucketStep {
        bucket_by: step.bucket_by,
        bucket: step.bucket.map(u32::from),
        shares: shares.map(|share| proto::ShareStep { variation: share.variation, weight: share.weight }).collect(),
        variation: step.variation,
    }
}
