//! An attribute's value as the text that clauses and buckets see: what the reference evaluator,
//! a Go program, prints for it (evaluation.md, "A clause").

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::{Map, Number, Value};

/// The text of one attribute.
#[must_use]
pub fn attribute_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Null => Cow::Borrowed("<nil>"),
        Value::Number(number) => Cow::Owned(plain(float(number))),
        Value::Array(_) => {
            let mut out = String::new();
            print(value, &mut out);
            Cow::Owned(out)
        }
        Value::Object(_) => {
            let mut out = String::new();
            encode(value, &mut out);
            Cow::Owned(out)
        }
    }
}

/// Writes the text of one attribute to the end of `out`.
pub(super) fn write_attribute_text(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => out.push_str(text),
        Value::Number(number) => {
            // Writing to a string does not fail.
            let _ = write!(out, "{}", float(number));
        }
        _ => out.push_str(&attribute_text(value)),
    }
}

/// Every number is a float, integers too: the reference decodes JSON so.
fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or_default()
}

/// Plain decimal, the shortest that reads back as the same number.
fn plain(number: f64) -> String {
    number.to_string()
}

/// Scientific notation as Go writes it: a sign and at least two digits of exponent.
fn scientific(number: f64) -> String {
    let text = format!("{number:e}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(magnitude) => ('-', magnitude),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// The decimal exponent of the shortest form: 3 for 1234, -2 for 0.05, 0 for 0.
fn exponent(number: f64) -> i32 {
    let text = format!("{number:e}");
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or_default()
}

/// Go's `%v`: the form of a list and of everything in it.
fn print(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::String(text) => out.push_str(text),
        Value::Number(number) => out.push_str(&print_number(float(number))),
        Value::Array(elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                print(element, out);
            }
            out.push(']');
        }
        Value::Object(fields) => print_map(fields, out),
    }
}

fn print_map(fields: &Map<String, Value>, out: &mut String) {
    out.push_str("map[");
    for (at, (key, value)) in sorted(fields).into_iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        out.push_str(key);
        out.push(':');
        print(value, out);
    }
    out.push(']');
}

/// Go's `%v` of a float: with an exponent below 1e-4 and from 1e6 on.
fn print_number(number: f64) -> String {
    if (-4..6).contains(&exponent(number)) { plain(number) } else { scientific(number) }
}

/// Compact JSON with sorted keys, as the reference's encoder writes it.
fn encode(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::String(text) => encode_string(text, out),
        Value::Number(number) => out.push_str(&encode_number(float(number))),
        Value::Array(elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                encode(element, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (at, (key, value)) in sorted(fields).into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                encode_string(key, out);
                out.push(':');
                encode(value, out);
            }
            out.push('}');
        }
    }
}

fn encode_number(number: f64) -> String {
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) { scientific(number) } else { plain(number) }
}

fn encode_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// The fields by key. The map may keep another order, depending on how `serde_json` is built.
fn sorted(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| key.as_str());
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_reference() {
        for (json, text) in [
            ("\"a b\"", "a b"),
            ("true", "true"),
            ("false", "false"),
            ("null", "<nil>"),
            ("1", "1"),
            ("1.0", "1"),
            ("-0", "-0"),
            ("-0.0", "-0"),
            ("9007199254740993", "9007199254740992"),
            ("18446744073709551615", "18446744073709552000"),
            ("1e21", "1000000000000000000000"),
            ("1e-7", "0.0000001"),
            ("0.1234567890123456789", "0.12345678901234568"),
            ("8.41e21", "8410000000000000000000"),
            ("[]", "[]"),
            ("[\"a\",1,null,true]", "[a 1 <nil> true]"),
            ("[1234567,123456,1e20,0.0001,0.00001,-1234567]", "[1.234567e+06 123456 1e+20 0.0001 1e-05 -1.234567e+06]"),
            ("[{\"z\":1,\"a\":[2]}]", "[map[a:[2] z:1]]"),
            ("{}", "{}"),
            ("{\"b\":[1,\"two\",null],\"a\":{\"c\":1.5}}", "{\"a\":{\"c\":1.5},\"b\":[1,\"two\",null]}"),
            ("{\"n\":[1e21,1e-7,123456789012345678901,1e-6]}", "{\"n\":[1e+21,1e-07,123456789012345680000,0.000001]}"),
            ("{\"h\":\"<&>\\u2028\\u0008\\n\\\"\"}", "{\"h\":\"\\u003c\\u0026\\u003e\\u2028\\u0008\\n\\\"\"}"),
        ] {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(attribute_text(&value), text, "{json}");
        }
    }
}
