//! The first word of the command line.

use super::error::{Errors, Problem};
use super::nearest::nearest;

/// The sub-commands: name, arguments, meaning.
pub const COMMANDS: &[(&str, &str, &str)] = &[
    ("serve", "[options]", "run the relay; the same without a command"),
    ("verify", "PATH [--strict]", "check an offline directory or archive"),
    ("pack", "DIR ARCHIVE", "make an archive of an offline directory"),
    ("unpack", "ARCHIVE DIR", "make an offline directory of an archive"),
    ("bump", "OLD NEW", "raise the versions in NEW of what differs from OLD"),
    ("healthcheck", "", "ask a running relay whether it is ready"),
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
