//! SDK streams.

use std::sync::Arc;

use tonic::Status;

use super::timestamp_of_ms;
use crate::grpc::page::Page;
use crate::model::json::Json;
use crate::proto::inspect::v1 as proto;
use crate::snapshot::log::Message;
use crate::store::environment::Environment;
use crate::store::streams::{OpenStreams, StreamRow};

pub(super) fn list(
    streams: &OpenStreams,
    page: &Page,
    only: Option<&Environment>,
) -> Result<proto::ListStreamsResponse, Status> {
    let after = page.after_number()?;
    // One more, to know whether there is a next page.
    let rows = streams.after(after, page.size + 1, only.map(|environment| environment.id.as_str()));
    // Twenty digits sort as the numbers do.
    let named: Vec<(String, Arc<StreamRow>)> = rows.into_iter().map(|row| (format!("{:020}", row.id), row)).collect();
    let page = Page { size: page.size, after: None };
    let (streams, next_page_token) = page.fill(&named, |(name, _)| name, |(_, row)| describe(row));
    Ok(proto::ListStreamsResponse { streams, next_page_token })
}

fn describe(row: &StreamRow) -> proto::Stream {
    let progress = row.progress();
    proto::Stream {
        id: row.id.to_string(),
        environment_id: row.environment.id.to_string(),
        opened_at: Some(timestamp_of_ms(row.opened_at_ms)),
        address: row.address.map(|address| address.to_string()).unwrap_or_default(),
        sdk: row.sdk.to_string(),
        client_side: row.client_side,
        events_sent: progress.events,
        last_event: progress.last.as_ref().and_then(|(message, at_ms)| event(message, *at_ms)),
        changes_behind: row.changes_behind(progress.position) as u64,
    }
}

/// Reads an event back from what was written: a stream keeps nothing else.
fn event(message: &Message, at_ms: i64) -> Option<proto::StreamEvent> {
    let bytes = message.event();
    let text = std::str::from_utf8(&bytes).ok()?;
    let json = Json::parse(text.split_once("data: ")?.1.trim_end()).ok()?;
    let member = |name: &str| json.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    Some(proto::StreamEvent {
        domain: member("domain"),
        identifier: member("identifier"),
        version: json.get("version").and_then(Json::as_i64).unwrap_or_default(),
        sent_at: Some(timestamp_of_ms(at_ms)),
    })
}
