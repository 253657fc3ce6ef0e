use serde::{Deserialize, Serialize};

use super::{Attributes, lenient};

/// Who asks: a user, a device, a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Target {
    /// Unique within the environment.
    #[serde(deserialize_with = "lenient::or_default")]
    pub identifier: String,
    /// A name for people.
    #[serde(deserialize_with = "lenient::or_default")]
    pub name: String,
    /// Whether Harness should leave the target out of its lists.
    #[serde(deserialize_with = "lenient::or_default")]
    pub anonymous: bool,
    /// Whatever else is known about the target, by name.
    #[serde(deserialize_with = "lenient::or_default")]
    pub attributes: Attributes,
}

/// A target as lists of targets name it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TargetReference {
    /// The target's identifier.
    #[serde(deserialize_with = "lenient::or_default")]
    pub identifier: String,
    /// The target's name; evaluation does not use it.
    #[serde(deserialize_with = "lenient::or_default")]
    pub name: String,
}
