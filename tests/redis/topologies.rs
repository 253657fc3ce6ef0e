//! Sentinel and Cluster: servers are lost, writes go on.

use std::time::{Duration, Instant};

use ff_relay::source::redis::link::{Failure, Script};
use redis::Value;

use crate::options::{get, link, link_trusting, options, sentinel_options, set, set_in_time, with_password};
use crate::redis_cluster::RedisCluster;
use crate::redis_sentinel::RedisSentinels;
use crate::redis_server::{RedisServer, TestCertificate};

const FAILOVER_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_name_the_new_master() {
    let mut all = RedisSentinels::start(Some("s3cret-word"), true);
    let link = link(&with_password(sentinel_options(&all.addresses()), "s3cret-word"));
    assert!(link.name().starts_with("sentinel master ours at 127.0.0.1:"), "{}", link.name());
    let mut waiting = link.blocking().await.unwrap();
    set(&link, "a", "1").await.unwrap();
    let old = all.current();
    all.master.kill();
    set_in_time(&link, "a", "2", FAILOVER_WITHIN).await;
    assert_ne!(all.current(), old);
    assert_eq!(all.replica.cli::<String>(&["GET", "a"]), "2");
    let read: String = waiting.call(redis::cmd("GET").arg("a"), Duration::from_secs(2)).await.unwrap();
    assert_eq!(read, "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_without_the_password() {
    let mut all = RedisSentinels::start(Some("s3cret-word"), false);
    let options = with_password(sentinel_options(&all.addresses()), "s3cret-word");
    set(&link(&options), "a", "1").await.unwrap();
    // Any of them will do.
    all.sentinels[0].kill();
    set(&link(&options), "a", "2").await.unwrap();

    let failed = set(&link(&with_password(options.clone(), "wr0ng-word")), "a", "3").await;
    let Err(Failure::Refused(text)) = failed else { panic!("{failed:?}") };
    assert!(text.contains("redis-password") && !text.contains("wr0ng-word"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demoted_master_is_left() {
    let all = RedisSentinels::start(None, false);
    let link = link(&sentinel_options(&all.addresses()));
    set(&link, "a", "1").await.unwrap();
    all.sentinels[0].cli::<()>(&["SENTINEL", "FAILOVER", crate::redis_sentinel::MASTER]);
    crate::redis_server::eventually("the replica is promoted", FAILOVER_WITHIN, || {
        all.replica.cli::<String>(&["INFO", "replication"]).contains("role:master")
    });
    set_in_time(&link, "b", "2", FAILOVER_WITHIN).await;
    crate::redis_server::eventually("the old master copies", FAILOVER_WITHIN, || {
        all.master.cli::<String>(&["INFO", "replication"]).contains("master_link_status:up")
    });
    set_in_time(&link, "c", "3", FAILOVER_WITHIN).await;
    assert_eq!(all.replica.cli::<String>(&["GET", "c"]), "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_servers_are_no_sentinels() {
    let server = RedisServer::start(&[]);
    let failed = set(&link(&sentinel_options(&server.address().to_string())), "a", "1").await;
    let Err(Failure::Refused(text)) = failed else { panic!("{failed:?}") };
    assert!(text.contains("redis-address"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_all_slots_and_a_lost_master() {
    let mut cluster = RedisCluster::start(true, &[]);
    let link = link(&options(&cluster.addresses()));
    assert!(link.is_cluster() && link.name().starts_with("cluster 127.0.0.1:"), "{}", link.name());
    for number in 0..300 {
        set(&link, &format!("k{number}"), "1").await.unwrap();
    }
    for master in &cluster.masters {
        assert!(master.cli::<u32>(&["DBSIZE"]) > 50);
    }
    let script = Script::new("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])");
    for key in ["{a}", "{b}", "{c}", "{d}"] {
        let answer: String = link.script(&script, &[key], &[b"x".to_vec()]).await.unwrap();
        assert_eq!(answer, "x");
    }
    // Two slots in one script.
    let failed: Result<Value, Failure> = link.script(&script, &["{a}", "{b}"], &[b"x".to_vec()]).await;
    assert!(matches!(failed, Err(Failure::Wrong(_))), "{failed:?}");

    let mut waiting = link.blocking().await.unwrap();
    for number in 0..20 {
        let command = redis::cmd("GET").arg(format!("k{number}")).to_owned();
        let read: String = waiting.call(&command, Duration::from_secs(2)).await.unwrap();
        assert_eq!(read, "1");
    }

    cluster.masters[0].kill();
    for number in 0..100 {
        set_in_time(&link, &format!("k{number}"), "2", FAILOVER_WITHIN).await;
    }
    for number in 0..100 {
        assert_eq!(get(&link, &format!("k{number}")).await.unwrap().as_deref(), Some("2"));
        let command = redis::cmd("GET").arg(format!("k{number}")).to_owned();
        let read: String = waiting.call(&command, Duration::from_secs(2)).await.unwrap();
        assert_eq!(read, "2");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_without_one_master_serves_the_others() {
    let mut cluster = RedisCluster::start(false, &["requirepass s3cret-word", "masterauth s3cret-word"]);
    let options = with_password(options(&cluster.addresses()), "s3cret-word");
    let wrong = link(&with_password(options.clone(), "wr0ng-word"));
    let failed = set(&wrong, "a", "1").await;
    let Err(Failure::Refused(text)) = failed else { panic!("{failed:?}") };
    assert!(text.contains("redis-password") && !text.contains("wr0ng-word"), "{text}");

    let link = link(&options);
    for number in 0..60 {
        set(&link, &format!("k{number}"), "1").await.unwrap();
    }
    cluster.masters[0].kill();
    let (mut served, mut away) = (0, 0);
    for number in 0..60 {
        let since = Instant::now();
        match set(&link, &format!("k{number}"), "2").await {
            Ok(()) => served += 1,
            Err(Failure::Away { .. }) => away += 1,
            Err(failure) => panic!("{failure}"),
        }
        assert!(since.elapsed() < Duration::from_secs(3));
    }
    assert!(served > 20 && away > 10, "{served} served, {away} not");

    cluster.masters[0].restart(crate::redis_server::Data::Kept);
    for number in 0..60 {
        set_in_time(&link, &format!("k{number}"), "3", FAILOVER_WITHIN).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_cluster_server() {
    let cluster = RedisCluster::start(true, &[]);
    let link = link(&options(&cluster.addresses()));
    for number in 0..30 {
        set(&link, &format!("k{number}"), "1").await.unwrap();
    }
    let mut waiting = link.blocking().await.unwrap();
    // The first that would be asked for anything.
    cluster.masters[0].pause();
    for number in 0..30 {
        set_in_time(&link, &format!("k{number}"), "2", FAILOVER_WITHIN).await;
        let command = redis::cmd("GET").arg(format!("k{number}")).to_owned();
        let since = Instant::now();
        while waiting.call::<String>(&command, Duration::from_secs(2)).await != Ok("2".to_owned()) {
            assert!(since.elapsed() < FAILOVER_WITHIN);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    cluster.masters[0].resume();
    for number in 0..30 {
        set_in_time(&link, &format!("k{number}"), "3", FAILOVER_WITHIN).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_servers_and_clusters_are_told_apart() {
    let cluster = RedisCluster::start(false, &[]);
    let one = link(&options(&cluster.masters[0].address().to_string()));
    let mut refusals = 0;
    for number in 0..20 {
        match set(&one, &format!("k{number}"), "1").await {
            Ok(()) => {}
            Err(Failure::Refused(text)) => {
                assert!(text.contains("several of its servers"), "{text}");
                refusals += 1;
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(refusals > 5);

    let server = RedisServer::start(&[]);
    let address = server.address();
    let failed = set(&link(&options(&format!("{address},{address}"))), "a", "1").await;
    assert!(matches!(failed, Err(Failure::Refused(_) | Failure::Away { .. })), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_everywhere() {
    let certificate = TestCertificate::new();
    let encrypted = |ports: &mut dyn Iterator<Item = u16>| -> String {
        ports.map(|port| format!("rediss://127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    };
    let cluster = RedisCluster::start_with_tls(&certificate);
    let addresses = encrypted(&mut cluster.masters.iter().map(RedisServer::tls_port));
    let trusting = link_trusting(&options(&addresses), Some(&certificate.ca()));
    let mut waiting = trusting.blocking().await.unwrap();
    for number in 0..30 {
        set(&trusting, &format!("k{number}"), "1").await.unwrap();
        let command = redis::cmd("GET").arg(format!("k{number}")).to_owned();
        assert_eq!(waiting.call::<String>(&command, Duration::from_secs(2)).await.unwrap(), "1");
    }
    let failed = set(&link(&options(&addresses)), "a", "1").await;
    let Err(Failure::Refused(text)) = failed else { panic!("{failed:?}") };
    assert!(text.contains("ca-bundle"), "{text}");

    let all = RedisSentinels::start_with_tls(&certificate);
    let addresses = encrypted(&mut all.sentinels.iter().map(RedisServer::tls_port));
    let trusting = link_trusting(&sentinel_options(&addresses), Some(&certificate.ca()));
    set(&trusting, "a", "1").await.unwrap();
    let failed = set(&link(&sentinel_options(&addresses)), "a", "1").await;
    let Err(Failure::Refused(text)) = failed else { panic!("{failed:?}") };
    assert!(text.contains("ca-bundle"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_in_a_cluster() {
    let cluster = RedisCluster::start(false, &[]);
    let link = link(&options(&cluster.addresses()));
    let script = Script::new("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('STRLEN', KEYS[1])");
    for key in ["{a}", "{b}", "{c}"] {
        let length: usize = link.script(&script, &[key], &[vec![b'x'; 20 << 20]]).await.unwrap();
        assert_eq!(length, 20 << 20);
        let command = redis::cmd("GET").arg(key).to_owned();
        let value: Vec<u8> = link.call_within(&command, Duration::from_secs(10)).await.unwrap();
        assert_eq!(value.len(), length);
    }
}
