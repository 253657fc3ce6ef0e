//! Flags, in short and whole.

use tonic::Status;

use super::{shown, timestamp_of_s};
use crate::fault::Fault;
use crate::grpc::page::Page;
use crate::grpc::status::{About, status};
use crate::model::json::Json;
use crate::proto::inspect::v1 as proto;
use crate::snapshot::Snapshot;
use crate::snapshot::served::ServedItem;

pub(super) fn list(snapshot: &Snapshot, page: &Page) -> proto::ListFlagsResponse {
    let (flags, next_page_token) =
        page.fill(&snapshot.flags, |flag| flag.item.identifier(), |flag| in_short(snapshot, flag));
    proto::ListFlagsResponse { flags, next_page_token }
}

pub(super) fn get(snapshot: &Snapshot, identifier: &str) -> Result<proto::GetFlagResponse, Status> {
    let flag = snapshot.flag(identifier).ok_or_else(|| unknown(identifier))?;
    Ok(proto::GetFlagResponse {
        flag: Some(in_short(snapshot, flag)),
        json: flag.item.text.as_bytes().to_vec(),
        served_json: flag.json.to_vec(),
    })
}

pub(super) fn unknown(identifier: &str) -> Status {
    let message = format!("flag '{}' is not in this environment; ListFlags gives its flags", shown(identifier));
    status(Fault::FlagNotFound, &message, About::Resource { kind: "flag", name: identifier })
}

fn in_short(snapshot: &Snapshot, flag: &ServedItem) -> proto::Flag {
    let json = Json::parse(&flag.item.text).unwrap_or(Json::Null);
    let text = |member: &str| json.get(member).and_then(Json::as_str).unwrap_or_default();
    let entry = snapshot.ledger.entries.get(&flag.item.key);
    proto::Flag {
        identifier: flag.item.identifier().to_owned(),
        kind: text("kind").to_owned(),
        on: text("state") == "on",
        version: flag.item.version,
        served_version: flag.version,
        changed_at: entry.map(|entry| timestamp_of_s(entry.changed_at)),
        changed_in_sequence: entry.map_or(0, |entry| entry.sequence),
        digest: flag.item.digest.0.to_vec(),
    }
}
