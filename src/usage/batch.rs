//! A batch: some rows under one id, rendered once and repeated byte for
//! byte until somebody answers for it.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::aggregate::{Rooms, Rows};
use super::body::Lost;
use super::key::{render_row, target_bytes};

/// Rows of both lists together.
pub const MAX_ROWS: usize = 1000;
/// A body is closed before it grows beyond this: with its envelope it fits
/// into a message of 1 MiB to a leader. One row alone may be larger.
pub const MAX_BODY_BYTES: usize = 1000 * 1024;

const METRICS: &str = "\"metricsData\":[";
const TARGETS: &str = "\"targetData\":[";

/// 128 random bits, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u128);

impl BatchId {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok().map(BatchId)).flatten()
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Rows that go upstream together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub id: BatchId,
    /// `{"metricsData":[…],"targetData":[…]}`, an empty list left out, no
    /// line breaks.
    pub body: Bytes,
    pub rows: usize,
    pub sum: Lost,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow, default)]
    metrics_data: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    target_data: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Counted {
    count: u64,
}

impl Batch {
    /// Takes the next rows out of `rows` and gives their room back; `None`
    /// if there are none.
    #[must_use]
    pub fn freeze(rows: &mut Rows, id: BatchId, rooms: &Rooms) -> Option<Batch> {
        let mut draft = Draft::default();
        let mut text = String::new();
        while draft.rows() < MAX_ROWS {
            let Some((key, tally)) = rows.rows.pop() else { break };
            text.clear();
            render_row(&key, tally, &mut text);
            if draft.is_full_for(&text) {
                rows.rows.push((key, tally));
                return draft.finish(id);
            }
            rooms.rows.give(key.bytes());
            draft.push_metrics(&text, tally.count);
        }
        while draft.rows() < MAX_ROWS {
            let Some((identifier, json)) = rows.targets.pop() else { break };
            if draft.is_full_for(&json) {
                rows.targets.push((identifier, json));
                break;
            }
            rooms.targets.give(target_bytes(&identifier, &json));
            draft.push_target(&json);
        }
        draft.finish(id)
    }

    /// A batch of an earlier life.
    ///
    /// # Errors
    /// The body is not one.
    pub fn restore(id: BatchId, body: Bytes) -> Result<Batch, String> {
        let fault = |error: serde_json::Error| format!("batch {id} cannot be read: {error}");
        let lists: Body<'_> = serde_json::from_slice(&body).map_err(fault)?;
        let mut sum = Lost { evaluations: 0, targets: lists.target_data.len() as u64 };
        for row in &lists.metrics_data {
            sum.add(Lost::evaluations(count_of(row).map_err(fault)?));
        }
        let rows = lists.metrics_data.len() + lists.target_data.len();
        if rows == 0 {
            return Err(format!("batch {id} is empty"));
        }
        Ok(Batch { id, body, rows, sum })
    }

    /// Two batches with half of the rows each; `None` for a single row.
    #[must_use]
    pub fn halve(&self, ids: [BatchId; 2]) -> Option<[Batch; 2]> {
        let lists: Body<'_> = serde_json::from_slice(&self.body).ok()?;
        let [mut first, mut second] = [Draft::default(), Draft::default()];
        let half = self.rows / 2;
        let mut place = 0;
        let mut next = || {
            place += 1;
            place <= half
        };
        for row in lists.metrics_data {
            let draft = if next() { &mut first } else { &mut second };
            draft.push_metrics(row.get(), count_of(row).ok()?);
        }
        for row in lists.target_data {
            let draft = if next() { &mut first } else { &mut second };
            draft.push_target(row.get());
        }
        let [first_id, second_id] = ids;
        Some([first.finish(first_id)?, second.finish(second_id)?])
    }

    /// The rows as text: those of `metricsData`, those of `targetData`.
    #[must_use]
    pub fn row_texts(&self) -> (Vec<&str>, Vec<&str>) {
        fn texts(list: Vec<&RawValue>) -> Vec<&str> {
            list.into_iter().map(RawValue::get).collect()
        }
        // Only what was read once or rendered here becomes a batch.
        let lists: Option<Body<'_>> = serde_json::from_slice(&self.body).ok();
        lists.map(|lists| (texts(lists.metrics_data), texts(lists.target_data))).unwrap_or_default()
    }
}

fn count_of(row: &RawValue) -> serde_json::Result<u64> {
    serde_json::from_str(row.get()).map(|Counted { count }| count)
}

#[derive(Default)]
struct Draft {
    metrics: String,
    targets: String,
    metrics_rows: usize,
    sum: Lost,
}

impl Draft {
    fn rows(&self) -> usize {
        self.metrics_rows + usize::try_from(self.sum.targets).unwrap_or(usize::MAX)
    }

    fn is_full_for(&self, row: &str) -> bool {
        let frame = METRICS.len() + TARGETS.len() + 8;
        self.rows() > 0 && self.metrics.len() + self.targets.len() + row.len() + frame > MAX_BODY_BYTES
    }

