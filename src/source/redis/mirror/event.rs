//! Entries of `proxy:sse_events`: what changed, for replicas.

use std::sync::Arc;

use crate::model::json::{Json, write_string};
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::{ItemKey, ItemKind};
use crate::snapshot::ledger::ChangeKind;

/// A change of a flag or segment that a Go proxy told.
///
/// Version 0 comes from v2's comparison at its start: a segment's identifier
/// may then be its *name*, so all of the environment is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub kind: ChangeKind,
    pub key: ItemKey,
    pub version: i64,
    pub environment: EnvironmentId,
}

/// Reads the value of an entry's field. `None` for what is no change of a
/// flag or segment: then nothing is known of what changed.
#[must_use]
pub fn parse_event(text: &[u8]) -> Option<Event> {
    let json = Json::parse(std::str::from_utf8(text).ok()?).ok()?;
    let member = |name: &str| json.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
    let kind = match member("event")? {
        "create" => ChangeKind::Create,
        "patch" => ChangeKind::Patch,
        "delete" => ChangeKind::Delete,
        _ => return None,
    };
    let domain = member("domain")?;
    let item_kind = [ItemKind::Flag, ItemKind::Segment].into_iter().find(|kind| kind.domain() == domain)?;
    Some(Event {
        kind,
        key: ItemKey { kind: item_kind, identifier: Arc::from(member("identifier")?) },
        version: json.get("version").and_then(Json::as_i64).unwrap_or(0),
        environment: EnvironmentId::new(member("environment")?),
    })
}

/// The value of an entry's field, with the members and the order of v2's.
#[must_use]
pub(super) fn text(environment: &EnvironmentId, key: &ItemKey, kind: ChangeKind, version: i64) -> String {
    let (event, domain) = (kind.event(), key.kind.domain());
    let mut text = format!("{{\"event\":\"{event}\",\"domain\":\"{domain}\",\"identifier\":");
    write_string(&key.identifier, &mut text);
    text.push_str(&format!(",\"version\":{version},\"environment\":"));
    write_string(environment.as_str(), &mut text);
    text.push_str(",\"apiKey\":\"\"}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_round_trip_and_unknown_members_are_no_matter() {
        let key = ItemKey { kind: ItemKind::Segment, identifier: Arc::from("a\"b") };
        let environment = EnvironmentId::new("e-1");
        let written = text(&environment, &key, ChangeKind::Delete, 7);
        assert_eq!(
            written,
            r#"{"event":"delete","domain":"target-segment","identifier":"a\"b","version":7,"environment":"e-1","apiKey":""}"#
        );
        let event = Event { kind: ChangeKind::Delete, key, version: 7, environment };
        assert_eq!(parse_event(written.as_bytes()), Some(event.clone()));
        let other = r#"{"x":[1],"environment":"e-1","identifier":"a\"b","domain":"target-segment","event":"delete","environments":null}"#;
        assert_eq!(parse_event(other.as_bytes()), Some(Event { version: 0, ..event }));
    }

    #[test]
    fn what_is_no_change_of_an_item_is_not_read() {
        for text in [
            &br#"{"event":"stream_action","domain":"CONNECTED","identifier":"","version":0,"environment":"","apiKey":""}"#[..],
            br#"{"event":"patch","domain":"flag","identifier":"","version":1,"environment":"e"}"#,
            br#"{"event":"patch","domain":"target","identifier":"t","version":1,"environment":"e"}"#,
            br#"["patch"]"#,
            b"{",
            b"\xff",
        ] {
            assert_eq!(parse_event(text), None);
        }
    }
}
