//! The whole configuration, typed.

use std::path::PathBuf;
use std::time::Duration;

use super::areas::{GrpcConfig, HttpConfig, LogConfig, Mode, RedisConfig, UpstreamConfig, UsageConfig};
use super::settings::Settings;

/// Everything the relay was told, valid as a whole. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where flags come from.
    pub mode: Mode,
    /// The SDK port.
    pub http: HttpConfig,
    /// Evaluate the rules whose clauses must all hold (`and-rules`).
    pub and_rules: bool,
    /// The admin and snapshot listener.
    pub grpc: GrpcConfig,
    /// The log.
    pub log: LogConfig,
    /// The offline directory or archive, also where `generate-offline-config` writes.
    pub config_dir: PathBuf,
    /// Where to keep what must outlive the process.
    pub data_dir: Option<PathBuf>,
    /// Write `config_dir` from the source and exit, instead of serving.
    pub generate_offline_config: bool,
    /// The connection to Harness.
    pub upstream: UpstreamConfig,
    /// SDK metrics.
    pub usage: UsageConfig,
    /// Redis, where it is given and may be contacted; offline, what is served is written to it.
    pub redis: Option<RedisConfig>,
    /// Age of configuration above which the relay is not ready; `None` is off, as it is offline.
    pub ready_max_staleness: Option<Duration>,
    /// Time to drain.
    pub shutdown_grace: Duration,
    /// Lines to log as warnings once the log is up.
    pub warnings: Vec<String>,
    /// Lines to log as information once the log is up.
    pub notices: Vec<String>,
}

impl Config {
    /// The settings as structs; `None` where they name no source.
    pub(super) fn from_settings(settings: &Settings, warnings: Vec<String>, notices: Vec<String>) -> Option<Self> {
        let staleness = settings.optional_duration("ready-max-staleness");
        Some(Self {
            mode: Mode::from_settings(settings)?,
            http: HttpConfig::from_settings(settings),
            and_rules: settings.flag("and-rules"),
            grpc: GrpcConfig::from_settings(settings),
            log: LogConfig::from_settings(settings),
            config_dir: settings.path("config-dir").unwrap_or_default(),
            data_dir: settings.path("data-dir"),
            generate_offline_config: settings.flag("generate-offline-config"),
            upstream: UpstreamConfig::from_settings(settings),
            usage: UsageConfig::from_settings(settings),
            redis: RedisConfig::from_settings(settings),
            ready_max_staleness: staleness.filter(|_| !settings.flag("offline")),
            shutdown_grace: settings.duration("shutdown-grace"),
            warnings,
            notices,
        })
    }
}
