//! Updates between relays, without a wire: followers end where their leader
//! is, whatever they had.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use prost::Message as _;

use ff_relay::evaluate::CompileOptions;
use ff_relay::model::json::Json;
use ff_relay::proto::snapshot::v1::environment_update::Change;
use ff_relay::snapshot::content::{Content, EnvironmentId};
use ff_relay::snapshot::item::{Digest, Item, ItemKind};
use ff_relay::snapshot::{Names, Snapshot};
use ff_relay::store::writer::{Offered, StoreWriter};
use ff_relay::store::{Store, StoreSettings};
use ff_relay::transfer::{Assembled, Update, update_for};

struct Relay {
    store: Store,
    writer: StoreWriter,
    now: i64,
}

fn id() -> EnvironmentId {
    EnvironmentId::new("e")
}

impl Relay {
    fn new() -> Self {
        let compile = CompileOptions {
            and_rules: true,
            regex_bytes_per_expression: 1 << 20,
            regex_bytes_per_environment: 1 << 24,
        };
        let (store, writer) = Store::new(StoreSettings { compile, max_targets: 10 });
        Relay { store, writer, now: 1_800_000_000 }
    }

    fn swap(&mut self, offered: Offered) -> Result<(), String> {
        self.now += 1;
        let offered = BTreeMap::from([(id(), offered)]);
        let prepared =
            self.writer.prepare(offered, BTreeSet::new(), self.now).map_err(|error| error.error.to_string())?;
        self.writer.commit(prepared);
        Ok(())
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.store.index().environment("e").and_then(|environment| environment.snapshot().clone())
    }

    /// Takes what a leader would send; `full` as after a nack. Returns the
    /// size of it.
    fn follow(&mut self, leader: &Snapshot, full: bool) -> Result<usize, String> {
        let mine = self.snapshot();
        let known = mine.as_ref().map(|snapshot| &snapshot.revision).filter(|_| !full);
        let payload = update_for(leader, &Names::default(), known).encode_to_vec();
        let base = mine.as_ref().map(|snapshot| (&snapshot.revision, &snapshot.content));
        let Assembled { content, leader, .. } = Update::read(&payload)?.assemble(base)?;
        self.swap(Offered { content, leader: Some(leader), ..Offered::default() })?;
        Ok(payload.len())
    }
}

