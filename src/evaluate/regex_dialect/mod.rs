//! Go's regular expressions on the `regex` crate.
//!
//! Harness's expressions are written for Go's `regexp`. The two libraries share their roots and
//! their guarantee, matching in linear time, but not their syntax: each accepts what the other
//! refuses, and some texts mean different things (evaluation.md, operator `match`). So expressions
//! are read here by Go's grammar, and written out again in forms that mean one thing only:
//! explicit classes, no flags. Groups capture nothing and repetitions are all greedy, for the only
//! question is whether there is a match.
//!
//! What an expression may contain follows Go 1.26, with Unicode 15.0. Two differences remain:
//! `\p{Old_Italic}` and other scripts of several words are accepted, as in Go up to 1.24 (later
//! versions refuse them, by a slip), and Go's limit on an expression's size is judged without the
//! simplifications that Go applies first.

mod charset;
mod class;
mod cursor;
mod emit;
mod error;
mod escape;
mod group;
mod parser;
mod property;
mod property_names;
mod repeat;
mod tree;

use regex::{Regex, RegexBuilder};

pub use error::SyntaxError;

/// An expression in the syntax of the `regex` crate.
#[derive(Debug)]
pub struct Translated {
    text: Option<String>,
    /// Of Go's syntax tree.
    height: u32,
}

/// Why a translated expression could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// It takes more memory than allowed.
    #[error("the expression takes too much memory")]
    TooLarge,
    /// The library refused it.
    #[error("{0}")]
    Other(String),
}

/// Compiled expressions take at least this many bytes for each byte of translated text. Text that
/// cannot fit is not even parsed.
const BYTES_PER_TEXT_BYTE: usize = 16;
const LONGEST_TEXT: usize = 4 << 20;

/// Reads an expression in Go's syntax.
///
/// # Errors
///
/// Go refuses the expression.
pub fn translate(expression: &str) -> Result<Translated, SyntaxError> {
    let (tree, root) = parser::parse(expression)?;
    Ok(Translated { height: tree.height(root), text: emit::emit(&tree, root, LONGEST_TEXT) })
}

impl Translated {
    /// The expression as text, unless it is too long to be built at all.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Builds the expression within a limit on its memory, in bytes.
    ///
    /// # Errors
    ///
    /// It does not fit, or the library refuses it.
    pub fn build(&self, limit_bytes: usize) -> Result<Regex, BuildError> {
        /// The library compiles by recursion; below this height any thread's stack will do.
        const SHALLOW: u32 = 30;
        const DEEP_STACK_BYTES: usize = 64 << 20;

        let Some(text) = &self.text else {
            return Err(BuildError::TooLarge);
        };
        if text.len() > limit_bytes / BYTES_PER_TEXT_BYTE && text.len() > 1024 {
            return Err(BuildError::TooLarge);
        }
        if self.height <= SHALLOW {
            return build(text, limit_bytes);
        }
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().stack_size(DEEP_STACK_BYTES);
            let other = |message: &str| BuildError::Other(message.to_owned());
            let thread =
                builder.spawn_scoped(scope, || build(text, limit_bytes)).map_err(|error| other(&error.to_string()))?;
            thread.join().unwrap_or_else(|_| Err(other("the expression could not be compiled")))
        })
    }
}

fn build(text: &str, limit_bytes: usize) -> Result<Regex, BuildError> {
    RegexBuilder::new(text).size_limit(limit_bytes).nest_limit(u32::MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => BuildError::TooLarge,
        error => BuildError::Other(error.to_string()),
    })
}

#[cfg(test)]
mod tests;
