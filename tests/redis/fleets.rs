//! A primary, a stand-by and a replica on every kind of Redis: what they share arrives, whatever server ends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::fake_harness::FakeHarness;
use crate::fleet::{has_role, primary_options, process, replica_options, start};
use crate::redis_cluster::RedisCluster;
use crate::redis_sentinel::{MASTER, RedisSentinels};
use crate::redis_server::{Data, Kind, RedisServer, TestCertificate};
use crate::reports::arrives;
use crate::setup::{Sdk, health, one_environment, wait_ready, wait_within};
use crate::support::client::get;
use crate::support::configuration::{ENVIRONMENT, KEY, boolean, key_hash};
use crate::support::relay::TestRelay;

const MENDED: Duration = Duration::from_secs(60);

struct Fleet {
    fake: FakeHarness,
    relays: [TestRelay; 3],
}

impl Fleet {
    fn on(redis: &str, more: &[&str]) -> Self {
        let fake = one_environment();
        let first = start(&primary_options(&fake, redis, more));
        has_role(first.sdk, "LEADS");
        wait_ready(first.sdk);
        let second = start(&primary_options(&fake, redis, more));
        has_role(second.sdk, "STANDS_BY");
        let third = start(&replica_options(redis, more));
        wait_ready(second.sdk);
        wait_ready(third.sdk);
        Fleet { fake, relays: [first, second, third] }
    }

    fn sdks(&self) -> [Sdk; 3] {
        self.relays.each_ref().map(|relay| Sdk::connect(relay.sdk, KEY, ENVIRONMENT))
    }

    /// Changes and SDK metrics arrive.
    fn works(&self, round: i64) {
        let name = format!("new{round}");
        self.fake.create_flag(ENVIRONMENT, boolean(&name, true, 1));
        let version = self.fake.patch_flag(ENVIRONMENT, "a", |flag| flag["description"] = round.into());
        for sdk in self.sdks() {
            wait_within(MENDED, "a change", || (sdk.version("a") == version && sdk.version(&name) == 1).then_some(()));
            sdk.used(&name, 5);
        }
        arrives(&self.fake, &name, 15);
        for relay in &self.relays {
            wait_within(MENDED, "healthy", || (health(relay.sdk)["cacheStatus"] == "healthy").then_some(()));
        }
    }

    /// While something happens no relay serves an older state than before.
    fn never_older<T>(&self, happens: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for sdk in self.sdks() {
                let over = &over;
                scope.spawn(move || {
                    let mut before = 0;
                    while !over.load(Ordering::SeqCst) {
                        let version = sdk.version("a");
                        assert!(version >= before, "{} served {version} after {before}", sdk.relay);
                        before = version;
                        std::thread::park_timeout(Duration::from_millis(20));
                    }
                });
            }
            // A failure ends the watching, too.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(happens));
            over.store(true, Ordering::SeqCst);
            outcome.unwrap_or_else(|cause| std::panic::resume_unwind(cause))
        })
    }

    /// The Go proxies' keys say what is served. `read`: what a key holds.
    fn is_mirrored(&self, read: &dyn Fn(&str) -> Option<String>) {
        let sdk = &self.sdks()[2];
        let kinds = [("feature-config", "feature", sdk.flags()), ("segment", "identifier", sdk.segments())];
        for (kind, name, served) in kinds {
            wait_within(MENDED, &format!("the mirror of every {kind}"), || mirrors(read, (kind, name), &served));
        }
        let key = wait_within(MENDED, "the SDK key", || read(&format!("auth-key-{}", key_hash(KEY))));
        assert_eq!(key, format!("\"{ENVIRONMENT}\""));
        wait_within(MENDED, "the list of keys", || read(&format!("env-{ENVIRONMENT}-api-configs")));
    }
}

/// `None` while a key is not there or says something else.
fn mirrors(
    read: &dyn Fn(&str) -> Option<String>,
    (kind, name): (&str, &str),
    served: &BTreeMap<String, Value>,
) -> Option<()> {
    let text = read(&format!("env-{ENVIRONMENT}-{kind}s"))?;
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    let latest: String = serde_json::from_str(&read(&format!("env-{ENVIRONMENT}-{kind}s-latest"))?).unwrap();
    let hash: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let short = |item: &Value| (item[name].clone(), item["version"].clone(), item["description"].clone());
    let same = list.iter().map(short).eq(served.values().map(short));
    for item in &list {
        let single = read(&format!("env-{ENVIRONMENT}-{kind}-{}", item[name].as_str().unwrap()))?;
        (serde_json::from_str::<Value>(&single).unwrap() == *item).then_some(())?;
    }
    (same && hash == latest).then_some(())
}

fn truth() -> String {
    format!("ffrelay:{{{ENVIRONMENT}}}:truth")
}

fn sentinel_options(all: &RedisSentinels) -> (String, String) {
    (format!("--redis-address={}", all.addresses()), format!("--redis-sentinel-master={MASTER}"))
}

#[test]
fn a_failover_of_sentinels() {
    let mut all = RedisSentinels::start(None, false);
    let (address, master) = sentinel_options(&all);
    let fleet = Fleet::on(&address, &[&master]);
    fleet.works(1);
    fleet.is_mirrored(&|key| all.master.cli(&["GET", key]));
    let token: u64 = all.master.cli(&["HGET", &truth(), "token"]);
    fleet.never_older(|| {
        all.master.kill();
        crate::redis_server::eventually("another master", MENDED, || all.current() == all.replica.port());
        fleet.works(2);
        fleet.works(3);
    });
    fleet.is_mirrored(&|key| all.replica.cli(&["GET", key]));
    let leaders = fleet.relays.iter().filter(|relay| crate::fleet::role(relay.sdk) == "LEADS").count();
    let now: u64 = all.replica.cli(&["HGET", &truth(), "token"]);
    assert!(leaders == 1 && now >= token, "{leaders} lead, with {now} after {token}");
}

