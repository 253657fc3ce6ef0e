//! Sources for environments made of JSON values.

#![allow(dead_code, clippy::unwrap_used, reason = "shared by tests that use parts of it")]

use std::hash::{DefaultHasher, Hash, Hasher};

use ff_relay::evaluate::{CompileOptions, CompiledEnvironment, Source, Warning};
use ff_relay::model::Target;
use serde_json::{Value, json};

/// Flags and segments as text.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub flags: Vec<(String, String)>,
    pub segments: Vec<(String, String)>,
}

impl Environment {
    pub fn new(flags: &[Value], segments: &[Value]) -> Self {
        let texts = |values: &[Value], key: &str| {
            let text = |value: &Value| (value[key].as_str().unwrap_or_default().to_owned(), value.to_string());
            values.iter().map(text).collect()
        };
        Self { flags: texts(flags, "feature"), segments: texts(segments, "identifier") }
    }

    pub fn flags(&self) -> Vec<Source<'_>> {
        sources(&self.flags)
    }

    pub fn segments(&self) -> Vec<Source<'_>> {
        sources(&self.segments)
    }
}

fn sources(texts: &[(String, String)]) -> Vec<Source<'_>> {
    texts.iter().map(|(identifier, json)| Source { identifier, digest: digest(json), json }).collect()
}

/// Not cryptographic, but different for different texts, which is what matters here.
pub fn digest(text: &str) -> [u8; 32] {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&hasher.finish().to_le_bytes());
    digest
}

pub fn flag(identifier: &str, fields: &Value) -> Value {
    let mut flag = json!({
        "feature": identifier, "kind": "boolean", "state": "on", "offVariation": "false",
        "defaultServe": {"variation": "true"},
        "variations": [{"identifier": "true", "value": "true"}, {"identifier": "false", "value": "false"}],
    });
    for (key, value) in fields.as_object().unwrap() {
        flag[key] = value.clone();
    }
    flag
}

pub fn in_segments(segments: &[&str]) -> Value {
    json!({"attribute": "", "op": "segmentMatch", "values": segments})
}

pub fn for_segment(identifier: &str, segment: &str) -> Value {
    let rule = json!({"priority": 1, "clauses": [in_segments(&[segment])], "serve": {"variation": "false"}});
    flag(identifier, &json!({"rules": [rule]}))
}

pub fn compile(
    environment: &Environment,
    previous: Option<&CompiledEnvironment>,
    options: &CompileOptions,
) -> (CompiledEnvironment, Vec<Warning>) {
    CompiledEnvironment::compile(&environment.flags(), &environment.segments(), previous, options).unwrap()
}

pub fn served(environment: &CompiledEnvironment, flag: &str, target: &Target) -> Option<String> {
    let variation = environment.evaluator(target).flag(flag)?.variation?;
    Some(variation.identifier.to_string())
}

pub fn target(identifier: &str) -> Target {
    Target { identifier: identifier.to_owned(), ..Target::default() }
}
