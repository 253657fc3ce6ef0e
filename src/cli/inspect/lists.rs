//! Lists as tables.

use serde_json::Value;

use super::pages::{environments as all_environments, follow, one_environment};
use crate::cli::Output;
use crate::cli::connect::Session;
use crate::cli::table::Column::{Left, Right};
use crate::cli::table::Table;
use crate::cli::{print, view};
use crate::proto::inspect::v1 as proto;

fn json<T>(rows: &[T], view: impl Fn(&T) -> Value) {
    print::json(&rows.iter().map(view).collect::<Vec<_>>());
}

/// A version that may not be there.
fn version(version: Option<i64>) -> String {
    version.map_or_else(|| "-".to_owned(), |version| version.to_string())
}

pub(super) async fn environments(session: &Session, limit: Option<usize>, output: Output) -> anyhow::Result<()> {
    let rows = all_environments(session, limit).await?;
    if output == Output::Json {
        json(&rows, view::environment);
        return Ok(());
    }
    environment_table(&rows).print("no environments");
    Ok(())
}

/// Environments as `status` shows them too.
#[must_use]
pub fn environment_table(rows: &[proto::Environment]) -> Table {
    let mut table = Table::new(&[
        Left("ENVIRONMENT"),
        Left("NAME"),
        Left("STATE"),
        Left("SOURCE"),
        Right("FLAGS"),
        Right("SEGMENTS"),
        Right("TARGETS"),
        Right("KEYS"),
        Right("STREAMS"),
        Left("CHANGED"),
    ]);
    for it in rows {
        let counts = it.counts.unwrap_or_default();
        let paused = if it.paused_source.is_some() { " (paused)" } else { "" };
        table.row([
            it.id.clone(),
            it.name.clone(),
            view::word(it.sync_state().as_str_name(), "SYNC_STATE_"),
            view::word(it.source().as_str_name(), "SOURCE_") + paused,
            counts.flags.to_string(),
            counts.segments.to_string(),
            (counts.configured_targets + counts.stored_targets).to_string(),
            counts.key_hashes.to_string(),
            counts.streams.to_string(),
            view::time(it.last_changed_at.as_ref()),
        ]);
    }
    table
}

pub(super) async fn flags(
    session: &Session,
    environment: Option<&str>,
    limit: Option<usize>,
    output: Output,
) -> anyhow::Result<()> {
    let id = one_environment(session, environment).await?;
    let rows = follow(limit, async |page_size, page_token| {
        let request = proto::ListFlagsRequest { environment_id: id.clone(), page_size, page_token };
        let page = session.answer(session.inspect().list_flags(session.request(request))).await?;
        Ok((page.flags, page.next_page_token))
    })
    .await?;
    if output == Output::Json {
        json(&rows, view::flag);
        return Ok(());
    }
    let columns = [Left("FLAG"), Left("KIND"), Left("STATE"), Right("VERSION"), Right("SERVED"), Left("CHANGED")];
    let mut table = Table::new(&columns);
    for it in &rows {
        table.row([
            it.identifier.clone(),
            it.kind.clone(),
            if it.on { "on" } else { "off" }.to_owned(),
            version(it.version),
            it.served_version.to_string(),
            view::time(it.changed_at.as_ref()),
        ]);
    }
    table.print("no flags");
    Ok(())
}

pub(super) async fn segments(
    session: &Session,
    environment: Option<&str>,
    limit: Option<usize>,
    output: Output,
) -> anyhow::Result<()> {
    let id = one_environment(session, environment).await?;
    let rows = follow(limit, async |page_size, page_token| {
        let request = proto::ListSegmentsRequest { environment_id: id.clone(), page_size, page_token };
        let page = session.answer(session.inspect().list_segments(session.request(request))).await?;
        Ok((page.segments, page.next_page_token))
    })
    .await?;
    if output == Output::Json {
        json(&rows, view::segment);
        return Ok(());
    }
    let mut table = Table::new(&[
        Left("SEGMENT"),
        Left("NAME"),
        Right("INCLUDED"),
        Right("EXCLUDED"),
        Right("RULES"),
        Right("VERSION"),
        Right("SERVED"),
        Left("CHANGED"),
    ]);
    for it in &rows {
        table.row([
            it.identifier.clone(),
            it.name.clone(),
            it.included.to_string(),
            it.excluded.to_string(),
            it.rules.to_string(),
            version(it.version),
            it.served_version.to_string(),
            view::time(it.changed_at.as_ref()),
        ]);
    }
    table.print("no segments");
    Ok(())
}