fn content(flags: &[(u8, u8)], segments: &[(u8, u8)], targets: &[(u8, u8)], keys: &[u8]) -> Content {
    let item = |kind: ItemKind, name: u8, value: u8| {
        let text = match kind {
            ItemKind::Flag => format!(
                r#"{{"feature":"f{name}","kind":"string","state":"on","version":{value},"offVariation":"a","defaultServe":{{"variation":"a"}},"variations":[{{"identifier":"a","value":"v{value}"}}],"rules":[]}}"#
            ),
            _ => format!(r#"{{"identifier":"i{name}","name":"n{value}"}}"#),
        };
        Arc::new(Item::from_json(kind, &Json::parse(&text).unwrap()).unwrap())
    };
    let all = [(ItemKind::Flag, flags), (ItemKind::Segment, segments), (ItemKind::Target, targets)];
    let items = all.iter().flat_map(|(kind, list)| list.iter().map(|(name, value)| item(*kind, *name, *value)));
    let unique: BTreeMap<_, _> = items.map(|item| (item.key.clone(), item)).collect();
    Content::new(unique.into_values().collect(), keys.iter().map(|key| Digest::of(&[*key])).collect()).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Change(Vec<(u8, u8)>, Vec<(u8, u8)>, Vec<(u8, u8)>, Vec<u8>),
    /// Of the follower, then of the follower's follower.
    Follow(bool),
    FollowChain(bool),
    /// The leader begins another life, without its ledger.
    LeaderLosesAll,
    FollowerLosesAll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pairs = || prop::collection::vec((0..4_u8, 0..3_u8), 0..4);
    let change = (pairs(), pairs(), pairs(), prop::collection::vec(0..3_u8, 0..3))
        .prop_map(|(flags, segments, targets, keys)| Step::Change(flags, segments, targets, keys));
    let step = prop_oneof![
        4 => change,
        3 => any::<bool>().prop_map(Step::Follow),
        2 => any::<bool>().prop_map(Step::FollowChain),
        1 => Just(Step::LeaderLosesAll),
        1 => Just(Step::FollowerLosesAll),
    ];
    prop::collection::vec(step, 1..40)
}

fn served(snapshot: &Snapshot) -> BTreeMap<String, i64> {
    let all = snapshot.flags.iter().chain(&snapshot.segments);
    all.map(|item| (format!("{}{}", item.item.key.kind, item.item.identifier()), item.version)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn followers_end_where_their_leader_is_and_versions_rise(steps in steps()) {
        let [mut leader, mut follower, mut chained] = [Relay::new(), Relay::new(), Relay::new()];
        let mut last: [BTreeMap<String, (i64, Digest)>; 2] = Default::default();
        for step in steps.into_iter().chain([Step::Follow(false), Step::FollowChain(false)]) {
            match step {
                Step::Change(flags, segments, targets, keys) => {
                    let content = content(&flags, &segments, &targets, &keys);
                    leader.swap(Offered { content, ..Offered::default() }).unwrap();
                }
                Step::Follow(full) => if let Some(snapshot) = leader.snapshot() {
                    follower.follow(&snapshot, full).unwrap();
                    prop_assert_eq!(follower.snapshot().unwrap().revision, snapshot.revision);
                }
                Step::FollowChain(full) => if let Some(snapshot) = follower.snapshot() {
                    let behind = chained.snapshot().is_some_and(|mine| mine.revision.epoch == snapshot.revision.epoch
                        && mine.revision.sequence > snapshot.revision.sequence);
                    if !behind {
                        chained.follow(&snapshot, full).unwrap();
                        prop_assert_eq!(chained.snapshot().unwrap().revision, snapshot.revision);
                    }
                }
                Step::LeaderLosesAll => leader = Relay::new(),
                Step::FollowerLosesAll => {
                    (follower, last[0]) = (Relay::new(), BTreeMap::new());
                }
            }
            for (relay, last) in [&follower, &chained].into_iter().zip(&mut last) {
                let Some(snapshot) = relay.snapshot() else { continue };
                for (name, version) in served(&snapshot) {
                    let digest = snapshot.flags.iter().chain(&snapshot.segments)
                        .find(|item| format!("{}{}", item.item.key.kind, item.item.identifier()) == name)
                        .map(|item| item.item.digest).unwrap();
                    if let Some((before, known)) = last.insert(name, (version, digest)) {
                        prop_assert!(version >= before);
                        prop_assert!(version > before || known == digest, "other content, same version");
                    }
                }
            }
        }
    }
}

#[test]
fn one_change_costs_the_same_however_much_there_is() {
    let sizes = [10_u32, 4000].map(|count| {
        let (mut leader, mut follower) = (Relay::new(), Relay::new());
        let flags = |changed: u32| {
            let item = |i: u32| {
                let value = if i == changed { "other" } else { "value" };
                let text = format!(
                    r#"{{"feature":"flag{i:05}","kind":"string","state":"on","version":1,"offVariation":"a","defaultServe":{{"variation":"a"}},"variations":[{{"identifier":"a","value":"{value}"}}],"rules":[]}}"#
                );
                Arc::new(Item::from_json(ItemKind::Flag, &Json::parse(&text).unwrap()).unwrap())
            };
            Content::new((0..count).map(item).collect(), Vec::new()).unwrap()
        };
        leader.swap(Offered { content: flags(u32::MAX), ..Offered::default() }).unwrap();
        follower.follow(&leader.snapshot().unwrap(), false).unwrap();
        leader.swap(Offered { content: flags(5), ..Offered::default() }).unwrap();
        follower.follow(&leader.snapshot().unwrap(), false).unwrap()
    });
    assert!(sizes[0].abs_diff(sizes[1]) < 8, "{sizes:?}");
}

#[test]
fn a_delta_that_is_not_the_leaders_is_refused() {
    let (mut leader, mut follower) = (Relay::new(), Relay::new());
    leader.swap(Offered { content: content(&[(1, 1)], &[], &[], &[1]), ..Offered::default() }).unwrap();
    follower.follow(&leader.snapshot().unwrap(), false).unwrap();
    leader.swap(Offered { content: content(&[(1, 2)], &[], &[], &[1]), ..Offered::default() }).unwrap();
    let (mine, theirs) = (follower.snapshot().unwrap(), leader.snapshot().unwrap());
    let mut message = update_for(&theirs, &Names::default(), Some(&mine.revision));
    let Some(Change::Delta(delta)) = &mut message.change else { panic!("{message:?}") };
    delta.upserts[0].json = delta.upserts[0].json.iter().map(|b| if *b == b'2' { b'3' } else { *b }).collect();
    let update = Update::read(&message.encode_to_vec()).unwrap();
    let assembled = update.assemble(Some((&mine.revision, &mine.content))).unwrap();
    let offered = Offered { content: assembled.content, leader: Some(assembled.leader), ..Offered::default() };
    assert!(follower.swap(offered).unwrap_err().contains("digest"));
    assert_eq!(follower.snapshot().unwrap().revision, mine.revision);
    follower.follow(&theirs, false).unwrap();
}
