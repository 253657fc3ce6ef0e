//! `ff-relay set-log-level`, `resync` and `drain`: what changes how a relay
//! runs.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde_json::json;

use super::connect::{Relay, duration, wait};
use super::failure::Failure;
use super::print::say;
use super::view::word;
use super::{Output, print};
use crate::proto::admin::v1 as proto;

/// Change how much a relay logs, until it ends or for a while. Needs the role
/// admin.
#[derive(Debug, Parser)]
#[command(name = "set-log-level", disable_version_flag = true, after_help = LEVEL_EXAMPLES)]
pub struct LevelArguments {
    /// The new level.
    #[arg(value_enum)]
    level: Level,
    /// The level before is set again after this time.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    #[command(flatten)]
    relay: Relay,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const LEVEL_EXAMPLES: &str = "\
Examples:
  ff-relay set-log-level debug --for 10m
  ff-relay set-log-level info

Exit codes: 0 changed; 1 failed; 2 unreachable; 3 refused; 64 wrong command line.";

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl From<Level> for proto::LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => proto::LogLevel::Debug,
            Level::Info => proto::LogLevel::Info,
            Level::Warn => proto::LogLevel::Warn,
            Level::Error => proto::LogLevel::Error,
        }
    }
}

/// # Errors
/// The relay cannot be reached, or refuses.
pub fn set_log_level(arguments: &LevelArguments) -> anyhow::Result<bool> {
    wait(async {
        let time = arguments.time.map(prost_types::Duration::try_from).transpose();
        let duration = time.map_err(|_| Failure::Usage("--for is too long".to_owned()))?;
        let level = proto::LogLevel::from(arguments.level);
        let session = arguments.relay.connect().await?;
        let request = session.request(proto::SetLogLevelRequest { level: level.into(), duration });
        let answer = session.answer(session.admin().set_log_level(request)).await?;
        let name = |level: proto::LogLevel| word(level.as_str_name(), "LOG_LEVEL_");
        match arguments.output {
            Output::Json => print::json(&json!({"level": name(level), "previous": name(answer.previous())})),
            Output::Text => say!("log level {}, before {}", name(level), name(answer.previous())),
        }
        Ok(true)
    })
}

/// Let an environment's own source feed it again after an import has
/// overridden it; elsewhere, fetch everything anew. Needs the role admin.
#[derive(Debug, Parser)]
#[command(name = "resync", disable_version_flag = true, after_help = RESYNC_EXAMPLES)]
pub struct ResyncArguments {
    /// The environment's id.
    environment: String,
    #[command(flatten)]
    relay: Relay,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const RESYNC_EXAMPLES: &str = "\
Examples:
  ff-relay resync 11111111-1111-4111-8111-111111111111

Exit codes: 0 begun; 1 no such environment, or failed; 2 unreachable; 3 refused; 64 wrong command line.";

/// # Errors
/// The relay cannot be reached, refuses, or has no such environment.
pub fn resync(arguments: &ResyncArguments) -> anyhow::Result<bool> {
    wait(async {
        let session = arguments.relay.connect().await?;
        let environment_id = arguments.environment.clone();
        let request = session.request(proto::ResyncEnvironmentRequest { environment_id });
        let answer = session.answer(session.admin().resync_environment(request)).await?;
        let environment = &arguments.environment;
        match (arguments.output, answer.was_paused) {
            (Output::Json, paused) => print::json(&json!({"environment": environment, "wasPaused": paused})),
            (Output::Text, true) => say!("{environment}: its own source feeds it again"),
            (Output::Text, false) => say!("{environment}: everything is fetched anew"),
        }
        Ok(true)
    })
}

/// End a relay in order, as SIGTERM does: not ready, streams closed, what
/// SDKs reported sent, what must outlive the process written. Needs the role
/// admin.
#[derive(Debug, Parser)]
#[command(name = "drain", disable_version_flag = true, after_help = DRAIN_EXAMPLES)]
pub struct DrainArguments {
    #[command(flatten)]
    relay: Relay,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const DRAIN_EXAMPLES: &str = "\
Examples:
  ff-relay drain --address relay-1:7001 --token-file admin-token

Exit codes: 0 it is ending; 1 failed; 2 unreachable; 3 refused; 64 wrong command line.";

/// # Errors
/// The relay cannot be reached, or refuses.
pub fn drain(arguments: &DrainArguments) -> anyhow::Result<bool> {
    wait(async {
        let session = arguments.relay.connect().await?;
        session.answer(session.admin().drain(session.request(proto::DrainRequest {}))).await?;
        match arguments.output {
            Output::Json => print::json(&json!({"draining": true})),
            Output::Text => say!("{} is ending", session.address),
        }
        Ok(true)
    })
}