pub(super) async fn targets(
    session: &Session,
    environment: Option<&str>,
    limit: Option<usize>,
    output: Output,
) -> anyhow::Result<()> {
    let id = one_environment(session, environment).await?;
    let rows = follow(limit, async |page_size, page_token| {
        let request = proto::ListTargetsRequest { environment_id: id.clone(), page_size, page_token };
        let page = session.answer(session.inspect().list_targets(session.request(request))).await?;
        Ok((page.targets, page.next_page_token))
    })
    .await?;
    if output == Output::Json {
        json(&rows, view::target);
        return Ok(());
    }
    let mut table = Table::new(&[Left("TARGET"), Left("ORIGIN"), Left("ATTRIBUTES")]);
    for it in &rows {
        let attributes = view::embedded(&it.json).get("attributes").map(ToString::to_string).unwrap_or_default();
        let origin = view::spoken(it.origin().as_str_name(), "TARGET_ORIGIN_");
        table.row([it.identifier.clone(), origin, attributes]);
    }
    table.print("no targets");
    Ok(())
}

pub(super) async fn peers(session: &Session, limit: Option<usize>, output: Output) -> anyhow::Result<()> {
    let rows = follow(limit, async |page_size, page_token| {
        let request = session.request(proto::ListPeersRequest { page_size, page_token });
        let page = session.answer(session.inspect().list_peers(request)).await?;
        Ok((page.peers, page.next_page_token))
    })
    .await?;
    if output == Output::Json {
        json(&rows, view::peer);
        return Ok(());
    }
    let mut table = Table::new(&[
        Left("NAME"),
        Left("ROLE"),
        Left("ADDRESS"),
        Left("VERSION"),
        Left("CONNECTED"),
        Left("HEARD"),
        Right("ENVIRONMENTS"),
        Right("BEHIND"),
        Right("NACKS"),
        Left("ERROR"),
    ]);
    for it in &rows {
        table.row([
            it.name.clone(),
            view::spoken(it.role().as_str_name(), "PEER_ROLE_"),
            it.address.clone(),
            it.version.clone(),
            view::time(it.connected_at.as_ref()),
            view::time(it.last_heard_at.as_ref()),
            it.environment_count.to_string(),
            it.environments_behind.to_string(),
            it.nacks.to_string(),
            it.error.clone().or_else(|| it.last_nack_reason.clone()).unwrap_or_default(),
        ]);
    }
    table.print("no peers");
    Ok(())
}

pub(super) async fn streams(
    session: &Session,
    environment: Option<&str>,
    limit: Option<usize>,
    output: Output,
) -> anyhow::Result<()> {
    let environment_id = environment.unwrap_or_default().to_owned();
    let rows = follow(limit, async |page_size, page_token| {
        let request = proto::ListStreamsRequest { page_size, page_token, environment_id: environment_id.clone() };
        let page = session.answer(session.inspect().list_streams(session.request(request))).await?;
        Ok((page.streams, page.next_page_token))
    })
    .await?;
    if output == Output::Json {
        json(&rows, view::stream);
        return Ok(());
    }
    let mut table = Table::new(&[
        Left("ENVIRONMENT"),
        Left("SDK"),
        Left("ADDRESS"),
        Left("OPENED"),
        Right("EVENTS"),
        Right("BEHIND"),
        Left("LAST EVENT"),
    ]);
    for it in &rows {
        let last = it.last_event.as_ref();
        table.row([
            it.environment_id.clone(),
            it.sdk.clone(),
            it.address.clone(),
            view::time(it.opened_at.as_ref()),
            it.events_sent.to_string(),
            it.changes_behind.to_string(),
            last.map(|event| format!("{} {} v{}", event.domain, event.identifier, event.version)).unwrap_or_default(),
        ]);
    }
    table.print("no streams");
    Ok(())
}
