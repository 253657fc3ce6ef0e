use std::collections::HashMap;
use std::sync::Arc;

use super::clause::shown;
use super::{CompileError, Compiler, Source};
use crate::evaluate::compiled::{
    Choice, CompiledDistribution, CompiledFlag, CompiledPrerequisite, CompiledRule, CompiledServe, MapEntry, RuleName,
    Share,
};
use crate::evaluate::slots::{Kind, Slot};
use crate::evaluate::text_set::TextSet;
use crate::evaluate::variation::CompiledVariation;
use crate::evaluate::warning::{Place, Warning};
use crate::model::{Distribution, FeatureConfig, Prerequisite, ServingRule, VariationMap};

/// Compiles one flag. `compiler` is for this flag alone, `slot` is the flag's own.
pub(in crate::evaluate) fn compile_flag(
    mut compiler: Compiler<'_>,
    slot: Slot,
    source: &Source<'_>,
) -> Result<CompiledFlag, CompileError> {
    let config: FeatureConfig = compiler.read(source.json)?;
    let flag: Arc<str> = Arc::from(source.identifier);
    if config.variations.is_empty() {
        compiler.warn(Warning::NoVariations { flag: Arc::clone(&flag) });
    }
    let mut places = HashMap::new();
    for (at, variation) in (0..).zip(&config.variations) {
        // The first of an identifier counts.
        places.entry(variation.identifier.as_str()).or_insert(at);
    }
    let mut parts = FlagCompiler { compiler, config: &config, flag, places, unknown: Vec::new() };
    let prerequisites = config.prerequisites.iter().map(|p| parts.prerequisite(p)).collect();
    let target_map = config.variation_to_target_map.iter().map(|entry| parts.map_entry(entry)).collect();
    let (rules, rule_names) = parts.rules();
    let off = parts.choice(&config.off_variation, Place::OffVariation);
    let default = &config.default_serve;
    let default_distribution = default.distribution.as_ref().map(|d| parts.distribution(d, Place::DefaultServe));
    let default_variation = parts.choice(default.variation.as_deref().unwrap_or_default(), Place::DefaultServe);
    let variations = parts.variations();
    let off_when_unmet = parts.places.get(config.off_variation.as_str()).copied();
    Ok(CompiledFlag {
        slot,
        origin: parts.compiler.into_origin(slot, source.digest),
        unknown_variations: parts.unknown.into_boxed_slice(),
        rule_names,
        kind: config.kind.as_str().into(),
        on: config.state == "on",
        variations,
        off,
        off_when_unmet,
        prerequisites,
        target_map,
        rules,
        default_distribution,
        default_variation,
    })
}

struct FlagCompiler<'c, 'f> {
    compiler: Compiler<'c>,
    config: &'f FeatureConfig,
    flag: Arc<str>,
    /// The variations' places by identifier.
    places: HashMap<&'f str, u32>,
    /// Variations that are named and are not there.
    unknown: Vec<Box<str>>,
}

impl FlagCompiler<'_, '_> {
    fn variations(&self) -> Box<[CompiledVariation]> {
        let hasher = &self.compiler.slots.hasher;
        let compile = |variation: &crate::model::Variation| {
            let (identifier, value) = (&variation.identifier, &variation.value);
            CompiledVariation::new(&self.flag, &self.config.kind, identifier, value, hasher)
        };
        self.config.variations.iter().map(compile).collect()
    }

    fn choice(&mut self, variation: &str, place: Place) -> Choice {
        if variation.is_empty() {
            return Choice::Empty;
        }
        if let Some(at) = self.places.get(variation).copied() {
            return Choice::Known(at);
        }
        if !self.config.variations.is_empty() {
            let (flag, variation) = (Arc::clone(&self.flag), Arc::from(variation));
            self.compiler.warn(Warning::UnknownVariation { flag, variation, place });
        }
        self.unknown.push(variation.into());
        // Fewer than four billion fit in memory.
        Choice::Unknown(u32::try_from(self.unknown.len() - 1).unwrap_or(u32::MAX))
    }

    fn prerequisite(&mut self, prerequisite: &Prerequisite) -> CompiledPrerequisite {
        let variations = prerequisite.variations.iter().map(String::as_str);
        CompiledPrerequisite {
            flag: self.compiler.slot(Kind::Flag, &prerequisite.feature),
            variations: TextSet::new(variations, &self.compiler.slots.hasher),
            shown: shown(&prerequisite.variations),
        }
    }

    fn map_entry(&mut self, entry: &VariationMap) -> MapEntry {
        MapEntry {
            targets: self.compiler.targets(&entry.targets),
            segments: self.compiler.slots(Kind::Segment, &entry.target_segments),
            choice: self.choice(&entry.variation, Place::TargetMap),
        }
    }

    fn rules(&mut self) -> (Box<[CompiledRule]>, Box<[RuleName]>) {
        let mut rules: Vec<_> = self.config.rules.iter().collect();
        // Stable: equal priorities keep the order of the list.
        rules.sort_by_key(|rule| rule.priority);
        let name = |rule: &&ServingRule| RuleName { identifier: rule.rule_id.as_str().into(), priority: rule.priority };
        let names = rules.iter().map(name).collect();
        (rules.into_iter().map(|rule| self.rule(rule)).collect(), names)
    }

    fn rule(&mut self, rule: &ServingRule) -> CompiledRule {
        CompiledRule {
            clauses: self.compiler.clauses(&rule.clauses),
            serve: match (&rule.serve.distribution, &rule.serve.variation) {
                (Some(distribution), _) => CompiledServe::Distribution(self.distribution(distribution, Place::Rule)),
                (None, Some(variation)) => CompiledServe::Variation(self.choice(variation, Place::Rule)),
                (None, None) => CompiledServe::Nothing,
            },
        }
    }

    fn distribution(&mut self, distribution: &Distribution, place: Place) -> CompiledDistribution {
        let mut total = 0_i64;
        let shares = distribution
            .variations
            .iter()
            .map(|weighted| {
                total = total.saturating_add(weighted.weight);
                Share { weight: weighted.weight, up_to: total, choice: self.choice(&weighted.variation, place) }
            })
            .collect();
        if total != 100 {
            let flag = Arc::clone(&self.flag);
            self.compiler.warn(Warning::Weights { flag, total, place });
        }
        CompiledDistribution { bucket_by: self.compiler.slot(Kind::Attribute, &distribution.bucket_by), shares }
    }
}
