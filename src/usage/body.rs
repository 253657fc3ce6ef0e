//! One request's usage, summed to the side: nothing of it counts until the
//! whole body was read.

use std::collections::HashMap;
use std::sync::Arc;

use super::key::{Attributes, RowKey, Tally, render_target, target_bytes};
use super::parse::{MetricsRow, TargetRow, UsageSink};
use super::room::Room;

/// SDKs told apart in one body; the rest are `other`.
const MAX_SDKS: usize = 64;
/// Labels of Prometheus are cut at this length.
const MAX_LABEL_BYTES: usize = 64;

/// An SDK as Prometheus shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SdkLabels {
    pub sdk_type: String,
    pub sdk_version: String,
    pub sdk_language: String,
}

impl SdkLabels {
    /// What stands for SDKs beyond a bound.
    #[must_use]
    pub fn other() -> Self {
        let other = || "other".to_owned();
        SdkLabels { sdk_type: other(), sdk_version: other(), sdk_language: other() }
    }

    fn is(&self, [sdk_type, sdk_version, sdk_language]: [&str; 3]) -> bool {
        self.sdk_type == sdk_type && self.sdk_version == sdk_version && self.sdk_language == sdk_language
    }
}

/// What could not be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    pub evaluations: u64,
    pub targets: u64,
}

impl Lost {
    pub fn evaluations(count: u64) -> Self {
        Lost { evaluations: count, targets: 0 }
    }

    pub fn add(&mut self, other: Lost) {
        self.evaluations = self.evaluations.saturating_add(other.evaluations);
        self.targets = self.targets.saturating_add(other.targets);
    }
}

/// The sums of one body. Its room is given back when it is dropped.
#[derive(Debug)]
pub struct BodyTally {
    /// `None`: rows are counted and not kept.
    room: Option<Arc<Room>>,
    now_ms: i64,
    rows: HashMap<RowKey, Tally>,
    targets: HashMap<Arc<str>, Arc<str>>,
    sdks: Vec<(SdkLabels, u64)>,
    lost: Lost,
}

/// What a body comes to.
#[derive(Debug, Default)]
pub struct Sums {
    pub rows: Vec<(RowKey, Tally)>,
    /// Identifier and row of `targetData`.
    pub targets: Vec<(Arc<str>, Arc<str>)>,
    pub sdks: Vec<(SdkLabels, u64)>,
    /// What there was no room for.
    pub lost: Lost,
}

impl BodyTally {
    /// `room` is shared by all bodies that are being read; `now_ms` is for
    /// rows that bring no time.
    #[must_use]
    pub fn kept(room: Arc<Room>, now_ms: i64) -> Self {
        let mut tally = BodyTally::counted(now_ms);
        tally.room = Some(room);
        tally
    }

    /// Counts and keeps nothing.
    #[must_use]
    pub fn counted(now_ms: i64) -> Self {
        BodyTally {
            room: None,
            now_ms,
            rows: HashMap::new(),
            targets: HashMap::new(),
            sdks: Vec::new(),
            lost: Lost::default(),
        }
    }

    /// Everything that was read.
    #[must_use]
    pub fn into_sums(mut self) -> Sums {
        self.give_room_back();
        Sums {
            rows: std::mem::take(&mut self.rows).into_iter().collect(),
            targets: std::mem::take(&mut self.targets).into_iter().collect(),
            sdks: std::mem::take(&mut self.sdks),
            lost: self.lost,
        }
    }

    fn count_sdk(&mut self, attributes: &Attributes<'_>, count: u64) {
        let labels = [attributes.sdk_type, attributes.sdk_version, attributes.sdk_language].map(|text| {
            let text = text.unwrap_or_default();
            text.get(..text.floor_char_boundary(MAX_LABEL_BYTES)).unwrap_or_default()
        });
        if let Some((_, sum)) = self.sdks.iter_mut().find(|(known, _)| known.is(labels)) {
            *sum = sum.saturating_add(count);
            return;
        }
        if self.sdks.len() < MAX_SDKS {
            let [sdk_type, sdk_version, sdk_language] = labels.map(str::to_owned);
            self.sdks.push((SdkLabels { sdk_type, sdk_version, sdk_language }, count));
        } else if let Some((last, sum)) = self.sdks.last_mut() {
            *last = SdkLabels::other();
            *sum = sum.saturating_add(count);
        }
    }

    fn give_room_back(&mut self) {
        if let Some(room) = self.room.take() {
            self.rows.keys().for_each(|key| room.give(key.bytes()));
            self.targets.iter().for_each(|(identifier, json)| room.give(target_bytes(identifier, json)));
        }
    }
}

impl Drop for BodyTally {
    fn drop(&mut self) {
        self.give_room_back();
    }
}

