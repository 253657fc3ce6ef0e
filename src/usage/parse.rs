//! Reads `POST /metrics` bodies row by row, so that memory does not grow with
//! the body (the Go SDK holds up to 100,000 targets). A body that is in memory
//! lends its texts.

use std::fmt;
use std::io::Read;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::text::{Text, scalar, surrogates_mended};

/// One row of `metricsData`: so many evaluations with these attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricsRow<'a> {
    /// Unix milliseconds.
    pub timestamp: i64,
    pub count: i64,
    #[serde(borrow, deserialize_with = "null_as_default")]
    pub metrics_type: Text<'a>,
    #[serde(borrow, deserialize_with = "null_as_default")]
    pub attributes: Vec<Attribute<'a>>,
}

/// One row of `targetData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TargetRow<'a> {
    #[serde(borrow, deserialize_with = "null_as_default")]
    pub identifier: Text<'a>,
    #[serde(borrow, deserialize_with = "null_as_default")]
    pub name: Text<'a>,
    #[serde(borrow, deserialize_with = "null_as_default")]
    pub attributes: Vec<Attribute<'a>>,
}

/// A key and its value, both text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Attribute<'a> {
    #[serde(borrow)]
    pub key: Text<'a>,
    /// Text; other scalars as their JSON, `null` as nothing.
    #[serde(borrow, deserialize_with = "scalar")]
    pub value: Text<'a>,
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Takes rows as they are read.
pub trait UsageSink {
    fn metrics(&mut self, row: MetricsRow<'_>);
    fn target(&mut self, row: TargetRow<'_>);
}

/// Reads a whole body. Either list may be missing or `null`.
///
/// # Errors
/// It is no JSON object of that shape; rows before the fault were taken.
pub fn read(body: impl Read, sink: &mut impl UsageSink) -> serde_json::Result<()> {
    read_from(serde_json::Deserializer::from_reader(body), sink)
}

/// Reads a whole body that is in memory.
///
/// # Errors
/// As [`read`].
pub fn read_slice(body: &[u8], sink: &mut impl UsageSink) -> serde_json::Result<()> {
    match std::str::from_utf8(body) {
        // Checked at once, not text by text.
        Ok(text) => read_from(serde_json::Deserializer::from_str(&surrogates_mended(text)), sink),
        Err(_) => read_from(serde_json::Deserializer::from_slice(body), sink),
    }
}

fn read_from<'de, R: serde_json::de::Read<'de>>(
    mut deserializer: serde_json::Deserializer<R>,
    sink: &mut impl UsageSink,
) -> serde_json::Result<()> {
    (&mut deserializer).deserialize_map(Payload(sink))?;
    deserializer.end()
}

struct Payload<'a, S>(&'a mut S);

impl<'de, S: UsageSink> Visitor<'de> for Payload<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with metricsData and targetData")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key {
                "metricsData" => map.next_value_seed(Rows::<MetricsRow<'de>, _>::new(|row| self.0.metrics(row)))?,
                "targetData" => map.next_value_seed(Rows::<TargetRow<'de>, _>::new(|row| self.0.target(row)))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A list whose elements are handed on one by one.
struct Rows<T, F> {
    take: F,
    row: PhantomData<T>,
}

impl<T, F: FnMut(T)> Rows<T, F> {
    fn new(take: F) -> Self {
        Rows { take, row: PhantomData }
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> DeserializeSeed<'de> for Rows<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Rows<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut rows: A) -> Result<(), A::Error> {
        while let Some(row) = rows.next_element()? {
            (self.take)(row);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counted(u64, u64);

    impl UsageSink for Counted {
        fn metrics(&mut self, _row: MetricsRow<'_>) {
            self.0 += 1;
        }

        fn target(&mut self, _row: TargetRow<'_>) {
            self.1 += 1;
        }
    }

    #[test]
    fn rows_are_counted_and_other_shapes_refused() {
        let read = |text: &str| {
            let mut counted = Counted::default();
            let mut lent = Counted::default();
            let from_memory = super::read_slice(text.as_bytes(), &mut lent).map(|()| (lent.0, lent.1));
            let from_network = super::read(text.as_bytes(), &mut counted).map(|()| (counted.0, counted.1));
            assert_eq!(from_memory.as_ref().ok(), from_network.as_ref().ok(), "{text}");
            from_memory
        };
        assert_eq!(read("{}").unwrap(), (0, 0));
        let row = r#"{"timestamp":1,"count":2,"metricsType":"FFMETRICS","attributes":[{"key":"a","value":"b"}],"x":1}"#;
        assert_eq!(read(&format!(r#"{{"metricsData":[{row},{row}],"targetData":null,"y":[]}}"#)).unwrap(), (2, 0));
        assert_eq!(read(r#"{"targetData":[{"identifier":"t","name":null,"attributes":null}]}"#).unwrap(), (0, 1));
        // A name that was cut within a character, as JavaScript writes it.
        let mut cut = Counted::default();
        super::read_slice(br#"{"targetData":[{"identifier":"t","name":"a\ud83d"}]}"#, &mut cut).unwrap();
        assert_eq!(cut.1, 1);
        for bad in ["", "[]", "{", r#"{"metricsData":"x"}"#, r#"{"metricsData":[1]}"#, "{} x", "null"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
