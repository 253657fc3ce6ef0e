//! A model that changes at random under faults at random: in the end the relay's answers are the model's, every SDK was led to
//! them by its stream alone, and no version that was served ever went down.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use crate::fake_harness::changes::Kind;
use crate::fake_harness::{FakeHarness, Fault, Route};
use crate::follower::{Follower, difference, version_of};
use crate::setup::{PROXY_KEY, Sdk, authenticate, segment, start, two_environments, wait_ready};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean};

const STEPS: usize = 150;
const LIMIT: Duration = Duration::from_secs(120);
const OPTIONS: [&str; 3] = ["--flag-poll-interval=300ms", "--request-timeout=1s", "--key-refresh-interval=1s"];

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

/// A story of its own: which credential, and whether the relay is restarted in between.
struct Story {
    name: &'static str,
    proxied: bool,
    restarts: bool,
}

fn run(story: &Story) {
    let Story { name, proxied, restarts } = *story;
    let given = std::env::var("RANDOM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random::<u64>);
    eprintln!("{name}: RANDOM_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let fake = two_environments();
    fake.set_proxy_key(PROXY_KEY);
    let mut options = if proxied { fake.proxy_key_options(PROXY_KEY) } else { fake.api_key_options(&[KEY, OTHER_KEY]) };
    let data = tempfile::tempdir().unwrap();
    if restarts {
        // SDKs find it again where it was.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        options.extend([format!("--data-dir={}", data.path().display()), format!("--port={}", free.port())]);
    }
    let mut relay = start(&options, &OPTIONS);
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
        if restarts && step % 40 == 20 {
            drop(relay);
            change(&fake, &mut random);
            relay = start(&options, &OPTIONS);
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
    run(&Story { name: "with_api_keys", proxied: false, restarts: false });
}

#[test]
fn with_a_proxy_key() {
    run(&Story { name: "with_a_proxy_key", proxied: true, restarts: false });
}

#[test]
fn with_api_keys_and_restarts() {
    run(&Story { name: "with_api_keys_and_restarts", proxied: false, restarts: true });
}

#[test]
fn with_a_proxy_key_and_restarts() {
    run(&Story { name: "with_a_proxy_key_and_restarts", proxied: true, restarts: true });
}