impl UsageSink for BodyTally {
    fn metrics(&mut self, row: MetricsRow<'_>) {
        let count = u64::try_from(row.count).unwrap_or_default();
        if count == 0 {
            return;
        }
        let attributes = Attributes::of(&row);
        self.count_sdk(&attributes, count);
        let Some(room) = &self.room else {
            self.lost.add(Lost::evaluations(count));
            return;
        };
        let tally = Tally { count, timestamp: if row.timestamp > 0 { row.timestamp } else { self.now_ms } };
        let key = RowKey::new(&attributes);
        if let Some(known) = self.rows.get_mut(&key) {
            known.add(tally);
        } else if room.take(key.bytes()) {
            self.rows.insert(key, tally);
        } else {
            self.lost.add(Lost::evaluations(count));
        }
    }

    fn target(&mut self, row: TargetRow<'_>) {
        let Some(room) = &self.room else {
            self.lost.targets += 1;
            return;
        };
        let Some((identifier, json)) = render_target(&row) else {
            return;
        };
        let bytes = target_bytes(&identifier, &json);
        let before = self.targets.get(&identifier).map(|json| target_bytes(&identifier, json));
        if let Some(before) = before {
            room.give(before);
        }
        if room.take(bytes) {
            self.targets.insert(identifier, json);
        } else {
            if before.is_some() {
                self.targets.remove(&identifier);
            }
            self.lost.targets += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::parse::read;

    const MIB: usize = 1 << 20;

    fn body(rows: &[(&str, i64)], targets: &[(&str, &str)]) -> String {
        let row = |(flag, count): &(&str, i64)| {
            serde_json::json!({"timestamp": 0, "count": count, "attributes": [{"key": "featureName", "value": flag},
                {"key": "SDK_TYPE", "value": format!("type-{flag}")}]})
        };
        let target = |(id, name): &(&str, &str)| serde_json::json!({"identifier": id, "name": name});
        serde_json::json!({"metricsData": rows.iter().map(row).collect::<Vec<_>>(),
            "targetData": targets.iter().map(target).collect::<Vec<_>>()})
        .to_string()
    }

    #[test]
    fn rows_are_summed_and_the_newest_target_counts() {
        let room = Arc::new(Room::new(10, MIB));
        let mut tally = BodyTally::kept(Arc::clone(&room), 99);
        let text = body(&[("a", 1), ("b", 2), ("a", 3), ("a", 0), ("b", -5)], &[("t", "old"), ("u", ""), ("t", "new")]);
        read(text.as_bytes(), &mut tally).unwrap();
        assert_eq!(room.keys(), 4);
        let sums = tally.into_sums();
        assert_eq!((room.keys(), room.bytes()), (0, 0));
        let mut counts: Vec<_> = sums.rows.iter().map(|(_, tally)| (tally.count, tally.timestamp)).collect();
        counts.sort_unstable();
        assert_eq!(counts, [(2, 99), (4, 99)]);
        assert_eq!((sums.targets.len(), sums.lost), (2, Lost::default()));
        assert!(sums.targets.iter().any(|(_, json)| json.contains("new")));
        assert_eq!(
            sums.sdks.iter().map(|(sdk, sum)| (&*sdk.sdk_type, *sum)).collect::<Vec<_>>(),
            [("type-a", 4), ("type-b", 2)]
        );
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let room = Arc::new(Room::new(2, MIB));
        let mut tally = BodyTally::kept(Arc::clone(&room), 1);
        read(body(&[("a", 1), ("b", 2), ("c", 4), ("a", 8)], &[("t", "")]).as_bytes(), &mut tally).unwrap();
        let sums = tally.into_sums();
        assert_eq!(sums.lost, Lost { evaluations: 4, targets: 1 });
        assert_eq!(sums.rows.iter().map(|(_, tally)| tally.count).sum::<u64>(), 11);
        assert_eq!(room.keys(), 0);
    }

    #[test]
    fn counting_keeps_nothing() {
        let mut tally = BodyTally::counted(1);
        read(body(&[("a", 1), ("b", 2)], &[("t", "")]).as_bytes(), &mut tally).unwrap();
        let sums = tally.into_sums();
        assert_eq!(sums.lost, Lost { evaluations: 3, targets: 1 });
        assert!(sums.rows.is_empty() && sums.targets.is_empty());
        assert_eq!(sums.sdks.len(), 2);
    }

    #[test]
    fn sdks_are_bounded() {
        let flags: Vec<String> = (0..100).map(|i| format!("f{i}")).collect();
        let rows: Vec<_> = flags.iter().map(|flag| (flag.as_str(), 1)).collect();
        let mut tally = BodyTally::counted(1);
        read(body(&rows, &[]).as_bytes(), &mut tally).unwrap();
        let sums = tally.into_sums();
        assert_eq!(sums.sdks.len(), MAX_SDKS);
        assert_eq!(sums.sdks.last(), Some(&(SdkLabels::other(), 37)));
        assert_eq!(sums.sdks.iter().map(|(_, sum)| sum).sum::<u64>(), 100);
    }
}
