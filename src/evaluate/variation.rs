//! A variation with its ready answer.

use std::hash::BuildHasher;

use super::slots::Hasher;

/// A variation of a flag, compiled.
#[derive(Debug)]
pub struct CompiledVariation {
    /// The variation's identifier, unique within the flag.
    pub identifier: Box<str>,
    /// The value as it stands in the configuration.
    pub value: Box<str>,
    /// The ready answer for an SDK: see [`evaluation_json`].
    pub evaluation_json: Box<str>,
    /// Of the identifier, by the environment's hasher.
    pub(super) hash: u64,
}

impl CompiledVariation {
    pub(super) fn new(flag: &str, kind: &str, identifier: &str, value: &str, hasher: &Hasher) -> Self {
        Self {
            identifier: identifier.into(),
            value: value.into(),
            evaluation_json: evaluation_json(flag, kind, identifier, value).into_boxed_str(),
            hash: hasher.hash_one(identifier),
        }
    }
}

/// One evaluation as SDKs read it: `{"flag":"…","identifier":"…","kind":"…","value":"…"}`.
///
/// The value of a `json` flag is encoded once more: the text becomes a JSON string, and that
/// string the value. U+2028 and U+2029 are escaped, for JSON that ends up in JavaScript.
#[must_use]
pub fn evaluation_json(flag: &str, kind: &str, identifier: &str, value: &str) -> String {
    let value = if kind == "json" { encode(value) } else { value.to_owned() };
    let (flag, identifier, kind, value) = (encode(flag), encode(identifier), encode(kind), encode(&value));
    format!(
        r#"{{"flag":{},"identifier":{},"kind":{},"value":{}}}"#,
        separators_escaped(flag),
        separators_escaped(identifier),
        separators_escaped(kind),
        separators_escaped(value)
    )
}

/// `text` as a JSON string. Encoding a string does not fail.
fn encode(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn separators_escaped(json: String) -> String {
    if json.contains(['\u{2028}', '\u{2029}']) {
        json.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
    } else {
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_compact_json() {
        for (kind, value, expected) in [
            ("string", "a\"b\\\n\u{2028}é/<", r#""a\"b\\\n\u2028é/<""#),
            ("boolean", "true", r#""true""#),
            ("json", r#"{"a":1}"#, r#""\"{\\\"a\\\":1}\"""#),
            ("json", "\u{2029}", r#""\"\u2029\"""#),
            ("", "", r#""""#),
        ] {
            let json = evaluation_json("f", kind, "", value);
            assert_eq!(json, format!(r#"{{"flag":"f","identifier":"","kind":"{kind}","value":{expected}}}"#));
            let read: serde_json::Value = serde_json::from_str(&json).unwrap();
            let text = read["value"].as_str().unwrap();
            if kind == "json" {
                assert_eq!(serde_json::from_str::<String>(text).unwrap(), value);
            } else {
                assert_eq!(text, value);
            }
        }
    }
}
