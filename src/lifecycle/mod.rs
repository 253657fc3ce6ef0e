//! Phases of the process: readiness, supervision, drain.

pub mod readiness;
pub mod supervisor;
