//! Structured logs: JSON, or text for people.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{LogConfig, LogFormat, LogLevel};

/// Whose lines come whatever the level is.
const AUDIT: &str = "ff_relay::grpc::audit";

/// The filter of the process's one log.
static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Starts logging to standard error. A second call does nothing.
pub fn start(config: LogConfig) {
    let (filter, handle) = reload::Layer::new(filter(config.level));
    let terminal = io::stderr().is_terminal();
    let text = match config.format {
        LogFormat::Json => false,
        LogFormat::Text => true,
        LogFormat::Auto => terminal,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let started = if text {
        registry.with(fmt::layer().with_writer(io::stderr).with_ansi(terminal).with_target(false)).try_init()
    } else {
        let layer = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
        registry.with(layer.with_writer(io::stderr).with_target(false)).try_init()
    };
    // Only a test starts it twice.
    if started.is_ok() {
        let _ = FILTER.set(handle);
    }
}

/// Changes the level, if logging was started.
pub(super) fn set_level(level: LogLevel) {
    if let Some(Err(error)) = FILTER.get().map(|handle| handle.reload(filter(level))) {
        tracing::error!(%error, "the log level cannot be changed");
    }
}

fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    // Libraries are quiet unless something is wrong with them.
    Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("ff_relay", level)
        .with_target(AUDIT, LevelFilter::INFO.max(level))
}

/// A duration for a field whose name ends in `_ms`.
#[must_use]
pub fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