    fn push_metrics(&mut self, row: &str, count: u64) {
        push(&mut self.metrics, METRICS, row);
        self.metrics_rows += 1;
        self.sum.add(Lost::evaluations(count));
    }

    fn push_target(&mut self, row: &str) {
        push(&mut self.targets, TARGETS, row);
        self.sum.targets += 1;
    }

    fn finish(self, id: BatchId) -> Option<Batch> {
        let rows = self.rows();
        let mut body = String::with_capacity(self.metrics.len() + self.targets.len() + 5);
        for list in [&self.metrics, &self.targets].into_iter().filter(|list| !list.is_empty()) {
            body.push(if body.is_empty() { '{' } else { ',' });
            body.push_str(list);
            body.push(']');
        }
        body.push('}');
        (rows > 0).then(|| Batch { id, body: body.into(), rows, sum: self.sum })
    }
}

fn push(list: &mut String, start: &str, row: &str) {
    list.push_str(if list.is_empty() { start } else { "," });
    list.push_str(row);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::usage::key::{RowKey, Tally};
    use crate::usage::room::Room;

    fn rooms() -> Rooms {
        Rooms { rows: Room::new(usize::MAX, usize::MAX), targets: Room::new(usize::MAX, usize::MAX) }
    }

    fn rows(rooms: &Rooms, metrics: usize, targets: usize, padding: usize) -> Rows {
        let padding = "x".repeat(padding);
        let mut rows = Rows::default();
        for i in 0..metrics {
            let identity = Arc::from(format!("[\"flag-{i}\",null,\"{padding}\",null,null,null]"));
            let key = RowKey { identity, target: None };
            rooms.rows.take_in_any_case(key.bytes());
            rows.rows.push((key, Tally { count: i as u64 + 1, timestamp: 5 }));
        }
        for i in 0..targets {
            let (identifier, json) = (format!("t{i}"), format!("{{\"identifier\":\"t{i}\",\"x\":\"{padding}\"}}"));
            rooms.targets.take_in_any_case(target_bytes(&identifier, &json));
            rows.targets.push((identifier.into(), json.into()));
        }
        rows
    }

    fn freeze_all(rows: &mut Rows, rooms: &Rooms) -> Vec<Batch> {
        std::iter::from_fn(|| Batch::freeze(rows, BatchId(1), rooms)).collect()
    }

    #[test]
    fn batches_are_bounded_in_rows_and_bytes() {
        let rooms = rooms();
        for (metrics, targets, padding, sizes) in [
            (0, 0, 0, &[][..]),
            (1, 0, 0, &[1]),
            (0, 2, 0, &[2]),
            (1500, 700, 0, &[1000, 1000, 200]),
            (3, 0, 600_000, &[1, 1, 1]),
            (1, 1, MAX_BODY_BYTES, &[1, 1]),
            (0, 300, 8 * 1024, &[124, 124, 52]),
        ] {
            let mut rows = rows(&rooms, metrics, targets, padding);
            let before = rows.sum();
            let batches = freeze_all(&mut rows, &rooms);
            assert_eq!(batches.iter().map(|batch| batch.rows).collect::<Vec<_>>(), sizes);
            let mut after = Lost::default();
            for batch in &batches {
                after.add(batch.sum);
                assert!(batch.body.len() <= MAX_BODY_BYTES || batch.rows == 1);
                assert_eq!(&Batch::restore(batch.id, batch.body.clone()).unwrap(), batch);
            }
            assert_eq!(before, after);
            assert_eq!((rooms.rows.keys(), rooms.rows.bytes(), rooms.targets.bytes()), (0, 0, 0));
        }
    }

    #[test]
    fn halves_have_every_row_once() {
        let rooms = rooms();
        let whole = Batch::freeze(&mut rows(&rooms, 5, 4, 0), BatchId(1), &rooms).unwrap();
        let (mut waiting, mut singles, mut next_id) = (vec![whole.clone()], Vec::new(), 2);
        while let Some(batch) = waiting.pop() {
            match batch.halve([BatchId(next_id), BatchId(next_id + 1)]) {
                Some(halves) => {
                    assert_eq!(halves[0].rows + halves[1].rows, batch.rows);
                    waiting.extend(halves);
                    next_id += 2;
                }
                None => singles.push(batch),
            }
        }
        assert_eq!(singles.len(), 9);
        let texts = |batches: &[Batch]| {
            let mut all: Vec<String> = Vec::new();
            for batch in batches {
                let (metrics, targets) = batch.row_texts();
                all.extend(metrics.into_iter().chain(targets).map(str::to_owned));
            }
            all.sort_unstable();
            all
        };
        assert_eq!(texts(&singles), texts(&[whole]));
    }

    #[test]
    fn ids_and_damaged_bodies() {
        assert_eq!(BatchId::parse(&BatchId(255).to_string()), Some(BatchId(255)));
        assert_eq!(BatchId::parse("ff"), None);
        for bad in ["", "[]", "{\"metricsData\":[{}]}", "{\"metricsData\":[{\"count\":-1}]}"] {
            assert!(Batch::restore(BatchId(1), Bytes::copy_from_slice(bad.as_bytes())).is_err(), "{bad}");
        }
    }
}
