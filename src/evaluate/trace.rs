//! What evaluation can be watched by. Answers are computed with [`Silent`], which costs nothing.

use super::compiled::{CompiledClause, CompiledDistribution, CompiledFlag, CompiledPrerequisite, MapEntry};
use super::explanation::{PrerequisiteOutcome, Reason, SegmentOutcome};
use super::slots::Slot;

pub(super) trait Trace {
    /// False: nobody watches, and what is only to be reported need not be found out.
    const WATCHES: bool = true;

    fn prerequisite(
        &mut self,
        _of: &CompiledFlag,
        _prerequisite: &CompiledPrerequisite,
        _served: Option<&str>,
        _outcome: PrerequisiteOutcome,
    ) {
    }

    /// A segment was consulted, for the map entry or clause that is reported next.
    fn segment(&mut self, _segment: Slot, _outcome: SegmentOutcome) {}

    fn map_entry(&mut self, _entry: &MapEntry, _listed: bool, _held: bool) {}

    fn clause(&mut self, _clause: &CompiledClause, _text: &str, _held: bool) {}

    /// The rule at this place was tried; its clauses were reported before.
    fn rule(&mut self, _place: usize, _held: bool) {}

    fn distribution(&mut self, _distribution: &CompiledDistribution, _bucket: u8) {}

    /// Why the answer is what it is; reported once, or never when nothing is served.
    fn reason(&mut self, _reason: Reason) {}
}

/// Nobody watches.
pub(super) struct Silent;

impl Trace for Silent {
    const WATCHES: bool = false;
}
