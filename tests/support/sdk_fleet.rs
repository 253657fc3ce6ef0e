//! Two relays that may lead and a replica share a Redis. It ends and comes back empty, the relay that leads is killed, and at last
//! SDKs are taken from the replica to the relay that leads now. SDKs must not notice more than the changes made meanwhile, and an
//! application that starts while something is away is served like any other. What they counted reaches Harness in full.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::chaos_proxy::ChaosProxy;
use crate::fake_harness::FakeHarness;
use crate::online_sample;
use crate::redis_server::{Data, RedisServer};
use crate::relay_process::RelayProcess;
use crate::sample_answers::{PRODUCTION, SERVER_KEY, flags, same, targets};
use crate::sdk_counts::{COUNTED, counted_in_full};
use crate::sdk_outcomes::Report;
use crate::sdk_process::{Question, Sdk, SdkProcess};
use crate::sdk_watch::{
    RECONNECTED_WITHIN, Watch, answers_as_the_sample_says, eventually, exclude, has_not_polled, one_stream_is_open,
    start_sdk,
};

/// Leases of 2 s and what a busy machine adds.
const ROLE_WITHIN: Duration = Duration::from_secs(20);
/// The poll interval of the relay that leads and what a busy machine adds.
const CHANGED_WITHIN: Duration = Duration::from_secs(20);
/// Far more than a script takes that Redis runs.
const NOTED_WITHIN: Duration = Duration::from_secs(10);
/// SDK metrics on their way to the relay that leads.
const WAITING: &str = "ffrelay:{usage}";
/// A flag that needs a group whose rule not every SDK understands.
const NOT_FOR_JAVA: &str = "partner-portal";

struct Fleet {
    // Ended in this order, so that the relays do not miss what they need.
    replica: RelayProcess,
    primaries: Vec<RelayProcess>,
    redis: RedisServer,
    fake: FakeHarness,
}

pub fn run(sdk: Sdk) -> Report {
    let mut fleet = Fleet::start();
    let proxy = ChaosProxy::to(fleet.replica.address());
    let mut ada = Watch { process: start_sdk(sdk, &proxy, &targets()[0]), report: Report::new() };
    knows_the_sample(sdk, &mut ada.process);
    let before = proxy.requests().len();
    fleet.fake.patch_flag(PRODUCTION, COUNTED, |flag| flag["defaultServe"]["variation"] = json!("none"));
    ada.sees("a changed flag", CHANGED_WITHIN, "number", COUNTED, &json!(0));

    let mut others = redis_loses_its_data(sdk, &mut fleet, &mut ada);
    others += the_leader_is_killed(sdk, &mut fleet, &mut ada);
    one_stream_is_open(&proxy);
    assert_eq!(proxy.made("GET /stream"), 1, "{} has opened its stream anew", sdk.name());
    has_not_polled(sdk, &proxy.requests().split_off(before));

    comes_to_the_leader(sdk, &fleet, &proxy, &mut ada);
    let asked = ada.process.asked(COUNTED) + others;
    ada.process.close();
    if sdk.sends_metrics_when_closed() {
        ada.report.push(counted_in_full(sdk, &fleet.fake, asked));
    }
    ada.report
}

/// Says how often another application, which ends before Redis is back, asked for the flag that is counted.
fn redis_loses_its_data(sdk: Sdk, fleet: &mut Fleet, ada: &mut Watch) -> i64 {
    let since = Instant::now();
    fleet.redis.kill();
    eventually(ROLE_WITHIN, "both ask Harness for themselves", || fleet.roles() == ["ALONE", "ALONE"]);
    fleet.fake.patch_segment(PRODUCTION, "premium-customers", |segment| exclude(segment, "ada"));
    let asked = another_application(sdk, fleet, "without Redis", &mut ada.report);
    knows(sdk, &mut ada.process, &[(COUNTED, json!(0))]);
    ada.report.push(format!("Redis was away for {:.1?}", since.elapsed()));

    fleet.redis.restart(Data::Dropped);
    ada.sees("a group changed without Redis", CHANGED_WITHIN, "number", "free-shipping-threshold", &json!(50));
    fleet.has_a_leader();
    if sdk.sends_metrics_when_closed() {
        ada.report.push(counted_in_full(sdk, &fleet.fake, asked));
        // What a leader that is killed has sent and not noted is sent again.
        eventually(NOTED_WITHIN, "the leader has noted it", || fleet.redis.cli::<u64>(&["XLEN", WAITING]) == 0);
    }
    asked
}

/// Says how often another application, which may end before anybody leads, asked for the flag that is counted.
fn the_leader_is_killed(sdk: Sdk, fleet: &mut Fleet, ada: &mut Watch) -> i64 {
    fleet.kill_the_leader();
    let since = Instant::now();
    fleet.fake.patch_flag(PRODUCTION, "theme", |flag| flag["rules"] = json!([]));
    let asked = another_application(sdk, fleet, "without a leader", &mut ada.report);
    ada.sees("a flag changed without a leader", CHANGED_WITHIN, "string", "theme", &json!("maple"));
    fleet.has_a_leader();
    ada.report.push(format!("the other relay leads, and the change was seen, within {:.1?}", since.elapsed()));
    asked
}

