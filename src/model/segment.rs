use serde::{Deserialize, Serialize};

use super::{Clause, TargetReference, lenient};

/// A group of targets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Segment {
    /// The segment's identifier.
    #[serde(deserialize_with = "lenient::or_default")]
    pub identifier: String,
    /// A name for people.
    #[serde(deserialize_with = "lenient::or_default")]
    pub name: String,
    /// Targets that belong to it whatever the rules say.
    #[serde(deserialize_with = "lenient::list")]
    pub included: Vec<TargetReference>,
    /// Targets that never belong to it; comes before `included`.
    #[serde(deserialize_with = "lenient::list")]
    pub excluded: Vec<TargetReference>,
    /// Clauses of which any may hold; used when there are no serving rules.
    #[serde(deserialize_with = "lenient::list")]
    pub rules: Vec<Clause>,
    /// Rules of which any may hold, each by all of its clauses.
    #[serde(deserialize_with = "lenient::list")]
    pub serving_rules: Vec<GroupServingRule>,
    /// The environment's identifier.
    #[serde(deserialize_with = "lenient::or_default")]
    pub environment: String,
    /// Harness's revision of this segment.
    #[serde(deserialize_with = "lenient::optional_integer")]
    pub version: Option<i64>,
}

/// A rule of a segment: all of its clauses together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GroupServingRule {
    /// Harness's identifier of the rule.
    #[serde(deserialize_with = "lenient::or_default")]
    pub rule_id: String,
    /// Part of the format; any rule may hold, so the order does not matter.
    #[serde(deserialize_with = "lenient::integer")]
    pub priority: i64,
    /// All of them must hold; a rule without clauses never holds.
    #[serde(deserialize_with = "lenient::list")]
    pub clauses: Vec<Clause>,
}
