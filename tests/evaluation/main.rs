//! The evaluator in the library: recorded answers, tables, properties, and
//! differences from Go's own packages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "support/generated.rs"]
mod generated;
#[path = "support/go.rs"]
mod go;
#[path = "support/patterns.rs"]
mod patterns;
#[path = "support/properties.rs"]
mod properties;
mod support;

mod compiled;
mod configuration;
mod depth;
#[path = "properties.rs"]
mod evaluation_properties;
mod folding_differential;
mod golden;
mod regex_differential;
