//! Segments (target groups), in short and whole.

use tonic::Status;

use super::{shown, timestamp_of_s};
use crate::fault::Fault;
use crate::grpc::page::Page;
use crate::grpc::status::{About, status};
use crate::model::json::Json;
use crate::proto::inspect::v1 as proto;
use crate::snapshot::Snapshot;
use crate::snapshot::served::ServedItem;

pub(super) fn list(snapshot: &Snapshot, page: &Page) -> proto::ListSegmentsResponse {
    let (segments, next_page_token) =
        page.fill(&snapshot.segments, |segment| segment.item.identifier(), |segment| in_short(snapshot, segment));
    proto::ListSegmentsResponse { segments, next_page_token }
}

pub(super) fn get(snapshot: &Snapshot, identifier: &str) -> Result<proto::GetSegmentResponse, Status> {
    let segment = snapshot.segment(identifier).ok_or_else(|| {
        let message =
            format!("segment '{}' is not in this environment; ListSegments gives its segments", shown(identifier));
        status(Fault::SegmentNotFound, &message, About::Resource { kind: "segment", name: identifier })
    })?;
    Ok(proto::GetSegmentResponse {
        segment: Some(in_short(snapshot, segment)),
        json: segment.item.text.as_bytes().to_vec(),
        served_json: segment.json.to_vec(),
    })
}

fn in_short(snapshot: &Snapshot, segment: &ServedItem) -> proto::Segment {
    let json = Json::parse(&segment.item.text).unwrap_or(Json::Null);
    let count = |list: &str| json.get(list).and_then(Json::as_array).map_or(0, <[_]>::len) as u64;
    let serving = count("servingRules");
    let entry = snapshot.ledger.entries.get(&segment.item.key);
    proto::Segment {
        identifier: segment.item.identifier().to_owned(),
        name: json.get("name").and_then(Json::as_str).unwrap_or_default().to_owned(),
        included: count("included"),
        excluded: count("excluded"),
        rules: if serving > 0 { serving } else { count("rules") },
        version: segment.item.version,
        served_version: segment.version,
        changed_at: entry.map(|entry| timestamp_of_s(entry.changed_at)),
        changed_in_sequence: entry.map_or(0, |entry| entry.sequence),
        digest: segment.item.digest.0.to_vec(),
    }
}
