//! What is wrong with the options, all of it at once.

use std::fmt;
use std::path::PathBuf;

use super::help;

/// The exit code for options that are wrong (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// One thing that is wrong. No variant holds a secret: values of secret options and words that may
/// be a misplaced part of one are left out where the problem is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A value that its option cannot take.
    #[error("{option}: {value} ({origin}) is not valid; expected {expected}")]
    InvalidValue {
        /// The flag, without dash.
        option: &'static str,
        /// The value, quoted, credentials masked; `***` for secrets.
        value: String,
        /// Where it came from.
        origin: String,
        /// What would be valid.
        expected: String,
    },
    /// A flag that does not exist.
    #[error("unknown flag {flag}; the nearest known one is -{nearest}")]
    UnknownFlag {
        /// As it was written, up to `=`.
        flag: String,
        /// The nearest known name.
        nearest: &'static str,
    },
    /// An attempt to name a secret's file on the command line.
    #[error("unknown flag {flag}; to read -{option} from a file, set the variable {variable}")]
    FileFlag {
        /// As it was written, up to `=`.
        flag: String,
        /// The secret option.
        option: &'static str,
        /// The variable that names a file.
        variable: String,
    },
    /// A flag that ends the command line but needs a value.
    #[error("-{option}: a value is missing; expected {expected}")]
    MissingValue {
        /// The flag, without dash.
        option: &'static str,
        /// What would be valid.
        expected: String,
    },
    /// `---x`, `-=x` and the like.
    #[error("argument {position} is not written like a flag: -name, -name=value or -name value")]
    BadFlag {
        /// Place on the command line, from 1.
        position: usize,
    },
    /// A word that belongs to no flag.
    #[error("argument {position}{after} belongs to no flag (not shown: it may be part of a secret){hint}")]
    StrayWord {
        /// Place on the command line, from 1.
        position: usize,
        /// ` (after -flag)`, or nothing.
        after: String,
        /// How to write what was perhaps meant.
        hint: String,
    },
    /// A sub-command that does not exist.
    #[error("unknown command; the nearest known one is {nearest}")]
    UnknownCommand {
        /// The nearest known name.
        nearest: &'static str,
    },
    /// A file given by `--env-file` that cannot be used.
    #[error("env-file {}: {what}", path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line number but not the line.
        what: String,
    },
    /// A `<NAME>_FILE` that cannot be used.
    #[error("{option}: the file {} ({variable}) {what}", path.display())]
    SecretFile {
        /// The flag, without dash.
        option: &'static str,
        /// The variable that named the file.
        variable: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Both a variable and its `_FILE` form.
    #[error("{option}: both {variable} and {variable}_FILE are set; drop one")]
    ValueAndFile {
        /// The flag, without dash.
        option: &'static str,
        /// The variable without `_FILE`.
        variable: String,
    },
    /// A variable that is not UTF-8.
    #[error("{option}: the variable {variable} is not UTF-8")]
    NotUnicode {
        /// The flag, without dash.
        option: &'static str,
        /// The variable.
        variable: String,
    },
    /// Options that exclude each other, or that lack another; the sentence says what to do.
    #[error("{0}")]
    Contradiction(String),
    /// Nothing says where flags come from.
    #[error(
        "nothing names a source of flags: give -offline with -config-dir, -file-data-source, -api-keys, -proxy-key, -peer-address or -read-replica"
    )]
    NoSource,
}

/// Everything that is wrong; never empty. `Display` is what the operator reads: one line each, or
/// the whole usage where the only fault is that nothing names a source (a bare `docker run`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    problems: Vec<Problem>,
}

impl Errors {
    /// All problems found, if there are any.
    pub(super) fn from_problems(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// A single problem.
    pub(super) fn one(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }

    /// The problems, in the order in which they were found.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        EXIT_USAGE
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problems == [Problem::NoSource] {
            // The sentence comes last, where a terminal that scrolled still shows it.
            return write!(f, "{}\n{}", help::text(), Problem::NoSource);
        }
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        write!(f, "ff-relay --help shows every option")
    }
}

impl std::error::Error for Errors {}
