//! The memory that regular expressions may take.

use std::sync::Arc;

use super::Compiler;
use crate::evaluate::compiled::{Comparison, Expression, ExpressionCost, TextTest};
use crate::evaluate::regex_dialect::{self, BuildError};
use crate::evaluate::warning::Warning;

/// The smallest charge. An expression is charged the first of 16 KiB, 64 KiB, 256 KiB, … that it
/// can be built within: its true size is not told by the library.
const FIRST_STEP: usize = 16 << 10;
const STEP_FACTOR: usize = 4;

/// What is left for the expressions of one flag or segment, and what they took.
///
/// Charges depend on the expression alone, so that the same configuration gives the same result
/// whether it was compiled in one go or bit by bit.
pub(super) struct Budget {
    per_expression: usize,
    left: usize,
    cost: ExpressionCost,
}

enum Refusal {
    Invalid(String),
    TooLarge,
    BudgetPassed,
}

impl Budget {
    pub(super) fn new(per_expression: usize, left: usize) -> Self {
        Self { per_expression, left, cost: ExpressionCost::default() }
    }

    pub(super) fn cost(&self) -> ExpressionCost {
        self.cost
    }

    fn build(&mut self, expression: &str) -> Result<Expression, Refusal> {
        let translated = regex_dialect::translate(expression).map_err(|error| Refusal::Invalid(error.to_string()))?;
        let mut step = FIRST_STEP;
        loop {
            let charge = step.min(self.per_expression);
            let needed = self.cost.charged.saturating_add(charge);
            if needed > self.left {
                self.cost.clipped = true;
                return Err(Refusal::BudgetPassed);
            }
            self.cost.needed = self.cost.needed.max(needed);
            match translated.build(charge) {
                Ok(regex) => {
                    self.cost.charged = needed;
                    return Ok(Expression { regex, charge });
                }
                Err(BuildError::TooLarge) if step < self.per_expression => {
                    step = step.saturating_mul(STEP_FACTOR);
                }
                Err(BuildError::TooLarge) => return Err(Refusal::TooLarge),
                Err(BuildError::Other(reason)) => return Err(Refusal::Invalid(reason)),
            }
        }
    }
}

impl Compiler<'_> {
    /// Whether a test that was made elsewhere stands for one made here: if the budget has room for
    /// its expression, which is charged as though it was built here.
    pub(super) fn may_share(&mut self, test: &TextTest) -> bool {
        let Comparison::Match(Expression { charge, .. }) = &test.comparison else {
            return true;
        };
        let needed = self.budget.cost.charged.saturating_add(*charge);
        if needed > self.budget.left {
            return false;
        }
        let needed_most = self.budget.cost.needed.max(needed);
        (self.budget.cost.charged, self.budget.cost.needed) = (needed, needed_most);
        true
    }

    /// The compiled expression, or a warning and nothing.
    pub(super) fn expression(&mut self, expression: &str) -> Option<Expression> {
        let refusal = match self.budget.build(expression) {
            Ok(regex) => return Some(regex),
            Err(refusal) => refusal,
        };
        let (subject, expression) = (self.subject.clone(), Arc::from(expression));
        self.warn(match refusal {
            Refusal::Invalid(reason) => Warning::InvalidExpression { subject, expression, reason },
            Refusal::TooLarge => Warning::ExpressionTooLarge {
                subject,
                expression,
                limit_bytes: self.options.regex_bytes_per_expression,
            },
            Refusal::BudgetPassed => Warning::ExpressionBudgetPassed {
                subject,
                expression,
                limit_bytes: self.options.regex_bytes_per_environment,
            },
        });
        None
    }
}