/// With the token that the replica gave out, unless the SDK asks for another.
fn comes_to_the_leader(sdk: Sdk, fleet: &Fleet, proxy: &ChaosProxy, ada: &mut Watch) {
    proxy.point_at(fleet.primaries[0].address());
    proxy.cut();
    fleet.fake.patch_flag(PRODUCTION, "greeting", |flag| flag["variationToTargetMap"] = json!([]));
    proxy.restore();
    ada.sees("a flag changed during the move", RECONNECTED_WITHIN, "string", "greeting", &json!("Welcome!"));
    eventually(RECONNECTED_WITHIN, "the stream is open again", || {
        proxy.made("GET /stream") > 1 && proxy.open("GET /stream") == 1
    });
    let changed = [
        (COUNTED, json!(0)),
        ("free-shipping-threshold", json!(50)),
        ("theme", json!("maple")),
        ("greeting", json!("Welcome!")),
    ];
    knows(sdk, &mut ada.process, &changed);
    fleet.fake.patch_flag(PRODUCTION, COUNTED, |flag| flag["defaultServe"]["variation"] = json!("spring"));
    ada.sees("a flag changed after the move", CHANGED_WITHIN, "number", COUNTED, &json!(2.5));
    ada.report.push(format!("requests for a token: {}", proxy.made("POST /client/auth")));
}

/// Starts at the replica, is served what that has, and ends. Says how often it asked for the flag that is counted.
fn another_application(sdk: Sdk, fleet: &Fleet, when: &str, report: &mut Report) -> i64 {
    let since = Instant::now();
    let proxy = ChaosProxy::to(fleet.replica.address());
    let mut process = start_sdk(sdk, &proxy, &targets()[0]);
    report.push(format!("another application {when}: ready after {:.1?}", since.elapsed()));
    let question = Question { flag: COUNTED, kind: "number", target: &targets()[0], default: json!(-1.0) };
    for _ in 0..7 {
        assert!(same(&process.variation(&question), &json!(0)), "{} started {when}", sdk.name());
    }
    let asked = process.asked(COUNTED);
    process.close();
    asked
}

/// A browser has the flags of one target; to become another it would open a new stream.
fn knows_the_sample(sdk: Sdk, process: &mut SdkProcess) {
    answers_as_the_sample_says(sdk, process, if sdk.is_client_side() { 1 } else { targets().len() });
}

/// For `ada`, what the sample says but for these.
fn knows(sdk: Sdk, process: &mut SdkProcess, changed: &[(&str, Value)]) {
    for sample in flags().iter().filter(|sample| sdk != Sdk::Java || sample.flag != NOT_FOR_JAVA) {
        let question =
            Question { flag: sample.flag, kind: sample.kind, target: &targets()[0], default: sample.default(0) };
        let value = process.variation(&question);
        let other = changed.iter().find(|(flag, _)| *flag == sample.flag).map(|(_, value)| value);
        let expected = other.unwrap_or(&sample.values[0]);
        assert!(same(&value, expected), "{}: {} is {value}, not {expected}", sdk.name(), sample.flag);
    }
}

impl Fleet {
    fn start() -> Self {
        let fake = online_sample::harness();
        let redis = RedisServer::start(&[]);
        let shared = [format!("--redis-address={}", redis.address()), "--redis-lease=2s".to_owned()];
        let primary = || online_sample::relay([fake.api_key_options(&[SERVER_KEY]), shared.to_vec()].concat());
        let primaries = vec![primary(), primary()];
        let replica = online_sample::relay([vec!["--read-replica".to_owned()], shared.to_vec()].concat());
        let fleet = Self { replica, primaries, redis, fake };
        fleet.has_a_leader();
        fleet
    }

    fn roles(&self) -> Vec<String> {
        self.primaries.iter().map(role).collect()
    }

    fn leads(&self) -> Option<usize> {
        self.roles().iter().position(|role| role == "LEADS")
    }

    /// Nobody else asks Harness then.
    fn has_a_leader(&self) {
        let mut others = vec!["STANDS_BY"; self.primaries.len() - 1];
        others.insert(0, "LEADS");
        eventually(ROLE_WITHIN, "one leads, the others stand by", || {
            let mut roles = self.roles();
            roles.sort();
            roles == others && role(&self.replica) == "REPLICA"
        });
    }

    /// With SIGKILL.
    fn kill_the_leader(&mut self) {
        let leader = self.leads().expect("nobody leads");
        drop(self.primaries.remove(leader));
    }
}

fn role(relay: &RelayProcess) -> String {
    let answer = relay.get("/health").map(|answer| answer.body).unwrap_or_default();
    let health: Value = serde_json::from_str(&answer).unwrap_or_default();
    health["redis"]["role"].as_str().unwrap_or_default().to_owned()
}
