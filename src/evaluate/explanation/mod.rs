//! Why a flag answers what it does: the evaluation itself, watched.

mod record;

use serde::Serialize;

pub(super) use record::explain;

/// A flag's answer to one target, and how it came about.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The flag's identifier.
    pub flag: String,
    /// The flag's kind.
    pub kind: String,
    /// The target's identifier.
    pub target: String,
    /// Whether the flag is on.
    pub on: bool,
    /// The prerequisites checked, in order, those of prerequisites too.
    pub prerequisites: Vec<PrerequisiteStep>,
    /// The entries of the target map that were tried.
    pub target_map: Vec<MapStep>,
    /// The rules that were tried, by priority.
    pub rules: Vec<RuleStep>,
    /// The rollouts that were consulted; the last one that gave a variation decided.
    pub distributions: Vec<BucketStep>,
    /// What the segments consulted above say, and those that they lead to; at most 1000.
    pub segments: Vec<SegmentStep>,
    /// What decided.
    pub reason: Reason,
    /// The identifier of the variation served; none when the flag cannot be evaluated.
    pub variation: Option<String>,
    /// The value of the variation served.
    pub value: Option<String>,
}

/// What decided a flag's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// A prerequisite is not met: the off variation.
    PrerequisiteNotMet,
    /// The flag is off: the off variation.
    Off,
    /// An entry of the target map.
    TargetMap,
    /// A rule.
    Rule,
    /// The default's rollout.
    DefaultDistribution,
    /// The default's variation.
    DefaultVariation,
}

/// One prerequisite that was checked.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrerequisiteStep {
    /// The flag whose prerequisite it is.
    pub of: String,
    /// The flag that must serve one of `wanted`.
    pub flag: String,
    /// The variations that meet it; the first 20.
    pub wanted: Vec<String>,
    /// How many variations meet it.
    pub wanted_count: usize,
    /// What it serves.
    pub served: Option<String>,
    /// What follows.
    pub outcome: PrerequisiteOutcome,
}

/// What follows from one prerequisite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PrerequisiteOutcome {
    /// It serves a wanted variation; its own prerequisites, if any, come next.
    Met,
    /// There is no such flag: the list counts as met, as far as it goes.
    Unknown,
    /// It has no answer: the list counts as met, as far as it goes.
    NotEvaluated,
    /// It serves another variation.
    OtherVariation,
    /// Its own prerequisites were found not met before.
    OwnNotMet,
    /// It leads back to itself: not met.
    Circle,
}

/// One entry of the target map.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapStep {
    /// The variation it serves.
    pub variation: String,
    /// Whether it lists the target.
    pub listed: bool,
    /// The segments consulted, if it does not.
    pub segments: Vec<SegmentReference>,
    /// Whether it is for this target.
    pub held: bool,
}

/// One rule of the flag.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleStep {
    /// The rule's identifier.
    pub rule: String,
    /// Its priority.
    pub priority: i64,
    /// The clauses tried; the first that does not hold is the last.
    pub clauses: Vec<ClauseStep>,
    /// Whether all clauses hold.
    pub held: bool,
}

/// One clause.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClauseStep {
    /// The attribute's name.
    pub attribute: String,
    /// The operator.
    pub op: String,
    /// The values; the first 20.
    pub values: Vec<String>,
    /// How many values there are.
    pub value_count: usize,
    /// The attribute's text; empty where the target has none, and for `segmentMatch`.
    pub text: String,
    /// The segments consulted, for `segmentMatch`.
    pub segments: Vec<SegmentReference>,
    /// Whether the clause holds.
    pub held: bool,
}

/// A segment in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentReference {
    /// The segment's identifier.
    pub segment: String,
    /// What it says about the target.
    pub outcome: SegmentOutcome,
}

/// What a segment says about the target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SegmentOutcome {
    /// On its list of excluded targets: ends the list of segments.
    Excluded,
    /// On its list of included targets.
    Included,
    /// A member by a rule.
    Rule,
    /// Neither listed nor a member by a rule.
    #[default]
    NotMember,
    /// There is no such segment: skipped.
    Unknown,
}

/// One segment that was consulted, with its rules.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentStep {
    /// The segment's identifier.
    pub segment: String,
    /// What it says about the target.
    pub outcome: SegmentOutcome,
    /// The rules tried, each by its clauses; none where a list decided.
    pub rules: Vec<Vec<ClauseStep>>,
}

/// One rollout that was consulted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BucketStep {
    /// The attribute it goes by; `identifier` stands in where the target has none.
    pub bucket_by: String,
    /// The target's bucket, 1 to 100; none when it is in none.
    pub bucket: Option<u8>,
    /// The shares in order.
    pub shares: Vec<ShareStep>,
    /// What the bucket gets; empty when there are no shares.
    pub variation: String,
}

/// One share of a rollout.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShareStep {
    /// The variation's identifier.
    pub variation: String,
    /// Its weight in percent.
    pub weight: i64,
}
