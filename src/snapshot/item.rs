//! One flag, segment or configured target as its source wrote it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::body::cut_of;
use crate::model::json::Json;

/// What an item is. The order is the order of digests and change logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemKind {
    Flag,
    Segment,
    Target,
}

impl ItemKind {
    /// The word for it in SDK events, digests and messages. `flag` and
    /// `target-segment` are the `domain` values that SDKs know.
    #[must_use]
    pub fn domain(self) -> &'static str {
        match self {
            ItemKind::Flag => "flag",
            ItemKind::Segment => "target-segment",
            ItemKind::Target => "target",
        }
    }

    /// The JSON member that identifies an item of this kind.
    #[must_use]
    pub fn identifier_field(self) -> &'static str {
        match self {
            ItemKind::Flag => "feature",
            ItemKind::Segment | ItemKind::Target => "identifier",
        }
    }
}

impl fmt::Display for ItemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ItemKind::Flag => "flag",
            ItemKind::Segment => "segment",
            ItemKind::Target => "target",
        })
    }
}

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits, either case.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |c: &u8| char::from(*c).to_digit(16);
            let (high, low) = (digit(pair.first()?)?, digit(pair.last()?)?);
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        Some(Digest(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            if let [high, low] = pair {
                (*high, *low) = (digit(byte >> 4), digit(byte & 0xf));
            }
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Kind and identifier: what names an item inside its environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey {
    pub kind: ItemKind,
    pub identifier: Arc<str>,
}

/// One item of the source's content, immutable and shared between snapshots.
#[derive(Debug)]
pub struct Item {
    pub key: ItemKey,
    /// The source's version; `None` where it gave none.
    pub version: Option<i64>,
    /// SHA-256 of the canonical JSON, see `offline-config.md`, "digest".
    pub digest: Digest,
    /// First byte of the SHA-256 of kind and identifier: the digest bucket.
    pub bucket: u8,
    /// Where lists may be cut, see [`cut_of`].
    pub cut: u16,
    /// The source's own JSON, without blanks, unknown members included.
    pub text: Box<str>,
}

impl Item {
    /// Takes an item from its parsed JSON.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it: no object, no identifier,
    /// a version that is no whole number.
    pub fn from_json(kind: ItemKind, json: &Json<'_>) -> Result<Self, String> {
        if !matches!(json, Json::Object(_)) {
            return Err(format!("a {kind} must be an object ({{…}})"));
        }
        let field = kind.identifier_field();
        let identifier = match json.get(field) {
            Some(Json::String(text)) if !text.is_empty() => Arc::from(text.as_ref()),
            Some(Json::String(_)) => return Err(format!("the '{field}' of this {kind} is empty")),
            Some(Json::Null) | None => return Err(format!("this {kind} has no '{field}'")),
            Some(_) => return Err(format!("the '{field}' of this {kind} must be a string")),
        };
        let version = match json.get("version") {
            None | Some(Json::Null) => None,
            Some(_) if kind == ItemKind::Target => None,
            Some(value) => Some(
                value
                    .as_i64()
                    .ok_or_else(|| format!("the 'version' of {kind} '{identifier}' must be a whole number"))?,
            ),
        };
        let bucket = bucket_of(kind, &identifier);
        let (digest, text) = DRAFT.with_borrow_mut(|draft| {
            draft.clear();
            content_form(kind, json).write_canonical(draft);
            let digest = Digest::of(draft.as_bytes());
            draft.clear();
            json.write_compact(draft);
            (digest, Box::from(draft.as_str()))
        });
        Ok(Item { version, digest, bucket, cut: cut_of(&identifier), text, key: ItemKey { kind, identifier } })
    }

    #[must_use]
    pub fn identifier(&self) -> &str {
        &self.key.identifier
    }
}

thread_local! {
    /// Where texts are written before they are kept, so that none holds
    /// more than it needs.
    static DRAFT: RefCell<String> = const { RefCell::new(String::new()) };
}

fn bucket_of(kind: ItemKind, identifier: &str) -> u8 {
    let mut hash = Sha256::new();
    hash.update(kind.domain());
    hash.update([0]);
    hash.update(identifier);
    hash.finalize().first().copied().unwrap_or(0)
}

/// What of an item counts as content. A segment's `rules` that merely repeat
/// its `servingRules` are derived (the offline directory carries them for the
/// Go proxy v1), so they are left out, present or not.
#[must_use]
pub fn content_form<'a, 'b>(kind: ItemKind, json: &'b Json<'a>) -> Cow<'b, Json<'a>> {
    if kind == ItemKind::Segment && repeats_serving_rules(json) {
        let mut copy = json.clone();
        copy.remove("rules");
        return Cow::Owned(copy);
    }
    Cow::Borrowed(json)
}

fn repeats_serving_rules(segment: &Json<'_>) -> bool {
    let Some(serving) = segment.get("servingRules").and_then(Json::as_array).filter(|rules| !rules.is_empty()) else {
        return false;
    };
    match segment.get("rules") {
        Some(Json::Array(rules)) if !rules.is_empty() => {
            let derived: Option<Vec<&Json<'_>>> = serving.iter().map(only_clause).collect();
            derived.is_some_and(|clauses| {
                clauses.len() == rules.len() && clauses.iter().zip(rules).all(|(a, b)| a.canonical() == b.canonical())
            })
        }
        Some(Json::Array(_) | Json::Null) => true,
        _ => false,
    }
}

/// The clause of a serving rule that has exactly one.
#[must_use]
pub fn only_clause<'a, 'b>(serving_rule: &'b Json<'a>) -> Option<&'b Json<'a>> {
    match serving_rule.get("clauses").and_then(Json::as_array) {
        Some([clause]) => Some(clause),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: ItemKind, text: &str) -> Item {
        Item::from_json(kind, &Json::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn digests_do_not_see_field_order_blanks_or_derived_rules() {
        let a = item(ItemKind::Flag, r#"{"feature":"f","x":1.50,"version":2}"#);
        let b = item(ItemKind::Flag, r#"{ "version": 2, "x": 1.50, "feature": "f" }"#);
        assert_eq!(a.digest, b.digest);
        let plain = r#"{"identifier":"s","servingRules":[{"clauses":[{"op":"in"}]}]}"#;
        for same in [
            r#"{"identifier":"s","rules":[],"servingRules":[{"clauses":[{"op":"in"}]}]}"#,
            r#"{"identifier":"s","rules":[{"op":"in"}],"servingRules":[{"clauses":[{"op":"in"}]}]}"#,
        ] {
            assert_eq!(item(ItemKind::Segment, plain).digest, item(ItemKind::Segment, same).digest);
        }
        let own = r#"{"identifier":"s","rules":[{"op":"gt"}],"servingRules":[{"clauses":[{"op":"in"}]}]}"#;
        assert_ne!(item(ItemKind::Segment, plain).digest, item(ItemKind::Segment, own).digest);
    }

    #[test]
    fn hexadecimal_digests_round_trip() {
        let digest = Digest::of(b"x");
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        assert_eq!(Digest::from_hex(&digest.to_string().to_uppercase()), Some(digest));
        assert_eq!(Digest::from_hex("zz"), None);
        assert_eq!(Digest::from_hex(&"é".repeat(32)), None);
    }
}
