use serde::{Deserialize, Serialize};

use super::{Clause, lenient};

/// What a rule, or the flag by default, serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Serve {
    /// A variation's identifier. Absent is not the same as `""`: evaluation.md, step 3.
    pub variation: Option<String>,
    /// A percentage rollout. Absent is not the same as one without variations.
    pub distribution: Option<Distribution>,
}

/// A percentage rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Distribution {
    /// The attribute whose text decides the target's bucket.
    #[serde(deserialize_with = "lenient::or_default")]
    pub bucket_by: String,
    /// The variations and their shares, in the order in which buckets are given out.
    #[serde(deserialize_with = "lenient::list")]
    pub variations: Vec<WeightedVariation>,
}

/// A variation and its share of a rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WeightedVariation {
    /// The variation's identifier.
    #[serde(deserialize_with = "lenient::or_default")]
    pub variation: String,
    /// Its share in percent; the shares of a rollout are expected to add up to 100.
    #[serde(deserialize_with = "lenient::integer")]
    pub weight: i64,
}

/// A rule of a flag: what is served when every clause holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServingRule {
    /// Harness's identifier of the rule.
    #[serde(deserialize_with = "lenient::or_default")]
    pub rule_id: String,
    /// Rules are tried by ascending priority.
    #[serde(deserialize_with = "lenient::integer")]
    pub priority: i64,
    /// All of them must hold; none at all hold for everybody.
    #[serde(deserialize_with = "lenient::list")]
    pub clauses: Vec<Clause>,
    /// What is served then.
    #[serde(deserialize_with = "lenient::or_default")]
    pub serve: Serve,
}
