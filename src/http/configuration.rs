//! Flags and segments for server-side SDKs: ready bytes.

use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT_ENCODING, HeaderMap, IF_NONE_MATCH};

use super::answer::{self, Answer, Refusal};
use crate::fault::Fault;
use crate::snapshot::Snapshot;
use crate::snapshot::body::Body;

/// `GET …/feature-configs`
#[must_use]
pub fn flags(snapshot: &Snapshot, headers: &HeaderMap) -> Answer {
    list(&snapshot.flags_body, headers)
}

/// `GET …/target-segments[?rules=v2]`
#[must_use]
pub fn segments(snapshot: &Snapshot, rules_v2: bool, headers: &HeaderMap) -> Answer {
    list(if rules_v2 { &snapshot.segments_body } else { &snapshot.legacy_segments_body }, headers)
}

/// `GET …/feature-configs/{identifier}`
///
/// # Errors
/// The flag is not known.
pub fn flag(snapshot: &Snapshot, identifier: &str) -> Result<Answer, Refusal> {
    let served = snapshot.flag(identifier).ok_or_else(|| {
        Refusal::new(Fault::FlagNotFound, format!("flag '{identifier}' is not known in this environment"))
    })?;
    Ok(one(&served.json))
}

/// `GET …/target-segments/{identifier}[?rules=v2]`
///
/// # Errors
/// The segment is not known.
pub fn segment(snapshot: &Snapshot, identifier: &str, rules_v2: bool) -> Result<Answer, Refusal> {
    let served = snapshot.segment(identifier).ok_or_else(|| {
        Refusal::new(Fault::SegmentNotFound, format!("segment '{identifier}' is not known in this environment"))
    })?;
    Ok(one(if rules_v2 { &served.json } else { &served.legacy_json }))
}

fn one(json: &Bytes) -> Answer {
    answer::json(StatusCode::OK, json.clone())
}

fn list(body: &Body, headers: &HeaderMap) -> Answer {
    let gzip = accepts_gzip(headers);
    let representation = if gzip { &body.gzip } else { &body.plain };
    for sent in headers.get_all(IF_NONE_MATCH) {
        let has = |etag: &str| matches(sent.as_bytes(), etag);
        if has(&body.plain.etag_text) || has(&body.gzip.etag_text) {
            return answer::not_modified(&representation.etag);
        }
    }
    answer::list(representation, gzip)
}

/// Whether a list of tags holds this one, by weak comparison.
fn matches(list: &[u8], etag: &str) -> bool {
    let Ok(list) = std::str::from_utf8(list) else {
        return false;
    };
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Whether gzip is asked for, with a weight above 0.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(ACCEPT_ENCODING) {
        for coding in value.to_str().unwrap_or_default().split(',') {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let refused = parts
                .any(|p| p.strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()).is_some_and(|q| q <= 0.0));
            if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                return !refused;
            }
            any |= name == "*" && !refused;
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_only_when_asked_for() {
        for (value, gzip) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("*", true),
            ("*;q=0", false),
            ("br, *;q=0.1, gzip; q=0", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            assert_eq!(accepts_gzip(&headers), gzip, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn tags_compare_weakly() {
        assert!(matches(b"\"x\", W/\"y\"", "\"y\""));
        assert!(matches(b"*", "\"y\""));
        assert!(!matches(b"\"x\"", "\"y\"") && !matches(b"\xff", "\"y\""));
    }
}
