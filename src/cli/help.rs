//! `ff-relay help [COMMAND]`: what a command is for, examples, exit codes.

use clap::Parser;

use super::commands::find;
use super::failure::{EXIT_CODES, Failure};
use super::print::say;
use crate::config::{help_text, unknown_command};

/// Explain a command: what it is for, its options, examples, exit codes.
/// Without a command: all commands and all options of the relay.
#[derive(Debug, Parser)]
#[command(name = "help", disable_version_flag = true, after_help = EXAMPLES)]
pub struct Arguments {
    /// The command.
    command: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  ff-relay help
  ff-relay help import

Exit codes: 0 shown; 64 no such command.";

const HEALTHCHECK: &str = "\
Ask GET /readyz of the relay that the same options run, on this machine. Made
for containers without a shell; needs no credential. `ff-relay status` tells
more, by gRPC.

Usage: ff-relay healthcheck [the options of the relay]

Examples:
  ff-relay healthcheck
  ff-relay healthcheck -port 7000
  HEALTHCHECK CMD [\"/ff-relay\", \"healthcheck\"]

Exit codes: 0 ready; 1 not ready, or nobody there; 64 wrong options.";

/// # Errors
/// There is no such command.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    match arguments.command.as_deref() {
        None | Some("serve") => {
            say!("{}", help_text());
            say!("{EXIT_CODES}");
        }
        Some("healthcheck") => say!("{HEALTHCHECK}"),
        Some(name) => match find(name).and_then(|entry| entry.clap) {
            Some(clap) => {
                let mut clap = clap().bin_name(format!("ff-relay {name}"));
                say!("{}", clap.render_long_help().to_string().trim_end());
            }
            None => return Err(Failure::Usage(unknown_command(name).to_string()).into()),
        },
    }
    Ok(true)
}
