//! Options from command line, environment, `--env-file` and `<NAME>_FILE`, read once into typed
//! structs. The contract is `options.md`; every name, default and meaning stands in one
//! table ([`table::all`]), from which parsing, `--help`, the README and `--print-config` are made.
//!
//! The way of a value: `command_line` and `env_file` find texts, `resolve` picks the one that
//! counts and reads it by its `kind`, `derive` fills in what follows from others,
//! `contradictions` refuses, `remarks` comments, `effective` types.

mod address;
mod areas;
mod command;
mod command_line;
mod contradictions;
mod derive;
mod duration;
mod effective;
mod env_file;
mod error;
mod help;
mod kind;
mod markdown;
mod nearest;
mod option_spec;
mod print;
mod redis_address;
mod remarks;
mod resolve;
mod secret;
mod settings;
mod surroundings;
pub mod table;
mod value;
mod wrap;

#[cfg(test)]
mod online_tests;

pub use areas::{
    ApiKeys, GrpcConfig, HttpConfig, LogConfig, LogFormat, LogLevel, Mode, Offline, OutboundProxies, Peer, RedisConfig,
    RedisTopology, Role, RoleTokens, TlsFiles, UpstreamConfig, UsageConfig,
};
pub use command::{COMMANDS, split_command, unknown_command};
pub use duration::{parse_duration, show_duration};
pub use effective::Config;
pub use error::{EXIT_USAGE, Errors, Problem};
pub use help::text as help_text;
pub use kind::Kind;
pub use markdown::option_table_markdown;
pub use option_spec::{Fallback, Group, OptionSpec, Scope, Status, Variable};
pub use redis_address::RedisAddress;
pub use secret::{Secret, split_secret_lines, split_secrets, without_credentials};
pub use surroundings::{Fixed, Process, Surroundings};
pub use value::Value;

use settings::Settings;

/// What the operator asks for.
#[derive(Debug, Clone)]
pub enum Request {
    /// Run the relay (or, with `generate_offline_config`, write the directory and exit).
    Run(Box<Config>),
    /// Say whether this configuration, and when offline its directory, is good; then exit.
    Check(Box<Config>),
    /// Print this text and exit.
    PrintConfig(String),
    /// Print this text and exit.
    Help(String),
    /// Print the version and exit.
    Version,
}

/// Reads the options of this process; `args` come after the program's name and the word `serve`.
///
/// # Errors
/// Everything that is wrong with them, at once.
pub fn from_process(args: &[String]) -> Result<Request, Errors> {
    parse(args, &Process)
}

/// Reads options from any surroundings.
///
/// # Errors
/// Everything that is wrong with them, at once.
pub fn parse(args: &[String], surroundings: &dyn Surroundings) -> Result<Request, Errors> {
    let mut line = command_line::read(args);
    // Somebody who asks for help must get it, whatever else is wrong.
    if line.asks("help") {
        return Ok(Request::Help(help::text()));
    }
    if line.asks("version") {
        return Ok(Request::Version);
    }
    let mut problems = std::mem::take(&mut line.problems);
    let mut warnings = std::mem::take(&mut line.warnings);
    let layers = resolve::layers(&line, surroundings, &mut problems, &mut warnings);
    let mut settings = resolve::resolve(table::all(), &line, &layers, surroundings, &mut problems);
    derive::derive(&mut settings, &mut warnings);
    contradictions::find(&settings, &mut problems);
    if !names_source(&settings, &problems) {
        problems.push(Problem::NoSource);
    }
    Errors::from_problems(problems)?;
    warnings.extend(remarks::warnings(&settings));
    request(&settings, warnings, remarks::notices(&settings))
}

/// Whether a source is named, if only by a value that was refused or a flag that was mistyped.
fn names_source(settings: &Settings, problems: &[Problem]) -> bool {
    const SOURCES: [&str; 6] = ["offline", "file-data-source", "api-keys", "proxy-key", "peer-address", "read-replica"];
    let mistyped = |problem: &Problem| match problem {
        Problem::UnknownFlag { nearest, .. } => SOURCES.contains(nearest),
        Problem::FileFlag { option, .. } | Problem::MissingValue { option, .. } => SOURCES.contains(option),
        _ => false,
    };
    SOURCES.iter().any(|flag| settings.is_asked_for(flag)) || problems.iter().any(mistyped)
}

fn request(settings: &Settings, warnings: Vec<String>, notices: Vec<String>) -> Result<Request, Errors> {
    let print = settings.flag("print-config");
    let config = Config::from_settings(settings, warnings, notices).ok_or_else(|| Errors::one(Problem::NoSource))?;
    let config = Box::new(config);
    Ok(if print {
        let mode = config.mode.name();
        Request::PrintConfig(print::text(settings, mode, &config.warnings, &config.notices))
    } else if settings.flag("check") {
        Request::Check(config)
    } else {
        Request::Run(config)
    })
}
