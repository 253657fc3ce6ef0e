use serde::{Deserialize, Serialize};

use super::lenient;

/// One condition on an attribute of the target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Clause {
    /// Harness's identifier of the clause; evaluation does not use it.
    #[serde(deserialize_with = "lenient::or_default")]
    pub id: String,
    /// The attribute's name; `identifier` and `name` are the target's fields.
    #[serde(deserialize_with = "lenient::or_default")]
    pub attribute: String,
    /// The operator, such as `equal` or `segmentMatch`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub op: String,
    /// What the operator compares with; most use the first only.
    #[serde(deserialize_with = "lenient::list")]
    pub values: Vec<String>,
    /// Part of the format, not consulted by the reference evaluator.
    #[serde(deserialize_with = "lenient::or_default")]
    pub negate: bool,
}
