//! From Harness's JSON to the form that is evaluated.

mod clause;
mod expression;
mod flag;
mod segment;
mod shared;

use std::sync::Arc;

use serde::de::DeserializeOwned;

pub(super) use flag::compile_flag;
pub(super) use segment::compile_segment;

use self::expression::Budget;
use super::compiled::{Origin, Uses};
use super::slots::{Kind, Slot, Slots};
use super::warning::{Subject, Warning};

/// One flag or one segment as it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its identifier, unique among the flags or the segments.
    pub identifier: &'a str,
    /// A digest of `json`: equal digests mean equal content.
    pub digest: [u8; 32],
    /// Its JSON.
    pub json: &'a str,
}

/// How configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileOptions {
    /// Whether a segment's `servingRules` are used (`AND_RULES`).
    pub and_rules: bool,
    /// What one compiled regular expression may take, in bytes.
    pub regex_bytes_per_expression: usize,
    /// What all of an environment's regular expressions may take, in bytes.
    pub regex_bytes_per_environment: usize,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self { and_rules: true, regex_bytes_per_expression: 64 << 20, regex_bytes_per_environment: 256 << 20 }
    }
}

/// A flag or segment whose JSON has the wrong shape.
#[derive(Debug, thiserror::Error)]
#[error("{subject} has the wrong shape: {message}")]
pub struct CompileError {
    /// Which one.
    pub subject: Subject,
    /// What the parser says: the field's type or the syntax, with line and column.
    pub message: String,
}

/// Compiles one flag or segment: hands out slots, collects warnings and what is referred to.
pub(super) struct Compiler<'c> {
    slots: &'c mut Arc<Slots>,
    options: &'c CompileOptions,
    subject: Subject,
    warnings: Vec<Warning>,
    budget: Budget,
    attributes: Vec<Slot>,
    flags: Vec<Slot>,
    segments: Vec<Slot>,
}

impl<'c> Compiler<'c> {
    pub(super) fn new(
        slots: &'c mut Arc<Slots>,
        options: &'c CompileOptions,
        subject: Subject,
        expression_bytes_left: usize,
    ) -> Self {
        Self {
            slots,
            options,
            subject,
            warnings: Vec::new(),
            budget: Budget::new(options.regex_bytes_per_expression, expression_bytes_left),
            attributes: Vec::new(),
            flags: Vec::new(),
            segments: Vec::new(),
        }
    }

    /// The slot of a name, noted as used.
    fn slot(&mut self, kind: Kind, name: &str) -> Slot {
        let slot = Slots::intern(self.slots, kind, name);
        match kind {
            Kind::Attribute => self.attributes.push(slot),
            Kind::Flag => self.flags.push(slot),
            Kind::Segment => self.segments.push(slot),
        }
        slot
    }

    fn slots(&mut self, kind: Kind, names: &[String]) -> Box<[Slot]> {
        names.iter().map(|name| self.slot(kind, name)).collect()
    }

    fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    fn read<T: DeserializeOwned>(&self, json: &str) -> Result<T, CompileError> {
        let fault =
            |message: serde_json::Error| CompileError { subject: self.subject.clone(), message: message.to_string() };
        // A field given twice is an error to derived readers; the reference takes the last one.
        serde_json::from_str(json).or_else(|error| {
            let value: serde_json::Value = serde_json::from_str(json).map_err(fault)?;
            serde_json::from_value(value).map_err(|_| fault(error))
        })
    }

    fn into_origin(mut self, slot: Slot, digest: [u8; 32]) -> Origin {
        self.warnings.sort_unstable();
        self.warnings.dedup();
        let (Subject::Flag(identifier) | Subject::Segment(identifier)) = self.subject;
        Origin {
            identifier,
            slot,
            digest,
            warnings: self.warnings,
            uses: Uses {
                attributes: distinct(self.attributes),
                flags: distinct(self.flags),
                segments: distinct(self.segments),
            },
            expressions: self.budget.cost(),
        }
    }
}

fn distinct(mut slots: Vec<Slot>) -> Box<[Slot]> {
    slots.sort_unstable();
    slots.dedup();
    slots.into_boxed_slice()
}
