//! What is odd about a configuration that is nevertheless served.

use std::fmt;
use std::sync::Arc;

/// A flag or a segment, by identifier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A flag.
    Flag(Arc<str>),
    /// A segment.
    Segment(Arc<str>),
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(identifier) => write!(out, "flag \"{identifier}\""),
            Self::Segment(identifier) => write!(out, "segment \"{identifier}\""),
        }
    }
}

/// Something in the configuration that evaluation gives a meaning to, but that is hardly meant.
///
/// Every message can be read alone. Equal warnings compare equal from one environment to the
/// next, so that a caller can report each of them once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// Listed more than once: the last one counts.
    #[error("{subject} is listed more than once, the last one counts")]
    ListedTwice {
        /// Which one.
        subject: Subject,
    },
    /// A segment that does not exist is skipped.
    #[error("{subject} refers to the unknown segment \"{segment}\", which is skipped")]
    UnknownSegment {
        /// Who refers to it.
        subject: Subject,
        /// The missing segment.
        segment: Arc<str>,
    },
    /// A prerequisite that does not exist ends the list of prerequisites.
    #[error("flag \"{flag}\" has the unknown prerequisite \"{prerequisite}\": it counts as met, as do those after it")]
    UnknownPrerequisite {
        /// Who refers to it.
        flag: Arc<str>,
        /// The missing flag.
        prerequisite: Arc<str>,
    },
    /// Flags that are prerequisites of each other answer their off variation.
    #[error("prerequisites lead round in a circle: {}; such flags answer their off variation", Names(.flags))]
    PrerequisiteCycle {
        /// The flags of the circle.
        flags: Vec<Arc<str>>,
    },
    /// Segments whose rules lead back to themselves.
    #[error(
        "segments lead round in a circle: {}; nobody is a member on account of the circle itself",
        Names(.segments)
    )]
    SegmentCycle {
        /// The segments of the circle.
        segments: Vec<Arc<str>>,
    },
    /// A flag that cannot be evaluated.
    #[error("flag \"{flag}\" has no variations: it cannot be evaluated")]
    NoVariations {
        /// Which flag.
        flag: Arc<str>,
    },
    /// Serving this leaves the flag without an answer.
    #[error("flag \"{flag}\" has no variation \"{variation}\", which its {place} names: serving it gives no answer")]
    UnknownVariation {
        /// Which flag.
        flag: Arc<str>,
        /// The missing variation.
        variation: Arc<str>,
        /// Where it is named.
        place: Place,
    },
    /// The shares of a rollout do not cover all targets, or too many.
    #[error("flag \"{flag}\" has a rollout whose weights add up to {total}, not 100, in its {place}")]
    Weights {
        /// Which flag.
        flag: Arc<str>,
        /// The sum of the weights.
        total: i64,
        /// Where the rollout is.
        place: Place,
    },
    /// A clause with an operator that does not exist never holds.
    #[error("{subject} uses the unknown operator \"{op}\": the clause never holds")]
    UnknownOperator {
        /// Whose clause it is.
        subject: Subject,
        /// The operator.
        op: Arc<str>,
    },
    /// A clause with a malformed regular expression never holds.
    #[error("{subject} has the invalid regular expression \"{}\" ({reason}): the clause never holds", Start(.expression))]
    InvalidExpression {
        /// Whose clause it is.
        subject: Subject,
        /// The expression.
        expression: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
    /// A regular expression that takes too much memory never holds.
    #[error(
        "{subject} has the regular expression \"{}\", which takes more than {limit_bytes} bytes: the clause never holds",
        Start(.expression)
    )]
    ExpressionTooLarge {
        /// Whose clause it is.
        subject: Subject,
        /// The expression.
        expression: Arc<str>,
        /// The limit for one expression.
        limit_bytes: usize,
    },
    /// The environment's regular expressions take too much memory together.
    #[error(
        "{subject} has the regular expression \"{}\", with which the environment's take more than {limit_bytes} bytes: \
         the clause never holds",
        Start(.expression)
    )]
    ExpressionBudgetPassed {
        /// Whose clause it is.
        subject: Subject,
        /// The expression.
        expression: Arc<str>,
        /// The limit for all of the environment's expressions.
        limit_bytes: usize,
    },
}

/// The part of a flag that names a variation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// `offVariation`.
    OffVariation,
    /// `defaultServe`.
    DefaultServe,
    /// A rule's `serve`.
    Rule,
    /// `variationToTargetMap`.
    TargetMap,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::OffVariation => "off variation",
            Self::DefaultServe => "default",
            Self::Rule => "rules",
            Self::TargetMap => "target map",
        })
    }
}

/// The first few names of a list.
struct Names<'n>(&'n [Arc<str>]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        for (at, name) in self.0.iter().take(SHOWN).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(out, "{comma}\"{name}\"")?;
        }
        match self.0.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => write!(out, " and {more} more"),
            _ => Ok(()),
        }
    }
}

/// The beginning of a long text.
struct Start<'t>(&'t str);

impl fmt::Display for Start<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 100;
        match self.0.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(out, "{}…", self.0.get(..end).unwrap_or_default()),
            None => out.write_str(self.0),
        }
    }
}
