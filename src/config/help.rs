//! The text of `--help`, which a bare `docker run` shows too.

use std::fmt::Write;

use super::command::COMMANDS;
use super::option_spec::{Group, OptionSpec, Status};
use super::table;
use super::wrap::wrap;

const WIDTH: usize = 100;

/// Every option with its variable, default and meaning, sub-commands and examples.
#[must_use]
pub fn text() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (name, arguments, meaning) in COMMANDS {
        let call = format!("ff-relay {name} {arguments}");
        let _ = writeln!(text, "  {call:<38} {meaning}");
    }
    text.push_str(EXAMPLES);
    text.push_str(RULES);
    for group in Group::ALL {
        let _ = writeln!(text, "\n{}:", group.title());
        for spec in table::all().filter(|spec| spec.group == group) {
            option(&mut text, spec);
        }
    }
    text
}

fn option(text: &mut String, spec: &OptionSpec) {
    let mut head = format!("-{} {}", spec.flag, spec.kind.placeholder());
    head.truncate(head.trim_end().len());
    let _ = write!(text, "  {head:<44} ");
    if let Some(variable) = spec.variable_name() {
        text.push_str(&variable);
        if let Some(file) = spec.file_variable_name() {
            let _ = write!(text, " or {file}");
        }
        let _ = write!(text, ", default: {}", spec.fallback_text());
    } else {
        text.push_str("(command line only)");
    }
    text.push('\n');
    text.push_str(&wrap(&meaning(spec), 6, WIDTH));
}

/// The meaning, with the status.
pub(super) fn meaning(spec: &OptionSpec) -> String {
    match spec.status {
        Status::Active => spec.help.to_owned(),
        Status::NoEffect(why) => format!("{} No effect: {why}.", spec.help),
    }
}

const INTRODUCTION: &str = "\
ff-relay: a relay proxy for Harness Feature Flags

Usage:
  ff-relay [options]
";

const EXAMPLES: &str = "
Examples:
  ff-relay -offline -config-dir ./config
  ff-relay -file-data-source flags.tar.gz
  ff-relay -env-file .env -print-config
  ff-relay -offline -config-dir ./config -check
  ff-relay help import
  docker run -p 7000:7000 -v $PWD/config:/config -e OFFLINE=true ff-relay
";

const RULES: &str = "
Options are written -name value, -name=value, --name value or --name=value; booleans also bare
(-offline; -offline=false). Booleans: 1 t T true TRUE True, 0 f F false FALSE False. Times: seconds
(60) or with a unit (500ms, 60s, 1m). Lists: separated by commas, and the flag may be repeated.
A flag wins over its environment variable, which wins over --env-file. An empty variable is unset.
Secrets can be read from the file that <NAME>_FILE names. Exit code 64: the options are wrong.
";
