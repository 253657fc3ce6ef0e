//! Logs and Prometheus metrics.

pub mod exposition;
pub mod logging;
pub mod requests;
pub mod upstream;
