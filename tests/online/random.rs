//! A model that changes at random under faults at random: in the end the relay's answers are the model's, every SDK was led to
//! them by its stream alone, and no version that was served ever went down.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::fake_harness::changes::Kind;
use crate::fake_harness::{FakeHarness, Fault, Route, lock};
use crate::setup::{PROXY_KEY, Sdk, authenticate, proxy_relay, relay_for, segment, two_environments, wait_ready};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean};
use crate::support::events::Events;

const STEPS: usize = 150;
const LIMIT: Duration = Duration::from_secs(120);
const OPTIONS: [&str; 3] = ["--flag-poll-interval=300ms", "--request-timeout=1s", "--key-refresh-interval=1s"];

/// What an SDK of Go's kind does: fetches everything once, then follows its stream, and after a cut only its stream.
struct Follower {
    sdk: Sdk,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    items: BTreeMap<(&'static str, String), Value>,
    /// The highest version ever seen of each.
    versions: BTreeMap<(&'static str, String), i64>,
    stream: Option<TcpStream>,
    ended: bool,
    went_down: Vec<String>,
}

impl Follower {
    fn start(sdk: Sdk) -> Arc<Self> {
        let follower = Arc::new(Follower { sdk, state: Mutex::default() });
        for (kind, items) in [("flag", follower.sdk.flags()), ("target-segment", follower.sdk.segments())] {
            items.into_iter().for_each(|(name, item)| follower.take(kind, &name, Some(item)));
        }
        let following = Arc::clone(&follower);
        thread::spawn(move || following.follow());
        follower
    }

    fn follow(&self) {
        while !lock(&self.state).ended {
            let mut events = Events::ask(self.sdk.relay, &self.sdk.key, &self.sdk.authorization, &[]);
            if events.reply.status != 200 {
                thread::park_timeout(Duration::from_millis(100));
                continue;
            }
            lock(&self.state).stream = events.connection.stream.get_ref().try_clone().ok();
            while let Some(event) = events.next() {
                self.hear(&event);
            }
        }
    }

    fn hear(&self, event: &Value) {
        let name = event["identifier"].as_str().unwrap();
        let (kind, route) = match event["domain"].as_str() {
            Some("flag") => ("flag", "feature-configs"),
            _ => ("target-segment", "target-segments"),
        };
        let told = event["version"].as_i64().unwrap();
        if event["event"] == "delete" {
            return self.take(kind, name, None);
        }
        let known = lock(&self.state).items.get(&(kind, name.to_owned())).map(version_of);
        if known.is_some_and(|known| known >= told) {
            return;
        }
        let reply = self.sdk.get(&format!("{route}/{name}?rules=v2"));
        if reply.status == 200 {
            self.take(kind, name, Some(reply.json()));
        }
    }

    fn take(&self, kind: &'static str, name: &str, item: Option<Value>) {
        let mut state = lock(&self.state);
        let key = (kind, name.to_owned());
        let Some(item) = item else {
            state.items.remove(&key);
            return;
        };
        let (new, old) = (version_of(&item), state.versions.get(&key).copied().unwrap_or(0));
        if new < old {
            state.went_down.push(format!("{kind} {name}: {old}, then {new}"));
        }
        state.versions.insert(key.clone(), new.max(old));
        state.items.insert(key, item);
    }

    fn cut(&self) {
        if let Some(stream) = &lock(&self.state).stream {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// What differs between what this SDK holds and what is there.
    fn difference(&self, fake: &FakeHarness) -> Vec<String> {
        let state = lock(&self.state);
        let of = |kind: &str| {
            state.items.iter().filter(|((k, _), _)| *k == kind).map(|((_, n), i)| (n.clone(), i.clone())).collect()
        };
        let mut all = difference("SDK: flag", &fake.flags(&self.sdk.environment), &of("flag"));
        all.extend(difference("SDK: segment", &fake.segments(&self.sdk.environment), &of("target-segment")));
        all
    }

    fn end(&self) -> Vec<String> {
        lock(&self.state).ended = true;
        self.cut();
        lock(&self.state).went_down.clone()
    }
}

fn version_of(item: &Value) -> i64 {
    item["version"].as_i64().unwrap()
}

/// Content must be equal; a served version may be above the model's.
fn difference(what: &str, model: &BTreeMap<String, Value>, served: &BTreeMap<String, Value>) -> Vec<String> {
    let mut all: Vec<String> =
        served.keys().filter(|n| !model.contains_key(*n)).map(|n| format!("{what} {n} is not gone")).collect();
    for (name, wanted) in model {
        let Some(item) = served.get(name) else {
            all.push(format!("{what} {name} is missing"));
            continue;
        };
        let same = wanted.as_object().unwrap().iter().all(|(field, value)| field == "version" || item[field] == *value);
        if !same || version_of(item) < version_of(wanted) {
            all.push(format!("{what} {name}: {item} instead of {wanted}"));
        }
    }
    all
}

/// One random change of the model.
fn change(fake: &FakeHarness, random: &mut StdRng) {
    let environment = *[ENVIRONMENT, OTHER].choose(random).unwrap();
    let kind = if random.random_bool(0.7) { Kind::Flag } else { Kind::Segment };
    let there = if kind == Kind::Flag { fake.flags(environment) } else { fake.segments(environment) };
    let name = format!("n{}", random.random_range(0..12));
    let number: u32 = random.random();
    let act = || match there.contains_key(&name) {
        false if kind == Kind::Flag => {
            let mut flag = boolean(&name, number.is_multiple_of(2), i64::from(number % 3) + 1);
            flag["note"] = json!(number);
            fake.create_flag(environment, flag);
        }
        false => fake.create_segment(environment, segment(&name, 1)),
        true if number.is_multiple_of(5) => fake.delete(environment, kind, &name),
        true => {
            fake.patch(environment, kind, &name, |item| {
                item["note"] = json!(number);
                // Sometimes content changes and the version does not.
                if number.is_multiple_of(7) {
                    item["version"] = json!(version_of(item) - 1);
                }
            });
        }
    };
    if random.random_bool(0.8) { act() } else { fake.silently(act) }
}

/// One random thing that goes wrong.
fn trouble(fake: &FakeHarness, random: &mut StdRng) {
    const ROUTES: [Route; 9] = [
        Route::Auth,
        Route::ApiKeys,
        Route::Flags,
        Route::Flag,
        Route::Segments,
        Route::Segment,
        Route::Stream,
        Route::ProxyAuth,
        Route::ProxyConfig,
    ];
    let route = *ROUTES.choose(random).unwrap();
    let faults = [
        Fault::status(500),
        Fault::status(404),
        Fault::status(401),
        Fault::too_many(1),
        Fault::html(),
        Fault::body("[]"),
        Fault::body("{"),
        Fault::empty_list_with(500),
        Fault::Truncated,
        Fault::Reset(10),
        Fault::Hang,
        Fault::Delay(Duration::from_millis(200)),
    ];
    match random.random_range(0..10) {
        0 => fake.close_streams(),
        1 => fake.reset_streams(),
        2 => fake.expire_tokens(),
        3 => {
            let lagging = *[Route::Flag, Route::Flags, Route::Segment, Route::Segments].choose(random).unwrap();
            fake.lag(ENVIRONMENT, lagging, random.random_range(1..3));
        }
        4 => fake.send_raw(b"data: garbage\n\n"),
        5 => {
            fake.stop();
            fake.restart();
        }
        _ => {
            // An authentication that is refused is a key that is bad, and that is another story.
            let fault = match (route, faults.choose(random).unwrap().clone()) {
                (Route::Auth | Route::ProxyAuth | Route::ProxyConfig, Fault::Answer(401 | 404, ..)) => {
                    Fault::status(503)
                }
                (_, fault) => fault,
            };
            fake.fail(route).times(random.random_range(1..3)).with(fault);
        }
    }
}

fn run(name: &str, proxied: bool) {
    let seed = std::env::var("RANDOM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    eprintln!("{name}: RANDOM_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let fake = two_environments();
    let relay = if proxied {
        fake.set_proxy_key(PROXY_KEY);
        proxy_relay(&fake, &OPTIONS)
    } else {
        relay_for(&fake, &[KEY, OTHER_KEY], &OPTIONS)
    };
    wait_ready(relay.sdk);
    let connect = |(key, environment)| Follower::start(Sdk::connect(relay.sdk, key, environment));
    let followers: Vec<_> = [(KEY, ENVIRONMENT), (KEY, ENVIRONMENT), (OTHER_KEY, OTHER), (OTHER_KEY, OTHER)]
        .into_iter()
        .map(connect)
        .collect();
    for step in 0..STEPS {
        change(&fake, &mut random);
        if random.random_bool(0.25) {
            trouble(&fake, &mut random);
        }
        if random.random_bool(0.05) {
            // The first of each environment is never cut.
            followers.iter().skip(1).step_by(2).for_each(|follower| follower.cut());
        }
        if step % 50 == 25 {
            fake.add_key(ENVIRONMENT, &format!("client-{step}"), "Client");
        }
        thread::park_timeout(Duration::from_millis(random.random_range(0..60)));
    }
    fake.clear_faults();
    for environment in [ENVIRONMENT, OTHER] {
        for route in [Route::Flag, Route::Flags, Route::Segment, Route::Segments] {
            fake.lag(environment, route, 0);
        }
    }
    // What was changed silently is found by the fetch that follows a connection.
    fake.close_streams();
    let deadline = Instant::now() + LIMIT;
    loop {
        let mut left: Vec<String> = followers.iter().flat_map(|follower| follower.difference(&fake)).collect();
        for follower in followers.iter().step_by(2) {
            let sdk = &follower.sdk;
            left.extend(difference("relay: flag", &fake.flags(&sdk.environment), &sdk.flags()));
            left.extend(difference("relay: segment", &fake.segments(&sdk.environment), &sdk.segments()));
        }
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "RANDOM_SEED={seed}: {left:#?}");
        thread::park_timeout(Duration::from_millis(100));
    }
    for step in [25, 75, 125] {
        assert_eq!(authenticate(relay.sdk, &format!("client-{step}")).status, 200, "RANDOM_SEED={seed}");
    }
    let went_down: Vec<String> = followers.iter().flat_map(|follower| follower.end()).collect();
    assert!(went_down.is_empty(), "RANDOM_SEED={seed}: {went_down:#?}");
}

#[test]
fn with_api_keys() {
    run("with_api_keys", false);
}

#[test]
fn with_a_proxy_key() {
    run("with_a_proxy_key", true);
}
