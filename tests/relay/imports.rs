//! The layers of the house: imports point one way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What each module may import, beside itself. The first line of defence of
/// ARCHITECTURE.md; a module that is missing here is an error.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("proto", &[]),
    ("tls", &["config"]),
    ("fault", &[]),
    ("config", &[]),
    ("evaluate", &["model"]),
    ("snapshot", &["evaluate", "model"]),
    ("telemetry", &["config"]),
    ("transfer", &["proto", "snapshot", "model"]),
    ("store", &["snapshot", "evaluate", "model", "telemetry", "config"]),
    ("usage", &["store", "snapshot", "model", "telemetry", "config"]),
    ("lifecycle", &[]),
    ("source", &["proto", "transfer", "usage", "store", "snapshot", "evaluate", "model", "telemetry", "config"]),
    ("http", &["tls", "usage", "store", "snapshot", "evaluate", "model", "telemetry", "lifecycle", "config", "fault"]),
    (
        "grpc",
        &[
            "tls",
            "proto",
            "transfer",
            "usage",
            "store",
            "snapshot",
            "evaluate",
            "model",
            "telemetry",
            "lifecycle",
            "config",
            "fault",
        ],
    ),
    (
        "app",
        &[
            "tls",
            "http",
            "grpc",
            "source",
            "usage",
            "store",
            "snapshot",
            "evaluate",
            "lifecycle",
            "telemetry",
            "config",
        ],
    ),
    ("cli", &["app", "source", "proto", "transfer", "store", "snapshot", "evaluate", "model", "telemetry", "config"]),
];

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_point_one_way() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rules: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for file in files {
        let relative = file.strip_prefix(&source).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if matches!(module, "main" | "lib") {
            continue;
        }
        let Some(allowed) = rules.get(module) else {
            wrong.push(format!("{module} has no rule"));
            continue;
        };
        let text = std::fs::read_to_string(&file).unwrap();
        for part in text.split("crate::").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            checked += 1;
            if rules.contains_key(name.as_str()) && name != module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} imports {name}", relative.display()));
            }
        }
    }
    assert!(checked > 200, "{checked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_way_back_would_be_noticed() {
    let rules: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    // No cycle among the rules themselves.
    fn reaches(rules: &BTreeMap<&str, &[&str]>, from: &str, to: &str) -> bool {
        rules[from].iter().any(|next| *next == to || reaches(rules, next, to))
    }
    for module in rules.keys() {
        assert!(!reaches(&rules, module, module), "{module}");
    }
}
