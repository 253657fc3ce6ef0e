//! The command line, by the rules of Go's `flag` package.

use std::iter::Peekable;

use super::error::Problem;
use super::kind::parse_bool;
use super::nearest::nearest;
use super::option_spec::OptionSpec;
use super::table;

/// What a command line says.
#[derive(Debug, Default)]
pub(super) struct CommandLine {
    /// Options and the texts given for them, in order.
    pub(super) given: Vec<(&'static OptionSpec, String)>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

impl CommandLine {
    /// The texts given for an option, in order.
    pub(super) fn texts(&self, flag: &str) -> impl Iterator<Item = &str> {
        self.given.iter().filter(move |(spec, _)| spec.flag == flag).map(|(_, text)| text.as_str())
    }

    /// Whether a boolean is on; the last one counts, and what is not a boolean is reported later.
    pub(super) fn asks(&self, flag: &str) -> bool {
        self.texts(flag).last().is_some_and(|text| parse_bool(text.trim()).unwrap_or(true))
    }
}

/// Reads `-name value`, `-name=value`, both also with two dashes, bare booleans, and `--` as the
/// end. A flag that is no boolean takes the next word whatever it looks like, and a boolean never
/// does, as in Go. Unlike Go, a stray word is an error and does not silently end the flags.
pub(super) fn read(args: &[String]) -> CommandLine {
    let mut line = CommandLine::default();
    let mut words = args.iter().map(String::as_str).enumerate().peekable();
    let mut previous: Option<&'static OptionSpec> = None;
    while let Some((index, word)) = words.next() {
        let position = index + 1;
        if word == "--" {
            for (index, _) in words.by_ref() {
                line.problems.push(stray(index + 1, None));
            }
        } else if let Some(body) = word.strip_prefix('-').filter(|body| !body.is_empty()) {
            previous = line.flag(position, body.strip_prefix('-').unwrap_or(body), &mut words);
        } else {
            line.stray_word(position, word, previous.take());
        }
    }
    line
}

impl CommandLine {
    fn flag<'a>(
        &mut self,
        position: usize,
        body: &str,
        words: &mut Peekable<impl Iterator<Item = (usize, &'a str)>>,
    ) -> Option<&'static OptionSpec> {
        let (name, inline) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        if name.is_empty() || name.starts_with('-') {
            self.problems.push(Problem::BadFlag { position });
            return None;
        }
        let Some(spec) = table::find(if name == "h" { "help" } else { name }) else {
            self.problems.push(unknown(name));
            if inline.is_none() {
                // Most likely its value: one report for one mistake.
                words.next_if(|(_, next)| !next.starts_with('-'));
            }
            return None;
        };
        let value = match inline {
            Some(value) => Some(value),
            None if spec.kind.is_boolean() => Some("true"),
            None => words.next().map(|(_, value)| value),
        };
        match value {
            Some(value) => self.given.push((spec, value.to_owned())),
            None => self.problems.push(Problem::MissingValue { option: spec.flag, expected: spec.kind.expected() }),
        }
        (inline.is_none() && spec.kind.is_boolean()).then_some(spec)
    }

    /// A word after a bare boolean that says the same as the boolean itself is harmless; Go drops
    /// it too. `-offline false` is not: Go reads it as true, which nobody means.
    fn stray_word(&mut self, position: usize, word: &str, boolean: Option<&OptionSpec>) {
        match boolean {
            Some(spec) if parse_bool(word) == Some(true) => self.warnings.push(format!(
                "argument {position} after -{} is not read as its value, as in Go; write -{}={word}",
                spec.flag, spec.flag
            )),
            other => self.problems.push(stray(position, other)),
        }
    }
}

fn stray(position: usize, boolean: Option<&OptionSpec>) -> Problem {
    let (after, hint) = match boolean {
        Some(spec) => {
            (format!(" (after -{})", spec.flag), format!("; a boolean takes its value as -{}=false", spec.flag))
        }
        None => (String::new(), "; a value with blanks needs quotes".to_owned()),
    };
    Problem::StrayWord { position, after, hint }
}

fn unknown(name: &str) -> Problem {
    // What does not look like a name may be a misplaced secret that begins with a dash.
    let is_name = name.len() <= 40 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let flag = if is_name { format!("-{name}") } else { "(not shown)".to_owned() };
    let secret = name
        .to_ascii_lowercase()
        .replace('_', "-")
        .strip_suffix("-file")
        .and_then(table::find)
        .and_then(|spec| Some((spec.flag, spec.file_variable_name()?)));
    if let Some((option, variable)) = secret {
        return Problem::FileFlag { flag, option, variable };
    }
    let names = table::all().map(|spec| spec.flag);
    Problem::UnknownFlag { flag, nearest: nearest(name, names).unwrap_or("help") }
}
