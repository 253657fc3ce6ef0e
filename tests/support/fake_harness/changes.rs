//! Changing flags and segments, each change with its message unless made silently.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::environments::found;
use super::world::Content;
use super::{FakeHarness, lock};

/// Flags or segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Flag,
    Segment,
}

impl Kind {
    pub fn domain(self) -> &'static str {
        match self {
            Kind::Flag => "flag",
            Kind::Segment => "target-segment",
        }
    }

    fn name_field(self) -> &'static str {
        match self {
            Kind::Flag => "feature",
            Kind::Segment => "identifier",
        }
    }

    fn of(self, content: &mut Content) -> &mut BTreeMap<String, Value> {
        match self {
            Kind::Flag => &mut content.flags,
            Kind::Segment => &mut content.segments,
        }
    }
}

impl FakeHarness {
    pub fn create_flag(&self, environment: &str, flag: Value) {
        self.create(environment, Kind::Flag, flag);
    }

    pub fn create_segment(&self, environment: &str, segment: Value) {
        self.create(environment, Kind::Segment, segment);
    }

    /// Edits a flag; its version goes up by one, unless the edit says otherwise, and is given back.
    pub fn patch_flag(&self, environment: &str, flag: &str, edit: impl FnOnce(&mut Value)) -> i64 {
        self.patch(environment, Kind::Flag, flag, edit)
    }

    pub fn patch_segment(&self, environment: &str, segment: &str, edit: impl FnOnce(&mut Value)) -> i64 {
        self.patch(environment, Kind::Segment, segment, edit)
    }

    pub fn delete_flag(&self, environment: &str, flag: &str) {
        self.delete(environment, Kind::Flag, flag);
    }

    pub fn delete_segment(&self, environment: &str, segment: &str) {
        self.delete(environment, Kind::Segment, segment);
    }

    /// The flags as they are, by name.
    pub fn flags(&self, environment: &str) -> BTreeMap<String, Value> {
        self.world(|world| found(world, environment).content.flags.clone())
    }

    pub fn segments(&self, environment: &str) -> BTreeMap<String, Value> {
        self.world(|world| found(world, environment).content.segments.clone())
    }

    pub fn create(&self, environment: &str, kind: Kind, item: Value) {
        let name = item[kind.name_field()].as_str().unwrap_or_else(|| panic!("no name in {item}")).to_owned();
        self.change(environment, kind, &name, "create", |items| {
            let version = item["version"].as_i64().unwrap_or(1);
            items.insert(name.clone(), item);
            version
        });
    }

    pub fn patch(&self, environment: &str, kind: Kind, name: &str, edit: impl FnOnce(&mut Value)) -> i64 {
        self.change(environment, kind, name, "patch", |items| {
            let item = items.get_mut(name).unwrap_or_else(|| panic!("no {name}"));
            item["version"] = json!(item["version"].as_i64().unwrap_or(1) + 1);
            edit(item);
            item["version"].as_i64().unwrap_or(1)
        })
    }

    pub fn delete(&self, environment: &str, kind: Kind, name: &str) {
        self.change(environment, kind, name, "delete", |items| {
            let item = items.remove(name).unwrap_or_else(|| panic!("no {name}"));
            item["version"].as_i64().unwrap_or(1)
        });
    }

    /// Change and message are one step: messages go out in the order of the changes, and never before them.
    fn change(
        &self,
        environment: &str,
        kind: Kind,
        name: &str,
        event: &str,
        change: impl FnOnce(&mut BTreeMap<String, Value>) -> i64,
    ) -> i64 {
        let mut world = lock(&self.shared.world);
        let version = change(kind.of(&mut found(&mut world, environment).content));
        if self.announces() {
            let message = json!({"event": event, "domain": kind.domain(), "identifier": name, "version": version});
            self.shared.streams.tell(environment, &message);
        }
        version
    }

    pub(super) fn announces(&self) -> bool {
        self.shared.switches.announcing.load(Ordering::SeqCst)
    }
}
