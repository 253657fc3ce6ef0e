//! What is wrong with configuration that somebody wrote: one line per
//! problem, with file, line, column and what to do.

use std::fmt;

use crate::model::json::Position;

/// One error in a directory or archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the file, as the operator knows it.
    pub file: String,
    pub position: Option<Position>,
    pub what: String,
    /// What to do about it.
    pub advice: String,
}

impl Problem {
    #[must_use]
    pub fn new(file: &str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Problem { file: file.to_owned(), position: None, what: what.into(), advice: advice.into() }
    }

    #[must_use]
    pub fn at(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ", line {line}, column {column}")?;
        }
        write!(f, ": {}; {}", self.what, self.advice)
    }
}

/// All the errors that were found, in the order of files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Problems(pub Vec<Problem>);

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Problems(vec![problem])
    }
}

fn lines(problems: &[Problem]) -> String {
    match problems {
        [] => "the configuration is not usable".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more; `ff-relay verify` lists them all)", rest.len()),
    }
}
