//! What is logged, and how.

use super::super::settings::Settings;
use super::super::value::Value;

/// Options of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// The least level that is written (`log-level`, `debug`).
    pub level: LogLevel,
    /// How lines look (`log-format`).
    pub format: LogFormat,
}

/// Levels, as the Go proxy names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What an operator wants to know.
    Info,
    /// What may need attention.
    Warn,
    /// What failed.
    Error,
}

/// Looks of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
    /// Text on a terminal, else JSON.
    Auto,
}

impl LogLevel {
    /// Reads a level, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().as_str() {
            "DEBUG" => Self::Debug,
            "INFO" => Self::Info,
            "WARN" => Self::Warn,
            "ERROR" => Self::Error,
            _ => return None,
        })
    }
}

impl LogFormat {
    /// Reads a format, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "json" => Self::Json,
            "text" => Self::Text,
            "auto" => Self::Auto,
            _ => return None,
        })
    }
}

impl LogConfig {
    pub(in super::super) fn from_settings(settings: &Settings) -> Self {
        let level = |value: &Value| {
            if let Value::Level(it) = value { Some(*it) } else { None }
        };
        let format = |value: &Value| {
            if let Value::Format(it) = value { Some(*it) } else { None }
        };
        Self {
            level: settings.pick("log-level", level).unwrap_or(LogLevel::Info),
            format: settings.pick("log-format", format).unwrap_or(LogFormat::Auto),
        }
    }
}
