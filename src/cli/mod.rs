//! Sub-commands. Each prints for people, or JSON with `--output json`.
//!
//! Exit codes: 0 good; 1 what was asked for is not so or failed; 64 the
//! command line is wrong.

pub mod bump;
pub mod healthcheck;
pub mod pack;
pub mod serve;
pub mod verify;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::config::{EXIT_USAGE, help_text, unknown_command};

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
    match command {
        "verify" => with(command, rest, verify::run),
        "pack" => with(command, rest, pack::pack),
        "unpack" => with(command, rest, pack::unpack),
        "bump" => with(command, rest, bump::run),
        "healthcheck" => healthcheck::run(rest),
        "help" => {
            println!("{}", help_text());
            ExitCode::SUCCESS
        }
        other => {
            eprintln!("{}", unknown_command(other));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn with<A: Parser>(command: &str, rest: &[String], run: impl FnOnce(&A) -> anyhow::Result<bool>) -> ExitCode {
    let line = std::iter::once(format!("ff-relay {command}")).chain(rest.iter().cloned());
    let arguments = match A::try_parse_from(line) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output, mistakes to standard error.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ff-relay {command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
