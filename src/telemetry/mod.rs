//! Logs and Prometheus metrics.

pub mod clock;
pub mod exposition;
pub mod log_level;
pub mod logging;
pub mod requests;
pub mod upstream;
