//! The types of Harness's configuration, as they stand in its JSON.
//!
//! Serde only, no logic. Reading is lenient where Harness's own readers are: unknown fields are
//! ignored, and `null` or nothing at all stands for the default of any field. A field of another
//! shape (a string where a list belongs) is an error. Field names are camelCase and exact.

mod attributes;
mod clause;
mod flag;
pub mod json;
pub mod json_parser;
mod lenient;
mod segment;
mod serve;
mod target;

pub use attributes::Attributes;
pub use clause::Clause;
pub use flag::{FeatureConfig, Prerequisite, Variation, VariationMap};
pub use segment::{GroupServingRule, Segment};
pub use serve::{Distribution, Serve, ServingRule, WeightedVariation};
pub use target::{Target, TargetReference};
