//! The lines of the journal. Read from the first to the last they give the
//! state again: sums by addition, batches by what became of them.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::aggregate::Rows;
use super::batch::{Batch, BatchId};
use super::key::{RowKey, Tally};
use crate::model::json::write_string;

/// Rows of one line: a torn one loses no more.
pub const ROWS_A_LINE: usize = 1000;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// So much was added to an environment, at this time (Unix
    /// milliseconds).
    Added { environment: String, at: i64, rows: Rows },
    /// A batch is there whose rows were in the sums until now.
    Frozen { environment: String, batch: Batch },
    /// A batch is there, its rows are in no sum. `sent`: it may have gone out.
    Waiting { environment: String, batch: Batch, sent: bool },
    /// A batch is about to be sent.
    Sending(BatchId),
    /// A batch that was sent was certainly not counted.
    Refused(BatchId),
    /// Two batches in the place of one.
    Halved { id: BatchId, into: [Batch; 2] },
    /// A batch is taken, or dropped for good.
    Done(BatchId),
    /// An environment is gone with all it had.
    Gone(String),
    /// Batches of other relays that were taken, and when (Unix
    /// milliseconds).
    Seen(Vec<(BatchId, i64)>),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line<'a> {
    #[serde(borrow)]
    Added(AddedLine<'a>),
    #[serde(borrow)]
    Frozen(BatchLine<'a>),
    #[serde(borrow)]
    Waiting(BatchLine<'a>),
    Sending(String),
    Refused(String),
    #[serde(borrow)]
    Halved(HalvedLine<'a>),
    Done(String),
    Gone(String),
    Seen(Vec<(String, i64)>),
}

#[derive(Deserialize)]
struct AddedLine<'a> {
    environment: String,
    at: i64,
    /// Count, newest time, identity, target.
    #[serde(borrow)]
    rows: Vec<(u64, i64, &'a RawValue, Option<String>)>,
    #[serde(borrow)]
    targets: Vec<(String, &'a RawValue)>,
    #[serde(default)]
    reports: Vec<String>,
}

#[derive(Deserialize)]
struct BatchLine<'a> {
    #[serde(default)]
    environment: String,
    id: String,
    #[serde(default)]
    sent: bool,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct HalvedLine<'a> {
    id: String,
    #[serde(borrow)]
    into: [BatchLine<'a>; 2],
}

impl Entry {
    /// Reads one record.
    ///
    /// # Errors
    /// It is none, or not of this version.
    pub fn parse(record: &str) -> Result<Entry, String> {
        let line: Line<'_> = serde_json::from_str(record).map_err(|error| error.to_string())?;
        Ok(match line {
            Line::Added(AddedLine { environment, at, rows, targets, reports }) => {
                let row = |(count, timestamp, identity, target): (u64, i64, &RawValue, Option<String>)| {
                    let key = RowKey { identity: Arc::from(identity.get()), target: target.map(Arc::from) };
                    (key, Tally { count, timestamp })
                };
                let target = |(identifier, json): (String, &RawValue)| (Arc::from(identifier), Arc::from(json.get()));
                let rows = Rows {
                    rows: rows.into_iter().map(row).collect(),
                    targets: targets.into_iter().map(target).collect(),
                    reports: reports.iter().map(|text| id(text)).collect::<Result<_, _>>()?,
                };
                Entry::Added { environment, at, rows }
            }
            Line::Frozen(line) => Entry::Frozen { batch: batch(&line)?, environment: line.environment },
            Line::Waiting(line) => {
                Entry::Waiting { batch: batch(&line)?, sent: line.sent, environment: line.environment }
            }
            Line::Sending(text) => Entry::Sending(id(&text)?),
            Line::Refused(text) => Entry::Refused(id(&text)?),
            Line::Halved(HalvedLine { id: whole, into: [first, second] }) => {
                Entry::Halved { id: id(&whole)?, into: [batch(&first)?, batch(&second)?] }
            }
            Line::Done(text) => Entry::Done(id(&text)?),
            Line::Gone(environment) => Entry::Gone(environment),
            Line::Seen(seen) => {
                let seen = seen.into_iter().map(|(text, at)| Ok((id(&text)?, at)));
                Entry::Seen(seen.collect::<Result<_, String>>()?)
            }
        })
    }
}

fn id(text: &str) -> Result<BatchId, String> {
    BatchId::parse(text).ok_or_else(|| "a batch id cannot be read".to_owned())
}

fn batch(line: &BatchLine<'_>) -> Result<Batch, String> {
    Batch::restore(id(&line.id)?, Bytes::copy_from_slice(line.body.get().as_bytes()))
}

/// The record of [`Entry::Added`].
#[must_use]
pub fn added(environment: &str, at: i64, Rows { rows, targets, reports }: &Rows) -> String {
    added_slices(environment, at, rows, targets, reports)
}

fn added_slices(
    environment: &str,
    at: i64,
    rows: &[(RowKey, Tally)],
    targets: &[(Arc<str>, Arc<str>)],
    reports: &[BatchId],
) -> String {
    let mut out = String::from("{\"added\":{\"environment\":");
    write_string(environment, &mut out);
    out.push_str(&format!(",\"at\":{at},\"rows\":["));
    for (index, (key, tally)) in rows.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        out.push_str(&format!("[{},{},{},", tally.count, tally.timestamp, key.identity));
        match &key.target {
            Some(target) => write_string(target, &mut out),
            None => out.push_str("null"),
        }
        out.push(']');
    }
    out.push_str("],\"targets\":[");
    for (index, (identifier, json)) in targets.iter().enumerate() {
        out.push_str(if index == 0 { "[" } else { ",[" });
        write_string(identifier, &mut out);
        out.push(',');
        out.push_str(json);
        out.push(']');
    }
    out.push(']');
    for (index, id) in reports.iter().enumerate() {
        out.push_str(if index == 0 { ",\"reports\":[" } else { "," });
        out.push_str(&format!("\"{id}\""));
    }
    out.push_str(if reports.is_empty() { "}}" } else { "]}}" });
    out
}

/// The records of all sums in `rows`, many a line.
pub fn added_lines<'a>(environment: &'a str, at: i64, rows: &'a Rows) -> impl Iterator<Item = String> + 'a {
    let metrics = rows.rows.chunks(ROWS_A_LINE).map(move |rows| added_slices(environment, at, rows, &[], &[]));
    metrics.chain(rows.targets.chunks(ROWS_A_LINE).map(move |targets| added_slices(environment, at, &[], targets, &[])))
}

/// The record of [`Entry::Frozen`].
#[must_use]
pub fn frozen(environment: &str, batch: &Batch) -> String {
    format!("{{\"frozen\":{}}}", batch_line(environment, batch, false))
}

/// The record of [`Entry::Waiting`].
#[must_use]
pub fn waiting(environment: &str, batch: &Batch, sent: bool) -> String {
    format!("{{\"waiting\":{}}}", batch_line(environment, batch, sent))
}

/// The record of [`Entry::Sending`].
#[must_use]
pub fn sending(id: BatchId) -> String {
    format!("{{\"sending\":\"{id}\"}}")
}

/// The record of [`Entry::Refused`].
#[must_use]
pub fn refused(id: BatchId) -> String {
    format!("{{\"refused\":\"{id}\"}}")
}

/// The record of [`Entry::Halved`].
#[must_use]
pub fn halved(id: BatchId, [first, second]: &[Batch; 2]) -> String {
    let (first, second) = (batch_line("", first, false), batch_line("", second, false));
    format!("{{\"halved\":{{\"id\":\"{id}\",\"into\":[{first},{second}]}}}}")
}

/// The record of [`Entry::Done`].
#[must_use]
pub fn done(id: BatchId) -> String {
    format!("{{\"done\":\"{id}\"}}")
}

/// The record of [`Entry::Gone`].
#[must_use]
pub fn gone(environment: &str) -> String {
    let mut out = String::from("{\"gone\":");
    write_string(environment, &mut out);
    out.push('}');
    out
}

/// The record of [`Entry::Seen`].
#[must_use]
pub fn seen(batches: &[(BatchId, i64)]) -> String {
    let rows: Vec<String> = batches.iter().map(|(id, at)| format!("[\"{id}\",{at}]")).collect();
    format!("{{\"seen\":[{}]}}", rows.join(","))
}

fn batch_line(environment: &str, batch: &Batch, sent: bool) -> String {
    let mut out = String::from("{\"environment\":");
    write_string(environment, &mut out);
    let body = String::from_utf8_lossy(&batch.body);
    out.push_str(&format!(",\"id\":\"{}\",\"sent\":{sent},\"body\":{body}}}", batch.id));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back() {
        let body =
            r#"{"metricsData":[{"count":2,"attributes":[{"key":"featureName","value":"é \n"}]}],"targetData":[{}]}"#;
        let batch = |id: u128| Batch::restore(BatchId(id), Bytes::from_static(body.as_bytes())).unwrap();
        let key = RowKey { identity: Arc::from(r#"["f\"",null,"1",null,null,null]"#), target: Some(Arc::from("t\n")) };
        let anonymous = RowKey { target: None, ..key.clone() };
        let rows = Rows {
            rows: vec![(key, Tally { count: 5, timestamp: -1 }), (anonymous, Tally { count: u64::MAX, timestamp: 7 })],
            targets: vec![(Arc::from("\"t"), Arc::from(r#"{"identifier":"\"t"}"#))],
            reports: vec![BatchId(1), BatchId(2)],
        };
        let environment = || "e\"1".to_owned();
        for (record, entry) in [
            (added("e\"1", 7, &rows), Entry::Added { environment: environment(), at: 7, rows }),
            (frozen("e\"1", &batch(1)), Entry::Frozen { environment: environment(), batch: batch(1) }),
            (
                waiting("e\"1", &batch(1), true),
                Entry::Waiting { environment: environment(), batch: batch(1), sent: true },
            ),
            (sending(BatchId(3)), Entry::Sending(BatchId(3))),
            (refused(BatchId(3)), Entry::Refused(BatchId(3))),
            (halved(BatchId(3), &[batch(4), batch(5)]), Entry::Halved { id: BatchId(3), into: [batch(4), batch(5)] }),
            (done(BatchId(3)), Entry::Done(BatchId(3))),
            (gone("e\"1"), Entry::Gone(environment())),
            (seen(&[(BatchId(1), 2), (BatchId(3), -4)]), Entry::Seen(vec![(BatchId(1), 2), (BatchId(3), -4)])),
            (seen(&[]), Entry::Seen(Vec::new())),
        ] {
            assert!(!record.contains('\n'));
            assert_eq!(Entry::parse(&record).unwrap(), entry);
        }
        for bad in ["", "{}", "{\"sending\":\"1\"}", "{\"other\":1}"] {
            assert!(Entry::parse(bad).is_err(), "{bad}");
        }
    }
}
