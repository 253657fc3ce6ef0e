use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::Value;

/// More attributes than this are not looked through one by one.
const FEW: usize = 16;

/// A target's attributes by name. Of those with the same name the last counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes(Box<[(Box<str>, Value)]>);

impl Attributes {
    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.at(self.position(name)?)
    }

    /// Where the value of this name stands; see [`Attributes::at`].
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        if self.0.len() <= FEW {
            self.0.iter().position(|(other, _)| **other == *name)
        } else {
            self.0.binary_search_by(|(other, _)| (**other).cmp(name)).ok()
        }
    }

    /// The value at a position.
    #[must_use]
    pub fn at(&self, position: usize) -> Option<&Value> {
        self.0.get(position).map(|(_, value)| value)
    }

    fn of(mut all: Vec<(Box<str>, Value)>) -> Self {
        if !all.is_sorted_by(|(one, _), (next, _)| one < next) {
            all.reverse();
            all.sort_by(|(one, _), (other, _)| one.cmp(other));
            all.dedup_by(|(later, _), (kept, _)| later == kept);
        }
        Self(all.into_boxed_slice())
    }
}

impl FromIterator<(String, Value)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(all: I) -> Self {
        Self::of(all.into_iter().map(|(name, value)| (name.into_boxed_str(), value)).collect())
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AllOfThem)
    }
}

struct AllOfThem;

impl<'de> Visitor<'de> for AllOfThem {
    type Value = Attributes;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Attributes, M::Error> {
        let mut all = Vec::new();
        while let Some(entry) = map.next_entry()? {
            all.push(entry);
        }
        Ok(Attributes::of(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_name_counts() {
        let attributes: Attributes = serde_json::from_str(r#"{"b":1,"a":2,"b":3,"":null,"a":[4]}"#).unwrap();
        let json = serde_json::to_string(&attributes).unwrap();
        assert_eq!(json, r#"{"":null,"a":[4],"b":3}"#);
        assert_eq!((attributes.get("b"), attributes.get("c")), (Some(&Value::from(3)), None));
    }

    #[test]
    fn few_or_many_each_is_found() {
        for count in [0, 1, FEW, FEW + 1, 200] {
            let attributes: Attributes = (0..count).map(|at| (format!("name{at}"), Value::from(at))).collect();
            for at in 0..count {
                assert_eq!(attributes.get(&format!("name{at}")), Some(&Value::from(at)));
            }
            assert_eq!(attributes.position("name"), None);
        }
    }
}
