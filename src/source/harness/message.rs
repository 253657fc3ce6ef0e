//! What Harness's streams say: items that changed, and for proxy keys also
//! environments and SDK keys that came or went.

use std::sync::Arc;

use serde::Deserialize;

use crate::snapshot::content::{EnvironmentId, KeyHash};
use crate::snapshot::item::{Digest, ItemKey, ItemKind};

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A flag or segment was created or changed.
    Changed {
        environment: Option<EnvironmentId>,
        key: ItemKey,
        version: Option<i64>,
        created: bool,
    },
    /// A flag or segment was deleted.
    Deleted {
        environment: Option<EnvironmentId>,
        key: ItemKey,
    },
    EnvironmentsAdded(Vec<EnvironmentId>),
    EnvironmentsRemoved(Vec<EnvironmentId>),
    KeyAdded {
        environments: Vec<EnvironmentId>,
        hash: KeyHash,
    },
    KeyRemoved {
        environments: Vec<EnvironmentId>,
        hash: KeyHash,
    },
    ProxyKeyDeleted,
    /// Cannot be understood: what it is about is fetched anew.
    Unknown {
        environment: Option<EnvironmentId>,
        why: String,
    },
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire {
    event: String,
    domain: String,
    identifier: String,
    version: Option<f64>,
    environment: Option<String>,
    environments: Option<Vec<String>>,
    #[serde(rename = "apiKey")]
    api_key: Option<String>,
}

impl Message {
    /// Reads the data of one event. Never fails: what is not understood is
    /// [`Message::Unknown`].
    #[must_use]
    pub fn read(data: &str) -> Self {
        let wire: Wire = match serde_json::from_str(data) {
            Ok(wire) => wire,
            Err(error) => return Message::Unknown { environment: None, why: format!("it is no message: {error}") },
        };
        let named = wire.environment.as_deref().filter(|id| !id.is_empty()).map(EnvironmentId::new);
        let unknown = |why: String| Message::Unknown { environment: named.clone(), why };
        match wire.domain.as_str() {
            "flag" => item(ItemKind::Flag, &wire, named.clone()).unwrap_or_else(unknown),
            "target-segment" => item(ItemKind::Segment, &wire, named.clone()).unwrap_or_else(unknown),
            "proxy" => proxy(&wire).unwrap_or_else(unknown),
            other => unknown(format!("its domain '{}' is not known", shorten(other))),
        }
    }
}

impl Message {
    /// True for a message about items that names this environment, or none.
    #[must_use]
    pub fn is_about_only(&self, id: &EnvironmentId) -> bool {
        match self {
            Message::Changed { environment, .. } | Message::Deleted { environment, .. } => {
                environment.as_ref().is_none_or(|named| named == id)
            }
            _ => false,
        }
    }
}

fn item(kind: ItemKind, wire: &Wire, environment: Option<EnvironmentId>) -> Result<Message, String> {
    if wire.identifier.is_empty() {
        return Err("it names no item".to_owned());
    }
    let key = ItemKey { kind, identifier: Arc::from(wire.identifier.as_str()) };
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
    let version = wire.version.map(|version| version as i64);
    match wire.event.as_str() {
        "create" => Ok(Message::Changed { environment, key, version, created: true }),
        "patch" => Ok(Message::Changed { environment, key, version, created: false }),
        "delete" => Ok(Message::Deleted { environment, key }),
        other => Err(format!("its event '{}' is not known", shorten(other))),
    }
}

fn proxy(wire: &Wire) -> Result<Message, String> {
    let environments: Vec<EnvironmentId> =
        wire.environments.iter().flatten().filter(|id| !id.is_empty()).map(|id| EnvironmentId::new(id)).collect();
    let hash = || wire.api_key.as_deref().and_then(Digest::from_hex).ok_or("its apiKey is no SHA-256");
    Ok(match wire.event.as_str() {
        "environmentsAdded" => Message::EnvironmentsAdded(environments),
        "environmentsRemoved" => Message::EnvironmentsRemoved(environments),
        "apiKeyAdded" => Message::KeyAdded { environments, hash: hash()? },
        "apiKeyRemoved" => Message::KeyRemoved { environments, hash: hash()? },
        "proxyKeyDeleted" => Message::ProxyKeyDeleted,
        other => return Err(format!("its event '{}' is not known", shorten(other))),
    })
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_items_in_any_order_with_extra_fields() {
        let key = |kind, id: &str| ItemKey { kind, identifier: Arc::from(id) };
        let patch = r#"{"version":7,"x":[1],"identifier":"f","domain":"flag","event":"patch","environment":"e"}"#;
        let expected = Message::Changed {
            environment: Some(EnvironmentId::new("e")),
            key: key(ItemKind::Flag, "f"),
            version: Some(7),
            created: false,
        };
        assert_eq!(Message::read(patch), expected);
        let delete = r#"{"event":"delete","domain":"target-segment","identifier":"s"}"#;
        assert_eq!(Message::read(delete), Message::Deleted { environment: None, key: key(ItemKind::Segment, "s") });
    }

    #[test]
    fn reads_what_proxy_keys_are_told() {
        let hash = "ab".repeat(32);
        let added = format!(r#"{{"event":"apiKeyAdded","domain":"proxy","environments":["e"],"apiKey":"{hash}"}}"#);
        let expected =
            Message::KeyAdded { environments: vec![EnvironmentId::new("e")], hash: Digest::from_hex(&hash).unwrap() };
        assert_eq!(Message::read(&added), expected);
        assert_eq!(Message::read(r#"{"event":"proxyKeyDeleted","domain":"proxy"}"#), Message::ProxyKeyDeleted);
    }

    #[test]
    fn everything_else_is_unknown() {
        for text in [
            "",
            "x",
            "[]",
            "null",
            "{}",
            r#"{"domain":"flag","event":"patch"}"#,
            r#"{"domain":"flag","event":"explode","identifier":"f"}"#,
            r#"{"domain":"moon","event":"patch","identifier":"f"}"#,
            r#"{"domain":"proxy","event":"apiKeyAdded","apiKey":"short"}"#,
        ] {
            assert!(matches!(Message::read(text), Message::Unknown { .. }), "{text}");
        }
    }
}