fn of_cluster(cluster: &RedisCluster, key: &str) -> Option<String> {
    let mut all = cluster.masters.iter().chain(&cluster.replicas);
    all.find_map(|server| server.ask::<Option<String>>(&["GET", key]).ok()?)
}

fn cluster_option(cluster: &RedisCluster) -> String {
    format!("--redis-address={}", cluster.addresses())
}

/// The place of the server that has this key.
fn holder(cluster: &RedisCluster, key: &str) -> usize {
    cluster.masters.iter().position(|master| master.ask::<bool>(&["EXISTS", key]) == Ok(true)).expect("nobody has it")
}

#[test]
fn a_clusters_replica_is_promoted() {
    let mut cluster = RedisCluster::start(true, &[]);
    let fleet = Fleet::on(&cluster_option(&cluster), &[]);
    fleet.works(1);
    fleet.is_mirrored(&|key| of_cluster(&cluster, key));
    // First whoever has the environment, then whoever has the lease, if that is another.
    let lost = [truth(), "ffrelay:{lease}".to_owned()].map(|key| holder(&cluster, &key));
    fleet.never_older(|| {
        cluster.masters[lost[0]].kill();
        fleet.works(2);
        cluster.masters[lost[0]].restart(Data::Kept);
        if lost[0] != lost[1] {
            cluster.masters[lost[1]].kill();
        }
        fleet.works(3);
    });
    fleet.is_mirrored(&|key| of_cluster(&cluster, key));
}

#[test]
fn a_clusters_servers_are_killed_and_started_again() {
    let mut cluster = RedisCluster::start(false, &[]);
    let fleet = Fleet::on(&cluster_option(&cluster), &[]);
    fleet.works(1);
    fleet.never_older(|| {
        for number in 0..3 {
            cluster.masters[number].kill();
            for sdk in fleet.sdks() {
                assert_eq!(sdk.flag("a").status, 200);
            }
            cluster.masters[number].restart(Data::Kept);
            fleet.works(2 + i64::try_from(number).unwrap());
        }
    });
    fleet.is_mirrored(&|key| of_cluster(&cluster, key));
}

#[test]
fn what_a_clusters_server_forgets_is_written_again() {
    let cluster = RedisCluster::start(false, &[]);
    let fleet = Fleet::on(&cluster_option(&cluster), &[]);
    fleet.works(1);
    fleet.never_older(|| {
        for (number, master) in cluster.masters.iter().enumerate() {
            master.cli::<()>(&["FLUSHALL"]);
            fleet.works(2 + i64::try_from(number).unwrap());
        }
    });
    wait_within(MENDED, "the environment", || {
        cluster.masters.iter().any(|master| master.ask::<bool>(&["EXISTS", &truth()]) == Ok(true)).then_some(())
    });
    wait_within(MENDED, "the list of environments", || {
        let live = |master: &RedisServer| {
            master.ask::<String>(&["HGET", "ffrelay:environments", ENVIRONMENT]).is_ok_and(|it| it == "live")
        };
        cluster.masters.iter().any(live).then_some(())
    });
    fleet.is_mirrored(&|key| of_cluster(&cluster, key));
    // A relay that starts now finds everything.
    let late = start(&replica_options(&cluster_option(&cluster), &[]));
    wait_ready(late.sdk);
    assert_eq!(Sdk::connect(late.sdk, KEY, ENVIRONMENT).flags(), fleet.sdks()[0].flags());
}

#[test]
fn tls_and_a_user_with_a_password_that_nobody_tells() {
    const PASSWORD: &str = "s3cret-w0rd-of-redis";
    let certificate = TestCertificate::new();
    let user = format!("user relay on >{PASSWORD} ~* &* +@all");
    let redis = RedisServer::start_with_tls(Kind::Server, &certificate, &[&user]);
    let address = format!("--redis-address=rediss://localhost:{}", redis.tls_port());
    let (password, bundle) =
        (format!("--redis-password={PASSWORD}"), format!("--ca-bundle={}", certificate.ca().display()));
    let more = ["--redis-username=relay", &password, &bundle, "--log-level=DEBUG"];
    let fleet = Fleet::on(&address, &more);
    fleet.works(1);
    fleet.is_mirrored(&|key| redis.cli(&["GET", key]));
    let spoken = process(&replica_options(&address, &more));
    // Away and back: this is when most is said.
    redis.cli::<()>(&["CLIENT", "KILL", "TYPE", "normal"]);
    fleet.works(2);
    redis.cli::<()>(&["ACL", "SETUSER", "relay", "resetpass", ">another-word"]);
    redis.cli::<()>(&["CLIENT", "KILL", "TYPE", "normal"]);
    wait_within(MENDED, "unhealthy", || (health(spoken.address())["cacheStatus"] == "unhealthy").then_some(()));
    for path in ["/health", "/metrics"] {
        assert!(!get(spoken.address(), path, &[]).text().contains(PASSWORD), "{path} tells the password");
    }
    redis.cli::<()>(&["ACL", "SETUSER", "relay", &format!(">{PASSWORD}")]);
    fleet.works(3);
    let log = spoken.log();
    assert!(log.contains("Redis") && !log.contains(PASSWORD), "{log}");
}
