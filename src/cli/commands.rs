//! The sub-commands: how each is parsed, and what runs. What they are for
//! stands in [`config::COMMANDS`](crate::config::COMMANDS).

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};

use super::failure::Failure;
use super::{
    bump, completions, control, diff, explain, export, healthcheck, help, import, inspect, pack, status, verify, watch,
};
use crate::config::EXIT_USAGE;

/// One sub-command.
#[derive(Clone, Copy)]
pub struct Entry {
    pub name: &'static str,
    /// Its command line; `None` where the relay's own options are taken.
    pub clap: Option<fn() -> clap::Command>,
    pub run: fn(&[String]) -> ExitCode,
}

/// All but `serve`, in the order of help.
pub const ENTRIES: &[Entry] = &[
    Entry { name: "status", clap: Some(status::Arguments::command), run: |rest| with("status", rest, status::run) },
    Entry { name: "inspect", clap: Some(inspect::Arguments::command), run: |rest| with("inspect", rest, inspect::run) },
    Entry { name: "explain", clap: Some(explain::Arguments::command), run: |rest| with("explain", rest, explain::run) },
    Entry { name: "watch", clap: Some(watch::Arguments::command), run: |rest| with("watch", rest, watch::run) },
    Entry { name: "export", clap: Some(export::Arguments::command), run: |rest| with("export", rest, export::run) },
    Entry { name: "import", clap: Some(import::Arguments::command), run: |rest| with("import", rest, import::run) },
    Entry { name: "diff", clap: Some(diff::Arguments::command), run: |rest| with("diff", rest, diff::run) },
    Entry {
        name: "resync",
        clap: Some(control::ResyncArguments::command),
        run: |rest| with("resync", rest, control::resync),
    },
    Entry {
        name: "set-log-level",
        clap: Some(control::LevelArguments::command),
        run: |rest| with("set-log-level", rest, control::set_log_level),
    },
    Entry {
        name: "drain",
        clap: Some(control::DrainArguments::command),
        run: |rest| with("drain", rest, control::drain),
    },
    Entry { name: "verify", clap: Some(verify::Arguments::command), run: |rest| with("verify", rest, verify::run) },
    Entry { name: "pack", clap: Some(pack::PackArguments::command), run: |rest| with("pack", rest, pack::pack) },
    Entry {
        name: "unpack",
        clap: Some(pack::UnpackArguments::command),
        run: |rest| with("unpack", rest, pack::unpack),
    },
    Entry { name: "bump", clap: Some(bump::Arguments::command), run: |rest| with("bump", rest, bump::run) },
    Entry { name: "healthcheck", clap: None, run: healthcheck::run },
    Entry {
        name: "completions",
        clap: Some(completions::Arguments::command),
        run: |rest| with("completions", rest, completions::run),
    },
    Entry { name: "help", clap: Some(help::Arguments::command), run: |rest| with("help", rest, help::run) },
];

/// The sub-command of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

/// Parses and runs.
fn with<A: Parser>(command: &str, rest: &[String], run: impl FnOnce(&A) -> anyhow::Result<bool>) -> ExitCode {
    let line = std::iter::once(format!("ff-relay {command}")).chain(rest.iter().cloned());
    let parsed = A::command().bin_name(format!("ff-relay {command}")).try_get_matches_from(line);
    let arguments = match parsed.and_then(|matches| A::from_arg_matches(&matches)) {
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
            ExitCode::from(error.downcast_ref::<Failure>().map_or(1, Failure::exit_code))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::COMMANDS;

    #[test]
    fn the_list_that_help_shows_is_this_one() {
        let shown: Vec<&str> = COMMANDS.iter().map(|(name, ..)| *name).filter(|name| *name != "serve").collect();
        assert_eq!(shown, ENTRIES.iter().map(|entry| entry.name).collect::<Vec<_>>());
    }

    #[test]
    fn every_command_line_is_sound_and_says_its_exit_codes() {
        for entry in ENTRIES.iter().filter_map(|entry| entry.clap) {
            entry().debug_assert();
            let help = entry().render_long_help().to_string();
            assert!(help.contains("Exit codes: 0 "), "{help}");
            assert!(help.contains("Examples:\n  ff-relay "), "{help}");
        }
    }
}
