//! The first word of the command line.

use super::error::{Errors, Problem};
use super::nearest::nearest;

/// The sub-commands: name, arguments, meaning.
pub const COMMANDS: &[(&str, &str, &str)] = &[
    ("serve", "[options]", "run the relay; the same without a command"),
    ("status", "", "say how a running relay is doing"),
    ("inspect", "WHAT", "show what a relay serves: environments, flags, streams, …"),
    ("explain", "--flag F --target T", "say what a flag serves for a target, and why"),
    ("watch", "[--environment ID]", "print changes as they happen"),
    ("export", "FILE", "write what a relay serves into an archive"),
    ("import", "[--dry-run] FILE", "put an archive or a directory into a relay"),
    ("diff", "A B", "show what differs between directories, archives, relays"),
    ("resync", "ENVIRONMENT", "end what an overriding import began"),
    ("set-log-level", "LEVEL [--for TIME]", "change how much a relay logs"),
    ("drain", "", "end a relay in order"),
    ("verify", "PATH [--strict]", "check an offline directory or archive, or what a relay serves"),
    ("pack", "DIR ARCHIVE", "make an archive of an offline directory"),
    ("unpack", "ARCHIVE DIR", "make an offline directory of an archive"),
    ("bump", "OLD NEW", "raise the versions in NEW of what differs from OLD"),
    ("healthcheck", "", "ask a running relay whether it is ready"),
    ("completions", "SHELL", "write completions for bash, zsh or fish"),
    ("help", "[COMMAND]", "explain a command, with examples"),
];

/// Splits the arguments (without the program's name) into the sub-command and the rest. Only the
/// very first word can be one: `7000` in `-port 7000` must not.
#[must_use]
pub fn split_command(args: &[String]) -> (Option<String>, Vec<String>) {
    match args.split_first() {
        Some((first, rest)) if !first.starts_with('-') => (Some(first.clone()), rest.to_vec()),
        _ => (None, args.to_vec()),
    }
}

/// The error for a sub-command that does not exist; it names the nearest one that does, and not the
/// word itself, which may be a misplaced value.
#[must_use]
pub fn unknown_command(word: &str) -> Errors {
    let names = COMMANDS.iter().map(|(name, ..)| *name);
    Errors::one(Problem::UnknownCommand { nearest: nearest(word, names).unwrap_or("serve") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_word_is_a_command() {
        let split = |words: &[&str]| {
            let args: Vec<String> = words.iter().map(ToString::to_string).collect();
            split_command(&args)
        };
        assert_eq!(split(&["serve", "-offline"]), (Some("serve".into()), vec!["-offline".into()]));
        assert_eq!(split(&["-port", "7000"]).0, None);
        assert_eq!(split(&[]), (None, vec![]));
        assert!(unknown_command("verfy").to_string().contains("nearest known one is verify"));
    }
}
