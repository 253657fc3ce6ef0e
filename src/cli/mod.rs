//! Sub-commands. Each prints for people, or JSON with `--output json`; exit
//! codes are those of [`failure::EXIT_CODES`].

pub mod bump;
pub mod commands;
pub mod completions;
pub mod connect;
pub mod control;
pub mod diff;
pub mod explain;
pub mod export;
pub mod failure;
pub mod fetch;
pub mod healthcheck;
pub mod help;
pub mod import;
pub mod inspect;
pub mod pack;
pub mod place;
pub mod print;
pub mod progress;
pub mod serve;
pub mod status;
pub mod table;
pub mod verify;
pub mod view;
pub mod watch;

use std::process::ExitCode;

use clap::ValueEnum;

use crate::config::{EXIT_USAGE, unknown_command};

/// How a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON value.
    Json,
}

/// Runs a sub-command other than `serve`.
#[must_use]
pub fn run(command: &str, rest: &[String]) -> ExitCode {
    match commands::find(command) {
        Some(entry) => (entry.run)(rest),
        None => {
            eprintln!("{}", unknown_command(command));
            ExitCode::from(EXIT_USAGE)
        }
    }
}
