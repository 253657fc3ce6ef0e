//! Standard output: for people, or JSON for programs; quiet when nobody reads
//! any more, as `head` does not.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::config::{Process, Surroundings as _};

/// Prints a line.
macro_rules! say {
    () => {
        $crate::cli::print::line(format_args!(""))
    };
    ($($argument:tt)*) => {
        $crate::cli::print::line(format_args!($($argument)*))
    };
}
pub(crate) use say;

/// Prints a line, see `say!`.
pub fn line(text: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.write_all(b"\n")) {
        gave_up(&error);
    }
}

/// Prints one JSON value.
pub fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(format_args!("{}", escaped(&text))),
        Err(error) => eprintln!("ff-relay: the answer cannot be written as JSON: {error}"),
    }
}

/// Prints one JSON value in one line.
pub fn json_line(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => line(format_args!("{}", escaped(&text))),
        Err(error) => eprintln!("ff-relay: the answer cannot be written as JSON: {error}"),
    }
    flush();
}

/// serde leaves the control characters behind DEL as they are, and terminals
/// obey them.
fn escaped(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| ('\u{7f}'..='\u{9f}').contains(&c);
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if obeyed(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Prints bytes as they are.
pub fn bytes(bytes: &[u8]) {
    if let Err(error) = io::stdout().lock().write_all(bytes) {
        gave_up(&error);
    }
}

/// Makes sure that a line is seen at once, also through a pipe.
pub fn flush() {
    if let Err(error) = io::stdout().flush() {
        gave_up(&error);
    }
}

fn gave_up(error: &io::Error) {
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    eprintln!("ff-relay: standard output cannot be written: {error}");
    std::process::exit(1);
}

/// How much a text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    Changed,
    Strong,
    Faint,
}

/// Colours, where somebody sees them.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Only on a terminal, and never with `NO_COLOR`.
    #[must_use]
    pub fn of_surroundings() -> Self {
        let refused = Process.variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = Process.variable("TERM").is_none_or(|term| term == "dumb");
        Paint { on: !refused && !dumb && io::stdout().is_terminal() }
    }

    #[must_use]
    pub fn text(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Changed => "33",
            Tone::Strong => "1",
            Tone::Faint => "2",
        };
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What somebody else wrote, without what a terminal would obey.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            cleaned.extend(c.escape_default());
        } else {
            cleaned.push(c);
        }
    }
    cleaned
}

/// `3 flags`, `1 flag`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_not_told_to_do_anything() {
        assert_eq!(clean("a\x1b[2Jb\nc\u{9b}é"), "a\\u{1b}[2Jb\\nc\\u{9b}é");
        assert_eq!((count(1, "flag"), count(0, "key")), ("1 flag".into(), "0 keys".into()));
    }
}
