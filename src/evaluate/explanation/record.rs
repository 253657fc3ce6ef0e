//! The trace that becomes an [`Explanation`].

use std::collections::HashSet;

use super::{
    BucketStep, ClauseStep, Explanation, MapStep, PrerequisiteOutcome, PrerequisiteStep, Reason, RuleStep,
    SegmentOutcome, SegmentReference, SegmentStep, ShareStep,
};
use crate::evaluate::compiled::{
    Choice, CompiledClause, CompiledDistribution, CompiledFlag, CompiledPrerequisite, MapEntry, SegmentRules, Shown,
};
use crate::evaluate::environment::CompiledEnvironment;
use crate::evaluate::slots::{Slot, at};
use crate::evaluate::trace::Trace;
use crate::evaluate::walk::{Kept, Walk};
use crate::model::Target;

/// More segments than this are not explained one by one.
const SEGMENTS_EXPLAINED: usize = 1000;

/// Evaluates a flag, watching.
pub(in crate::evaluate) fn explain(
    environment: &CompiledEnvironment,
    target: &Target,
    flag: &CompiledFlag,
) -> Explanation {
    let mut kept = Kept::for_evaluation_in(environment);
    let mut walk = Walk::new(environment, target, kept.get());
    let mut record = Record::new(environment, target, flag);
    let served = walk.answer(flag, &mut record);
    let variation = flag.variation(served);
    record.explanation.variation = variation.map(|variation| variation.identifier.to_string());
    record.explanation.value = variation.map(|variation| variation.value.to_string());
    record.segments(&mut walk);
    record.explanation
}

struct Record<'a> {
    environment: &'a CompiledEnvironment,
    flag: &'a CompiledFlag,
    explanation: Explanation,
    /// Not yet part of a rule or a segment.
    clauses: Vec<ClauseStep>,
    /// Not yet part of a clause or a map entry.
    references: Vec<SegmentReference>,
    /// Every segment consulted, in order, each once.
    consulted: Vec<Slot>,
    known: HashSet<Slot>,
}

impl<'a> Record<'a> {
    fn new(environment: &'a CompiledEnvironment, target: &Target, flag: &'a CompiledFlag) -> Self {
        Self {
            environment,
            flag,
            explanation: Explanation {
                flag: flag.origin.identifier.to_string(),
                kind: flag.kind.to_string(),
                target: target.identifier.clone(),
                on: flag.on,
                prerequisites: Vec::new(),
                target_map: Vec::new(),
                rules: Vec::new(),
                distributions: Vec::new(),
                segments: Vec::new(),
                reason: Reason::DefaultVariation,
                variation: None,
                value: None,
            },
            clauses: Vec::new(),
            references: Vec::new(),
            consulted: Vec::new(),
            known: HashSet::new(),
        }
    }

    /// Goes through the rules of the segments consulted, which consults more of them. What each
    /// says about the target is known by now, so this does not decide anything.
    fn segments(&mut self, walk: &mut Walk<'a, '_>) {
        let mut next = 0;
        while let Some(&slot) = self.consulted.get(next).filter(|_| next < SEGMENTS_EXPLAINED) {
            next += 1;
            let outcome = walk.membership(slot);
            let mut rules = Vec::new();
            if let Some(segment) = self.environment.segment(slot)
                && matches!(outcome, SegmentOutcome::Rule | SegmentOutcome::NotMember)
            {
                match &segment.rules {
                    SegmentRules::Serving(serving) => {
                        for clauses in serving {
                            let held = !clauses.is_empty() && walk.all_hold(clauses, self);
                            rules.push(std::mem::take(&mut self.clauses));
                            if held {
                                break;
                            }
                        }
                    }
                    SegmentRules::AnyClause(clauses) => {
                        for clause in clauses {
                            let held = walk.holds(clause, self);
                            rules.push(std::mem::take(&mut self.clauses));
                            if held {
                                break;
                            }
                        }
                    }
                }
            }
            let segment = self.environment.slots.segments.name(slot).to_owned();
            self.explanation.segments.push(SegmentStep { segment, outcome, rules });
        }
    }

    fn variation(&self, choice: Choice) -> String {
        let identifier = match choice {
            Choice::Empty => None,
            Choice::Known(place) => self.flag.variation(Some(place)).map(|known| &known.identifier),
            Choice::Unknown(place) => self.flag.unknown_variations.get(at(place)),
        };
        identifier.map(ToString::to_string).unwrap_or_default()
    }

    fn attribute(&self, slot: Slot) -> String {
        self.environment.slots.attributes.name(slot).to_owned()
    }
}

fn texts(shown: &Shown) -> Vec<String> {
    shown.first.iter().map(ToString::to_string).collect()
}

impl Trace for Record<'_> {
    fn prerequisite(
        &mut self,
        of: &CompiledFlag,
        prerequisite: &CompiledPrerequisite,
        served: Option<&str>,
        outcome: PrerequisiteOutcome,
    ) {
        self.explanation.prerequisites.push(PrerequisiteStep {
            of: of.origin.identifier.to_string(),
            flag: self.environment.slots.flags.name(prerequisite.flag).to_owned(),
            wanted: texts(&prerequisite.shown),
            wanted_count: prerequisite.shown.total,
            served: served.map(ToOwned::to_owned),
            outcome,
        });
    }

    fn segment(&mut self, segment: Slot, outcome: SegmentOutcome) {
        if self.known.insert(segment) {
            self.consulted.push(segment);
        }
        let segment = self.environment.slots.segments.name(segment).to_owned();
        self.references.push(SegmentReference { segment, outcome });
    }

    fn map_entry(&mut self, entry: &MapEntry, listed: bool, held: bool) {
        let variation = self.variation(entry.choice);
        let segments = std::mem::take(&mut self.references);
        self.explanation.target_map.push(MapStep { variation, listed, segments, held });
    }

    fn clause(&mut self, clause: &CompiledClause, text: &str, held: bool) {
        let (op, shown) = clause.shown();
        let step = ClauseStep {
            attribute: self.attribute(clause.attribute),
            op: op.to_owned(),
            values: texts(shown),
            value_count: shown.total,
            text: text.to_owned(),
            segments: std::mem::take(&mut self.references),
            held,
        };
        self.clauses.push(step);
    }

    fn rule(&mut self, place: usize, held: bool) {
        let clauses = std::mem::take(&mut self.clauses);
        let name = self.flag.rule_names.get(place);
        let (rule, priority) = name.map(|name| (name.identifier.to_string(), name.priority)).unwrap_or_default();
        self.explanation.rules.push(RuleStep { rule, priority, clauses, held });
    }

    fn distribution(&mut self, distribution: &CompiledDistribution, bucket: u8) {
        let shares = distribution.shares.iter();
        let step = BucketStep {
            bucket_by: self.attribute(distribution.bucket_by),
            bucket: (bucket > 0).then_some(bucket),
            shares: shares
                .map(|share| ShareStep { variation: self.variation(share.choice), weight: share.weight })
                .collect(),
            variation: self.variation(distribution.choose(bucket)),
        };
        self.explanation.distributions.push(step);
    }

    fn reason(&mut self, reason: Reason) {
        self.explanation.reason = reason;
    }
}
