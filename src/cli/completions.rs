//! `ff-relay completions SHELL`: what a shell needs to complete command lines.

use clap::{Arg, ArgAction, Command, Parser, ValueEnum, ValueHint};
use clap_complete::aot::{Shell as Generator, generate};

use super::commands::ENTRIES;
use super::print;
use crate::config::{COMMANDS, Kind, table};

/// Write completions for a shell to standard output.
#[derive(Debug, Parser)]
#[command(name = "completions", disable_version_flag = true, after_help = EXAMPLES)]
pub struct Arguments {
    #[arg(value_enum)]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  ff-relay completions bash > /etc/bash_completion.d/ff-relay
  ff-relay completions zsh > ~/.zfunc/_ff-relay
  ff-relay completions fish > ~/.config/fish/completions/ff-relay.fish

Exit codes: 0 written; 64 no such shell.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// # Errors
/// Never.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let shell = match arguments.shell {
        Shell::Bash => Generator::Bash,
        Shell::Zsh => Generator::Zsh,
        Shell::Fish => Generator::Fish,
    };
    let mut written = Vec::new();
    generate(shell, &mut command(), "ff-relay", &mut written);
    print::bytes(&written);
    Ok(true)
}

/// Every command line there is, as one.
fn command() -> Command {
    let meaning =
        |name: &str| COMMANDS.iter().find(|(known, ..)| *known == name).map_or("", |(_, _, meaning)| *meaning);
    let own = |name: &'static str| with_options(Command::new(name)).about(meaning(name));
    let sub = ENTRIES.iter().map(|entry| match entry.clap {
        Some(clap) => clap().about(meaning(entry.name)),
        None => own(entry.name),
    });
    with_options(Command::new("ff-relay")).disable_help_subcommand(true).subcommand(own("serve")).subcommands(sub)
}

/// The relay's own options, by the table they are read by.
fn with_options(command: Command) -> Command {
    // clap has these by itself.
    let specs = table::all().filter(|spec| !matches!(spec.flag, "help" | "version"));
    let args = specs.map(|spec| {
        let arg = Arg::new(spec.flag).long(spec.flag).help(spec.help);
        match spec.kind {
            kind if kind.is_boolean() => arg.action(ArgAction::SetTrue),
            Kind::Path => arg.value_hint(ValueHint::AnyPath),
            _ => arg.value_hint(ValueHint::Other),
        }
    });
    command.args(args)
}
