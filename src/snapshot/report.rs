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
    pub kind: ProblemKind,
}

/// What sort of problem it is, for those who must tell a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProblemKind {
    /// The content, or the layout it comes in, cannot be used.
    #[default]
    Invalid,
    /// An archive that was cut short or altered on its way.
    Corrupt,
    /// An archive of another format version.
    FormatUnsupported,
    /// Larger than this relay takes.
    Limit,
}

impl Problem {
    #[must_use]
    pub fn new(file: &str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Problem {
            file: file.to_owned(),
            position: None,
            what: what.into(),
            advice: advice.into(),
            kind: ProblemKind::Invalid,
        }
    }

    #[must_use]
    pub fn of_kind(mut self, kind: ProblemKind) -> Self {
        self.kind = kind;
        self
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

impl Problems {
    /// The kind of the first problem.
    #[must_use]
    pub fn kind(&self) -> ProblemKind {
        self.0.first().map(|problem| problem.kind).unwrap_or_default()
    }
}

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
