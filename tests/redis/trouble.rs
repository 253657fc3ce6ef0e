//! Redis in trouble: SDKs get their answers from memory, health tells the
//! truth at once, and everything is written back.

use std::time::{Duration, Instant};

use crate::fake_harness::FakeHarness;
use crate::fleet::{address, has_role, primary, primary_options, redis_health, replica, role, start};
use crate::redis_server::{Data, RedisServer};
use crate::setup::{Sdk, health, one_environment, turn_off, wait_ready, wait_within};
use crate::support::configuration::{ENVIRONMENT, KEY};
use crate::support::relay::TestRelay;

const NOTICED: Duration = Duration::from_secs(15);
const MENDED: Duration = Duration::from_secs(30);

struct Fleet {
    fake: FakeHarness,
    redis: RedisServer,
    first: TestRelay,
    second: TestRelay,
}

fn fleet(lines: &[&str]) -> Fleet {
    let (fake, redis) = (one_environment(), RedisServer::start(lines));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let second = replica(&redis, &[]);
    wait_ready(second.sdk);
    Fleet { fake, redis, first, second }
}

impl Fleet {
    fn sdks(&self) -> [Sdk; 2] {
        [self.first.sdk, self.second.sdk].map(|relay| Sdk::connect(relay, KEY, ENVIRONMENT))
    }

    fn notices(&self) {
        for relay in [self.first.sdk, self.second.sdk] {
            wait_within(NOTICED, "unhealthy in health", || (health(relay)["cacheStatus"] == "unhealthy").then_some(()));
        }
    }

    fn recovers(&self) {
        for relay in [self.first.sdk, self.second.sdk] {
            wait_within(MENDED, "healthy again", || (health(relay)["cacheStatus"] == "healthy").then_some(()));
        }
        let version = self.fake.patch_flag(ENVIRONMENT, "a", turn_off);
        for sdk in self.sdks() {
            wait_within(MENDED, "a change after the trouble", || (sdk.version("a") == version).then_some(()));
        }
    }

    /// Answers come as fast as ever, and probes wait for nothing.
    fn serves(&self) {
        for sdk in self.sdks() {
            let since = Instant::now();
            assert_eq!(sdk.flag("a").status, 200);
            assert_eq!(crate::support::client::get(sdk.relay, "/readyz", &[]).status, 200);
            let _ = health(sdk.relay);
            assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
        }
    }
}

#[test]
fn killed_and_back_without_its_data() {
    let mut fleet = fleet(&[]);
    fleet.redis.kill();
    fleet.notices();
    fleet.serves();
    // The primary goes on with Harness meanwhile.
    let version = fleet.fake.patch_flag(ENVIRONMENT, "a", turn_off);
    let [at_first, at_second] = fleet.sdks();
    at_first.wait_for_version("a", version);
    fleet.redis.restart(Data::Dropped);
    wait_within(MENDED, "the change at the replica", || (at_second.version("a") == version).then_some(()));
    fleet.recovers();
}

#[test]
fn paused_and_resumed() {
    let fleet = fleet(&[]);
    fleet.redis.pause();
    fleet.notices();
    fleet.serves();
    let version = fleet.fake.patch_flag(ENVIRONMENT, "a", turn_off);
    let [at_first, at_second] = fleet.sdks();
    at_first.wait_for_version("a", version);
    fleet.redis.resume();
    wait_within(MENDED, "the change at the replica", || (at_second.version("a") == version).then_some(()));
    fleet.recovers();
}

#[test]
fn flushed() {
    let fleet = fleet(&[]);
    let count = || fleet.redis.cli::<u64>(&["DBSIZE"]);
    let before = count();
    fleet.redis.cli::<()>(&["FLUSHALL"]);
    fleet.serves();
    wait_within(MENDED, "everything written back", || {
        fleet.serves();
        let truth: bool = fleet.redis.cli(&["EXISTS", &format!("ffrelay:{{{ENVIRONMENT}}}:truth")]);
        let mirror: bool = fleet.redis.cli(&["EXISTS", &format!("env-{ENVIRONMENT}-feature-configs")]);
        let secret: bool = fleet.redis.cli(&["EXISTS", "ffrelay:{auth}:secret"]);
        (truth && mirror && secret && count() + 8 >= before).then_some(())
    });
    fleet.recovers();
}

#[test]
fn read_only() {
    let fleet = fleet(&[]);
    // As a master that was demoted.
    fleet.redis.cli::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    wait_within(NOTICED, "unhealthy in health", || {
        (health(fleet.first.sdk)["cacheStatus"] == "unhealthy").then_some(())
    });
    fleet.serves();
    fleet.redis.cli::<()>(&["REPLICAOF", "NO", "ONE"]);
    fleet.recovers();
}

#[test]
fn out_of_memory() {
    let fleet = fleet(&["maxmemory-policy noeviction"]);
    fleet.redis.cli::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let version = fleet.fake.patch_flag(ENVIRONMENT, "a", turn_off);
    let [at_first, _] = fleet.sdks();
    at_first.wait_for_version("a", version);
    wait_within(NOTICED, "unhealthy in health", || {
        (health(fleet.first.sdk)["cacheStatus"] == "unhealthy").then_some(())
    });
    assert!(
        redis_health(fleet.first.sdk)["error"].as_str().unwrap().contains("OOM"),
        "{}",
        redis_health(fleet.first.sdk)
    );
    assert_eq!(role(fleet.first.sdk), "LEADS", "a full Redis takes no lease away");
    fleet.serves();
    fleet.redis.cli::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    fleet.recovers();
}

