//! A JSON tree that keeps what serde would lose: the order of members, numbers
//! as they are written, and the place of an error in the file.
//!
//! Read as Go reads it, because configuration is written for and by Go
//! programs: of a duplicated member the last one counts, and a lone surrogate
//! escape is U+FFFD.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::json_parser::Parser;
pub use super::json_parser::{JsonError, Position};

/// Containers nested deeper than this are refused, so that no input can
/// overflow the stack.
pub const MAX_DEPTH: usize = 128;

/// One JSON value. Numbers are their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json<'a> {
    Null,
    Bool(bool),
    Number(Cow<'a, str>),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Parses a whole text: one value, and nothing but blanks around it.
    ///
    /// # Errors
    /// [`JsonError`] names the line and column.
    pub fn parse(text: &'a str) -> Result<Self, JsonError> {
        Parser::new(text).document()
    }

    /// The member of an object; `None` for other kinds and absent members.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(members) => members.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Sets a member, in its old place if it is there, else at the end.
    /// Does nothing to other kinds.
    pub fn set(&mut self, key: &'static str, value: Json<'a>) {
        if let Json::Object(members) = self {
            match members.iter_mut().find(|(k, _)| k == key) {
                Some((_, old)) => *old = value,
                None => members.push((Cow::Borrowed(key), value)),
            }
        }
    }

    /// Removes a member and gives it back.
    pub fn remove(&mut self, key: &str) -> Option<Json<'a>> {
        match self {
            Json::Object(members) => {
                let index = members.iter().position(|(k, _)| k == key)?;
                Some(members.remove(index).1)
            }
            _ => None,
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Json<'a>]> {
        match self {
            Json::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// A whole number, also when written `3.0` or `3e0`.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        let Json::Number(text) = self else {
            return None;
        };
        text.parse().ok().or_else(|| {
            let float: f64 = text.parse().ok()?;
            // Above 2^53 a double no longer names one whole number.
            (float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0)
                .then(|| format!("{float:.0}").parse().ok())
                .flatten()
        })
    }

    /// An owned number.
    #[must_use]
    pub fn number(value: i64) -> Json<'static> {
        Json::Number(Cow::Owned(value.to_string()))
    }

    /// Text without blanks, members in their order.
    #[must_use]
    pub fn compact(&self) -> String {
        let mut out = String::new();
        self.write_compact(&mut out);
        out
    }

    /// Appends [`Json::compact`].
    pub fn write_compact(&self, out: &mut String) {
        self.write(out, false);
    }

    /// The form that digests are taken of: members sorted by the bytes of
    /// their names, no blanks, numbers as written, minimal escapes.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        self.write_canonical(&mut out);
        out
    }

    /// Appends [`Json::canonical`].
    pub fn write_canonical(&self, out: &mut String) {
        self.write(out, true);
    }

    fn write(&self, out: &mut String, sorted: bool) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            Json::Number(text) => out.push_str(text),
            Json::String(text) => write_string(text, out),
            Json::Array(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    element.write(out, sorted);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                let in_order = |members: &[(Cow<'_, str>, Json<'_>)]| members.is_sorted_by(|a, b| a.0 <= b.0);
                if sorted && !in_order(members) {
                    let mut order: Vec<&(Cow<'_, str>, Json<'_>)> = members.iter().collect();
                    order.sort_by(|a, b| a.0.cmp(&b.0));
                    write_members(order.into_iter(), out, sorted);
                } else {
                    write_members(members.iter(), out, sorted);
                }
                out.push('}');
            }
        }
    }
}

fn write_members<'m, 'a: 'm>(
    members: impl Iterator<Item = &'m (Cow<'a, str>, Json<'a>)>,
    out: &mut String,
    sorted: bool,
) {
    for (index, (key, value)) in members.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        value.write(out, sorted);
    }
}

/// Appends `text` as a JSON string, escaping only what JSON demands.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    // What needs an escape is a single byte, so it stands on a border of characters.
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20)) {
        let (plain, escaped) = rest.split_at(at);
        out.push_str(plain);
        let mut characters = escaped.chars();
        match characters.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            control => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", control.map_or(0, u32::from));
            }
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_numbers_and_takes_the_last_duplicate() {
        let json = Json::parse(" {\"b\": 1.50, \"a\":[1E5,null], \"b\": 2e0} ").unwrap();
        assert_eq!(json.compact(), "{\"b\":2e0,\"a\":[1E5,null]}");
        assert_eq!(json.canonical(), "{\"a\":[1E5,null],\"b\":2e0}");
        assert_eq!(json.get("b").and_then(Json::as_i64), Some(2));
    }

    #[test]
    fn reads_strings_as_go_does() {
        let json = Json::parse(r#"["\ud83d\ude00","\ud83d!","\udc00\u0041","a\/\b"]"#).unwrap();
        let texts: Vec<_> = json.as_array().unwrap().iter().map(|j| j.as_str().unwrap()).collect();
        assert_eq!(texts, ["😀", "\u{fffd}!", "\u{fffd}A", "a/\u{8}"]);
        assert_eq!(Json::String("\u{1}\"\\é\n".into()).compact(), "\"\\u0001\\\"\\\\é\\n\"");
    }

    #[test]
    fn names_the_place_of_an_error() {
        for (text, line, column) in [
            ("[1,\n 2,]", 2, 4),
            ("{\"a\" 1}", 1, 6),
            ("[1] x", 1, 5),
            ("", 1, 1),
            ("[\"é\", tru]", 1, 7),
            ("[01]", 1, 3),
            ("[1.]", 1, 4),
            ("\"a\nb\"", 1, 3),
        ] {
            let error = Json::parse(text).unwrap_err();
            assert_eq!((error.position.line, error.position.column), (line, column), "{text:?}: {error}");
        }
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert!(Json::parse(&deep).unwrap_err().to_string().contains("nested"));
    }
}
