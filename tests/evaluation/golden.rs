//! Every recorded case, in the library.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;

use crate::support::Environment;
use ff_relay::evaluate::{CompileOptions, CompiledEnvironment};
use ff_relay::model::Target;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Theme {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    flags: Vec<Value>,
    segments: Vec<Value>,
    targets: Vec<Target>,
    expect: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    target: String,
    flag: String,
    variation: Option<String>,
    value: Option<String>,
}

fn check(theme: &str, case: &Case, faults: &mut Vec<String>) -> usize {
    let sources = Environment::new(&case.flags, &case.segments);
    let (environment, _) =
        CompiledEnvironment::compile(&sources.flags(), &sources.segments(), None, &CompileOptions::default())
            .unwrap_or_else(|error| panic!("{theme}: {}: {error}", case.name));
    let mut by_target: BTreeMap<&str, Vec<&Expected>> = BTreeMap::new();
    for expected in &case.expect {
        by_target.entry(&expected.target).or_default().push(expected);
    }
    for (identifier, expectations) in by_target {
        let listed = case.targets.iter().find(|target| target.identifier == identifier).cloned();
        let target = listed.unwrap_or_else(|| Target { identifier: identifier.to_owned(), ..Target::default() });
        // One evaluator for all, one for each flag alone, and the explanation: all must agree.
        let mut shared = environment.evaluator(&target);
        for expected in expectations {
            let wanted = (expected.variation.as_deref(), expected.value.as_deref());
            let mut alone = environment.evaluator(&target);
            for evaluator in [&mut shared, &mut alone] {
                let variation = evaluator.flag(&expected.flag).and_then(|answer| answer.variation);
                let found = (variation.map(|v| &*v.identifier), variation.map(|v| &*v.value));
                if found != wanted {
                    faults.push(format!(
                        "{theme}: {}: {} for {identifier}: {found:?}, not {wanted:?}",
                        case.name, expected.flag
                    ));
                }
            }
            let explanation = shared.explain(&expected.flag);
            let explained = explanation.as_ref().and_then(|e| e.variation.as_deref());
            assert_eq!(explained, wanted.0, "{theme}: {}: {} explained", case.name, expected.flag);
        }
    }
    case.expect.len()
}

#[test]
fn every_recorded_answer_is_given() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/evaluation");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert_eq!(files.len(), 16);
    let mut faults = Vec::new();
    let mut checked = 0;
    for file in files {
        let theme: Theme = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        checked += theme.cases.iter().map(|case| check(&name, case, &mut faults)).sum::<usize>();
    }
    assert!(faults.is_empty(), "{} of {checked}:\n{}", faults.len(), faults.join("\n"));
    assert!(checked > 5000, "{checked}");
}