#[test]
fn another_password_and_the_old_one_again() {
    let fleet = fleet(&[]);
    fleet.redis.cli::<()>(&["CONFIG", "SET", "requirepass", "other"]);
    let other = |command: &[&str]| fleet.redis.cli_as("other", command);
    other(&["CLIENT", "KILL", "TYPE", "normal"]);
    fleet.notices();
    fleet.serves();
    wait_within(NOTICED, "the reason", || {
        redis_health(fleet.first.sdk)["error"].as_str()?.contains("NOAUTH").then_some(())
    });
    other(&["CONFIG", "SET", "requirepass", ""]);
    fleet.recovers();
}

#[test]
fn down_at_the_start() {
    let fake = one_environment();
    let mut redis = RedisServer::start(&[]);
    redis.kill();
    let first = primary(&fake, &redis, &[]);
    wait_ready(first.sdk);
    has_role(first.sdk, "ALONE");
    let second = replica(&redis, &[]);
    assert_eq!(crate::support::client::get(second.sdk, "/readyz", &[]).status, 503, "with neither it is not ready");
    redis.restart(Data::Dropped);
    has_role(first.sdk, "LEADS");
    wait_ready(second.sdk);
    Fleet { fake, redis, first, second }.recovers();
}

#[test]
fn a_replica_with_a_data_directory_starts_without_redis() {
    let (fake, mut redis) = (one_environment(), RedisServer::start(&[]));
    let first = primary(&fake, &redis, &[]);
    has_role(first.sdk, "LEADS");
    let data = tempfile::tempdir().unwrap();
    let option = format!("--data-dir={}", data.path().display());
    let second = replica(&redis, &[&option]);
    wait_ready(second.sdk);
    second.stop();
    redis.kill();
    let second = replica(&redis, &[&option]);
    wait_ready(second.sdk);
    assert_eq!(Sdk::connect(second.sdk, KEY, ENVIRONMENT).flag("a").status, 200);
    redis.restart(Data::Dropped);
    Fleet { fake, redis, first, second }.recovers();
}

#[test]
fn behind_a_bad_link() {
    let (fake, redis) = (one_environment(), RedisServer::start(&[]));
    let link = crate::chaos_proxy::ChaosProxy::to(redis.address());
    let first = start(&primary_options(&fake, &format!("--redis-address={}", link.address()), &[]));
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let second = replica(&redis, &[]);
    wait_ready(second.sdk);
    let sdk = Sdk::connect(second.sdk, KEY, ENVIRONMENT);
    for _ in 0..3 {
        link.cut();
        let version = fake.patch_flag(ENVIRONMENT, "a", turn_off);
        Sdk::connect(first.sdk, KEY, ENVIRONMENT).wait_for_version("a", version);
        link.restore();
        wait_within(MENDED, "the change behind the cut", || (sdk.version("a") == version).then_some(()));
    }
}

#[test]
fn what_cannot_work_is_refused_at_the_start() {
    let fake = one_environment();
    let redis = RedisServer::start(&["requirepass secret-word"]);
    let refusal = |more: &[&str]| {
        let options = primary_options(&fake, &address(&redis), more);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        match TestRelay::start(&options) {
            Ok(_) => panic!("it started"),
            Err(error) => error.to_string(),
        }
    };
    let text = refusal(&["--redis-password=wrong-word"]);
    assert!(text.contains("password is wrong") && !text.contains("wrong-word"), "{text}");
    assert!(refusal(&[]).contains("NOAUTH"));
    redis.cli::<()>(&["ACL", "SETUSER", "half", "on", ">half-word", "~*", "+@read", "+ping"]);
    let text = refusal(&["--redis-username=half", "--redis-password=half-word"]);
    assert!(text.contains("NOPERM") && text.contains("SET"), "{text}");
    redis.cli::<()>(&["ACL", "SETUSER", "own", "on", ">own-word", "~ffrelay:*", "+@all"]);
    let text = refusal(&["--redis-username=own", "--redis-password=own-word"]);
    assert!(text.contains("NOPERM") && text.contains("env-*"), "{text}");
    let text = refusal(&["--redis-password=secret-word", "--redis-db=99"]);
    assert!(text.contains("DB index"), "{text}");
}

#[test]
fn a_question_that_redis_does_not_take_is_not_asked_without_end() {
    let fleet = fleet(&["maxmemory-policy noeviction"]);
    fleet.redis.cli::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    fleet.redis.cli::<()>(&["CONFIG", "RESETSTAT"]);
    let status = crate::setup::authenticate(fleet.second.sdk, "nobody's").status;
    assert_eq!(status, 500, "nobody could be asked");
    let stats: String = fleet.redis.cli(&["INFO", "commandstats"]);
    let xadd = stats.lines().find(|line| line.starts_with("cmdstat_xadd")).unwrap_or_default();
    let number = |name: &str| {
        xadd.split([':', ',']).find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse::<u32>().ok())
    };
    assert!(number("rejected_calls").unwrap() < 100, "{xadd}");
    fleet.redis.cli::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    fleet.recovers();
}
