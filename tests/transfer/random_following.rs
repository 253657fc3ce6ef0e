//! A leader, two followers and a follower's follower, with a proxy on each
//! link: random changes, cuts, flipped bits and restarts. When it is quiet
//! all are equal; meanwhile nobody served a state that the leader never had,
//! and no SDK was left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ff_relay::proto::admin::v1::ImportOptions;
use ff_relay::proto::inspect::v1::ListEnvironmentsRequest;
use ff_relay::proto::inspect::v1::inspect_service_client::InspectServiceClient;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::archives::{of, tree};
use crate::chaos_proxy::ChaosProxy;
use crate::following::revisions;
use crate::moving_sdk::MovingSdk;
use crate::place::Place;
use crate::sending::import;
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean, key_hash};
use crate::support::grpc::{runtime, with_token};
use crate::support::relay::TestRelay;
use crate::support::wait_for;

const STEPS: usize = 120;

/// Digests by environment.
type States = Arc<Mutex<BTreeSet<(String, Vec<u8>)>>>;
/// The configuration as it should be.
struct Model {
    configuration: Configuration,
    flags: BTreeMap<String, Value>,
    /// The digest of every state that ever was, by environment.
    states: States,
}

impl Model {
    fn new() -> Self {
        let configuration = Configuration::empty();
        configuration.write(ENVIRONMENT, "auth_config.json", &json!([key_hash(KEY)]));
        configuration.write(OTHER, "auth_config.json", &json!([key_hash(OTHER_KEY)]));
        let mut model = Model { configuration, flags: BTreeMap::new(), states: Arc::default() };
        for i in 0..200 {
            model.flags.insert(format!("still{i}"), flag(&format!("still{i}"), 0));
        }
        model
    }

    fn change(&mut self, random: &mut StdRng) {
        let name = format!("f{}", random.random_range(0..8));
        if random.random_bool(0.2) {
            self.flags.remove(&name);
        } else {
            let note = random.random();
            self.flags.insert(name.clone(), flag(&name, note));
        }
        if random.random_bool(0.1) {
            let targets: Vec<Value> = (0..random.random_range(0..5))
                .map(|i| json!({"identifier": format!("t{i}"), "n": random.random::<u8>()}))
                .collect();
            self.configuration.write(OTHER, "targets.json", &json!(targets));
        }
        if random.random_bool(0.1) {
            let other = key_hash(&random.random::<u8>().to_string());
            self.configuration.write(OTHER, "auth_config.json", &json!([key_hash(OTHER_KEY), other]));
        }
    }

    fn give(&self, leader: &TestRelay) {
        let flags: Vec<&Value> = self.flags.values().collect();
        self.configuration.write(ENVIRONMENT, "feature_config.json", &json!(flags));
        let tree = tree(self.configuration.path());
        for (id, content) in &tree.environments {
            self.states.lock().unwrap().insert((id.to_string(), content.digest().0.to_vec()));
        }
        import(leader, ImportOptions::default(), &of(&tree)).unwrap();
    }

    fn notes(&self) -> BTreeMap<String, Value> {
        self.flags.iter().map(|(name, flag)| (name.clone(), flag["note"].clone())).collect()
    }
}

/// The version says nothing: the relays have to see to that.
fn flag(name: &str, note: u32) -> Value {
    let mut flag = boolean(name, note.is_multiple_of(2), 1);
    flag["note"] = json!(note);
    flag
}

/// Looks all the time at what followers serve; gives what the leader never
/// had.
fn watch(
    followers: Vec<SocketAddr>,
    states: States,
    ended: Arc<AtomicBool>,
) -> thread::JoinHandle<(usize, Vec<String>)> {
    thread::spawn(move || {
        runtime().block_on(async {
            let (mut looks, mut strange) = (0, Vec::new());
            let clients: Vec<_> = followers
                .iter()
                .map(|address| Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy())
                .map(InspectServiceClient::new)
                .collect();
            while !ended.load(Ordering::SeqCst) {
                for client in &clients {
                    let request = with_token(ListEnvironmentsRequest::default(), "admin-token");
                    let Ok(answer) = client.clone().list_environments(request).await else { continue };
                    for environment in answer.into_inner().environments {
                        let Some(revision) = environment.revision else { continue };
                        looks += 1;
                        if !states.lock().unwrap().contains(&(environment.id.clone(), revision.digest)) {
                            strange.push(format!("{} at {}", environment.id, revision.sequence));
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            (looks, strange)
        })
    })
}

#[test]
fn whatever_breaks_all_end_equal_and_nobody_serves_what_never_was() {
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut model = Model::new();
    let mut places = vec![Place::head(&["--offline", "--event-repeat=500ms"])];
    model.give(places[0].relay());
    let head = places[0].grpc;
    let behind = |leader| Place::behind(leader, &["--event-repeat=500ms"]);
    places.push(behind(head));
    places.push(behind(head));
    let middle = places[1].grpc;
    places.push(behind(middle));
    let equal = |places: &[Place]| {
        let wanted = revisions(places[0].relay());
        places.iter().all(|place| revisions(place.relay()) == wanted)
    };
    wait_for("the first state everywhere", || equal(&places).then_some(()));

    let ended = Arc::new(AtomicBool::new(false));
    let followers = places[1..].iter().map(|place| place.grpc).collect();
    let watching = watch(followers, Arc::clone(&model.states), Arc::clone(&ended));
    let sdks: Vec<Arc<MovingSdk>> = (0..4)
        .map(|first| {
            let mut relays: Vec<SocketAddr> = places.iter().map(|place| place.sdk).collect();
            relays.rotate_left(first);
            MovingSdk::start(relays)
        })
        .collect();

    for _ in 0..STEPS {
        match random.random_range(0..20) {
            0 => {
                let which = random.random_range(0..places.len());
                places[which].restart();
            }
            1 | 2 => links(&places, &mut random).cut(),
            3 | 4 => links(&places, &mut random).corrupt(),
            5..=8 => sdks[random.random_range(0..sdks.len())].moves(),
            9 | 10 => places.iter().filter_map(|place| place.link.as_ref()).for_each(ChaosProxy::restore),
            _ => {
                model.change(&mut random);
                model.give(places[0].relay());
            }
        }
        thread::park_timeout(Duration::from_millis(random.random_range(0..150)));
    }

    places.iter().filter_map(|place| place.link.as_ref()).for_each(ChaosProxy::restore);
    model.change(&mut random);
    model.give(places[0].relay());
    wait_for("all to be equal", || equal(&places).then_some(()));
    let wanted = model.notes();
    for (index, sdk) in sdks.iter().enumerate() {
        wait_for(&format!("SDK {index} to hold what is served"), || (sdk.holds() == wanted).then_some(()));
    }
    ended.store(true, Ordering::SeqCst);
    let (looks, strange) = watching.join().unwrap();
    assert!(looks > 100, "{looks}");
    assert!(strange.is_empty(), "states that never were: {strange:?}");
    sdks.iter().for_each(|sdk| sdk.end());
}

fn links<'a>(places: &'a [Place], random: &mut StdRng) -> &'a ChaosProxy {
    places[random.random_range(1..places.len())].link.as_ref().unwrap()
}
