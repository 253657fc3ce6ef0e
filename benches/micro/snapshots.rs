//! What the next snapshot costs, whole and in its parts.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::BytesCount;
use ff_relay::evaluate::CompileOptions;
use ff_relay::model::json::Json;
use ff_relay::snapshot::body::{Body, Row};
use ff_relay::snapshot::build::{Base, Input, build};
use ff_relay::snapshot::content::{Content, EnvironmentId};
use ff_relay::snapshot::item::{Digest, Item, ItemKey, ItemKind};
use ff_relay::snapshot::ledger::{ChangeKind, Ledger, Moment};
use ff_relay::snapshot::log::Message;
use ff_relay::snapshot::{Epoch, Snapshot};
use serde_json::{Value, json};

use super::data;

const NOW: i64 = 1_750_000_000;

pub fn item(kind: ItemKind, json: &Value) -> Arc<Item> {
    Arc::new(Item::from_json(kind, &Json::parse(&json.to_string()).unwrap()).unwrap())
}

pub fn content(flags: usize) -> Content {
    let id = data::environment(0);
    let flags = data::flags(&id, flags);
    let segments = data::segments(&id, data::SEGMENTS);
    let flags = flags.iter().map(|json| item(ItemKind::Flag, json));
    let segments = segments.iter().map(|json| item(ItemKind::Segment, json));
    Content::new(flags.chain(segments).collect(), vec![Digest::of(data::sdk_key(0).as_bytes())]).unwrap()
}

fn next(content: Content, base: Base<'_>) -> Option<Snapshot> {
    let input = Input {
        environment: EnvironmentId::new(&data::environment(0)),
        content,
        served: None,
        leader: None,
        credential: "none".into(),
        base,
        new_epoch: Epoch(2),
        now_unix_s: NOW,
        options: &CompileOptions::default(),
    };
    build(input).unwrap().map(|built| built.snapshot)
}

pub fn first(content: Content) -> Snapshot {
    let ledger = Ledger::default();
    next(content, Base::Ledger { epoch: Epoch(1), sequence: 0, ledger, followed: false }).unwrap()
}

/// The content with one flag in the middle changed.
fn changed(content: &Content) -> Content {
    let (mut content, at) = (content.clone(), content.flags.len() / 2);
    let mut flag = data::flag(&data::environment(0), at);
    flag["version"] = json!(1000);
    flag["state"] = json!("off");
    content.flags[at] = item(ItemKind::Flag, &flag);
    content
}

/// The first snapshot of an environment.
#[divan::bench(args = [30, 1000, 5000], sample_count = 10)]
fn first_snapshot(bencher: Bencher<'_, '_>, flags: usize) {
    let content = content(flags);
    bencher.with_inputs(|| content.clone()).bench_values(first);
}

/// One flag changed: what differs, ledger, compiled form, bodies, logs.
#[divan::bench(args = [30, 1000, 5000], sample_count = 50)]
fn one_flag_changed(bencher: Bencher<'_, '_>, flags: usize) {
    let before = first(content(flags));
    let after = changed(&before.content);
    bencher.with_inputs(|| after.clone()).bench_values(|content| next(content, Base::Snapshot(&before)));
}

/// Content that was read anew and differs in one flag: nothing is shared yet.
#[divan::bench(args = [5000], sample_count = 20)]
fn one_flag_changed_read_anew(bencher: Bencher<'_, '_>, flags: usize) {
    let before = first(content(flags));
    let after = changed(&content(flags));
    bencher.with_inputs(|| after.clone()).bench_values(|content| next(content, Base::Snapshot(&before)));
}

/// The same content once more: nothing to do, as the digest says.
#[divan::bench(args = [1000, 5000])]
fn nothing_changed(bencher: Bencher<'_, '_>, flags: usize) {
    let before = first(content(flags));
    bencher
        .with_inputs(|| before.content.clone())
        .bench_values(|content| next(content, Base::Snapshot(&before)).is_none());
}

/// From the JSON of a list to items with their digests.
#[divan::bench(args = [1000], sample_count = 20)]
fn read_items(bencher: Bencher<'_, '_>, flags: usize) {
    let texts: Vec<String> = data::flags("bench", flags).iter().map(Value::to_string).collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    bencher.counter(BytesCount::new(bytes)).bench(|| {
        let item = |text: &String| Item::from_json(ItemKind::Flag, &Json::parse(text).unwrap()).unwrap();
        texts.iter().map(item).collect::<Vec<_>>()
    });
}

#[divan::bench(args = [1000, 5000])]
fn digest(bencher: Bencher<'_, '_>, flags: usize) {
    let content = content(flags);
    bencher.bench(|| content.digest());
}

/// What the ledger says of one changed flag.
#[divan::bench(args = [1000, 5000])]
fn ledger(bencher: Bencher<'_, '_>, flags: usize) {
    let before = first(content(flags));
    let after = changed(&before.content);
    let now = Moment { unix_s: NOW, sequence: 2 };
    bencher.with_inputs(|| before.ledger.clone()).bench_refs(|ledger| ledger.apply(&after, now));
}

fn rows(snapshot: &Snapshot) -> Vec<Row<'_>> {
    snapshot.flags.iter().map(|served| Row { cut: served.item.cut, json: &served.json }).collect()
}

/// The list of all flags, plain and compressed, with nothing to take over.
#[divan::bench(args = [10, 1000, 5000], sample_count = 10)]
fn bodies(bencher: Bencher<'_, '_>, flags: usize) {
    let snapshot = first(content(flags));
    let rows = rows(&snapshot);
    bencher.bench(|| Body::build(&rows, None).unwrap());
}

/// The same with the bodies of before, in which one flag differs.
#[divan::bench(args = [1000, 5000])]
fn bodies_again(bencher: Bencher<'_, '_>, flags: usize) {
    let before = first(content(flags));
    let after = next(changed(&before.content), Base::Snapshot(&before)).unwrap();
    let rows = rows(&after);
    bencher.bench(|| Body::build(&rows, Some(&before.flags_body)).unwrap());
}

/// One change as streams send it.
#[divan::bench]
fn encode_event(bencher: Bencher<'_, '_>) {
    let environment = EnvironmentId::new("6f1c8a52-7d0e-4b6f-9a41-2c5e8d7b6a10");
    let key = ItemKey { kind: ItemKind::Flag, identifier: "flag_00007".into() };
    bencher.bench(|| Message::change(&environment, &key, ChangeKind::Patch, 17));
}
