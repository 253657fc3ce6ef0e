//! Texts of bodies: borrowed where they can be.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A text that is borrowed if it was read from memory and has no escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Text; other values as their JSON, `null` as nothing.
///
/// # Errors
/// It is no JSON value.
pub fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
    deserializer.deserialize_any(ScalarVisitor)
}

/// JSON whose lone surrogate escapes are U+FFFD, as Go reads them; nearly
/// always there is none.
#[must_use]
pub fn surrogates_mended(json: &str) -> Cow<'_, str> {
    if !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let mut mended = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let length = match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(_), _) => {
                mended.push_str("\\ufffd");
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            (None, _) => 1 + escape.chars().nth(1).map_or(0, char::len_utf8),
        };
        let (escape, behind) = escape.split_at_checked(length).unwrap_or((escape, ""));
        mended.push_str(escape);
        rest = behind;
    }
    mended.push_str(rest);
    Cow::Owned(mended)
}

/// The surrogate that a text begins with the escape of.
fn surrogate(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok().filter(|code| (0xd800..=0xdfff).contains(code))
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text)))
    }
}

struct ScalarVisitor;

fn json<'de>(value: impl Into<Value>) -> Text<'de> {
    Text(Cow::Owned(value.into().to_string()))
}

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        TextVisitor.visit_borrowed_str(text)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        TextVisitor.visit_str(text)
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Text<'de>, E> {
        TextVisitor.visit_string(text)
    }

    fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Text<'de>, E> {
        Ok(json(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Text<'de>, E> {
        Ok(json(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Text<'de>, E> {
        Ok(json(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Text<'de>, E> {
        Ok(json(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<Text<'de>, A::Error> {
        Ok(json(Value::deserialize(SeqAccessDeserializer::new(values))?))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Text<'de>, A::Error> {
        Ok(json(Value::deserialize(MapAccessDeserializer::new(members))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Row<'a>(#[serde(borrow, deserialize_with = "scalar")] Text<'a>);

    #[test]
    fn lone_surrogates_are_mended_and_nothing_else() {
        for (json, mended) in [
            (r"\ud83d", r"\ufffd"),
            (r"a\uD83Dx", r"a\ufffdx"),
            (r"\ude00\ud83d\ud83d\ude00", r"\ufffd\ufffd\ud83d\ude00"),
            (r"\\ud83d", r"\\ud83d"),
            (r"\\\ud83d\n", r"\\\ufffd\n"),
            (r"\u00e9\", r"\u00e9\"),
            (r"\ud8\u", r"\ud8\u"),
            ("é\\é", "é\\é"),
        ] {
            assert_eq!(surrogates_mended(json), mended);
        }
    }

    #[test]
    fn values_are_texts() {
        for (json, text) in [
            (r#""a""#, "a"),
            (r#""\n""#, "\n"),
            ("null", ""),
            ("true", "true"),
            ("-7", "-7"),
            ("18446744073709551615", "18446744073709551615"),
            ("1.50", "1.5"),
            (r#"{"a":[1,null]}"#, r#"{"a":[1,null]}"#),
            ("[ ]", "[]"),
        ] {
            assert_eq!(&*serde_json::from_str::<Row<'_>>(json).unwrap().0, text);
            let mut from_network = serde_json::Deserializer::from_reader(json.as_bytes());
            assert_eq!(&*Row::deserialize(&mut from_network).unwrap().0, text);
        }
        let borrowed = serde_json::from_str::<Text<'_>>(r#""a""#).unwrap();
        assert!(matches!(borrowed.0, Cow::Borrowed("a")));
        assert!(serde_json::from_str::<Text<'_>>("1").is_err());
    }
}
