//! Evaluation: (compiled environment, target) → a variation of each flag, and why.
//!
//! Pure: no clock, no I/O, no task of its own. Configuration is compiled once into a
//! [`CompiledEnvironment`]; a request makes one [`Evaluator`] and asks it about one flag or all.
//! The answers are those of the Harness Go server SDK, value for value.
//!
//! The flow inside: `compile` turns each flag and segment into its `compiled` form, which
//! `environment` puts together and orders; `walk` evaluates, for answers and, with a `trace`, for
//! explanations.

mod answer;
mod bucket;
mod compile;
mod compiled;
mod environment;
mod evaluator;
mod explanation;
mod fold;
mod fold_table;
mod graph;
pub mod regex_dialect;
mod slots;
mod text;
mod text_set;
mod trace;
mod variation;
mod walk;
mod warning;

pub use answer::FlagAnswer;
pub use bucket::bucket;
pub use compile::{CompileError, CompileOptions, Source};
pub use environment::CompiledEnvironment;
pub use evaluator::Evaluator;
pub use explanation::{
    BucketStep, ClauseStep, Explanation, MapStep, PrerequisiteOutcome, PrerequisiteStep, Reason, RuleStep,
    SegmentOutcome, SegmentReference, SegmentStep, ShareStep,
};
pub use fold::{equals_folded, fold, fold_text};
pub use text::attribute_text;
pub use variation::{CompiledVariation, evaluation_json};
pub use warning::{Place, Subject, Warning};
