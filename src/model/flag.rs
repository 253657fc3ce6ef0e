use serde::{Deserialize, Serialize};

use super::{Serve, ServingRule, TargetReference, lenient};

/// A feature flag's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FeatureConfig {
    /// The flag's identifier.
    #[serde(deserialize_with = "lenient::or_default")]
    pub feature: String,
    /// `boolean`, `int`, `string` or `json`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub kind: String,
    /// `on`; anything else means off.
    #[serde(deserialize_with = "lenient::or_default")]
    pub state: String,
    /// The variation served while the flag is off or a prerequisite is not met.
    #[serde(deserialize_with = "lenient::or_default")]
    pub off_variation: String,
    /// What is served when neither the target map nor a rule says otherwise.
    #[serde(deserialize_with = "lenient::or_default")]
    pub default_serve: Serve,
    /// The rules, in any order: their priority counts.
    #[serde(deserialize_with = "lenient::list")]
    pub rules: Vec<ServingRule>,
    /// Variations for single targets and segments; comes before the rules.
    #[serde(deserialize_with = "lenient::list")]
    pub variation_to_target_map: Vec<VariationMap>,
    /// Flags that must serve one of some variations first.
    #[serde(deserialize_with = "lenient::list")]
    pub prerequisites: Vec<Prerequisite>,
    /// What the flag can answer.
    #[serde(deserialize_with = "lenient::list")]
    pub variations: Vec<Variation>,
    /// The environment's identifier.
    #[serde(deserialize_with = "lenient::or_default")]
    pub environment: String,
    /// The project's identifier.
    #[serde(deserialize_with = "lenient::or_default")]
    pub project: String,
    /// Harness's revision of this flag.
    #[serde(deserialize_with = "lenient::optional_integer")]
    pub version: Option<i64>,
}

/// One possible answer of a flag.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Variation {
    /// Unique within the flag.
    #[serde(deserialize_with = "lenient::or_default")]
    pub identifier: String,
    /// The value as text, whatever the flag's kind.
    #[serde(deserialize_with = "lenient::or_default")]
    pub value: String,
    /// A name for people.
    #[serde(deserialize_with = "lenient::or_default")]
    pub name: String,
    /// A description for people.
    #[serde(deserialize_with = "lenient::or_default")]
    pub description: String,
}

/// The targets and segments that are served one variation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VariationMap {
    /// The variation's identifier.
    #[serde(deserialize_with = "lenient::or_default")]
    pub variation: String,
    /// Targets by identifier.
    #[serde(deserialize_with = "lenient::list")]
    pub targets: Vec<TargetReference>,
    /// Segments by identifier.
    #[serde(deserialize_with = "lenient::list")]
    pub target_segments: Vec<String>,
}

/// A flag that must serve one of some variations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Prerequisite {
    /// The other flag's identifier.
    #[serde(deserialize_with = "lenient::or_default")]
    pub feature: String,
    /// The variation identifiers that meet the prerequisite.
    #[serde(deserialize_with = "lenient::list")]
    pub variations: Vec<String>,
}
