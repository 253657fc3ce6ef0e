//! One server: getting in, being refused, losing it and finding it again.

use std::time::{Duration, Instant};

use ff_relay::source::redis::link::{Failure, Link, Script};
use futures_util::future::join_all;
use redis::Value;

use crate::options::{get, link, link_trusting, options, set, set_in_time, with_password};
use crate::redis_server::{Data, Kind, RedisServer, TestCertificate};

const BACK_WITHIN: Duration = Duration::from_secs(10);

fn to(server: &RedisServer) -> Link {
    link(&options(&server.address().to_string()))
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
    match result {
        Err(Failure::Refused(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

#[track_caller]
fn away<T: std::fmt::Debug>(result: Result<T, Failure>) -> bool {
    match result {
        Err(Failure::Away { uncertain, .. }) => uncertain,
        other => panic!("not away: {other:?}"),
    }
}

#[tokio::test]
async fn commands_and_scripts() {
    let server = RedisServer::start(&[]);
    let link = to(&server);
    assert_eq!(link.name(), server.address().to_string());
    assert!(!link.is_cluster());
    set(&link, "a", "1").await.unwrap();
    assert_eq!(get(&link, "a").await.unwrap().as_deref(), Some("1"));

    let script = Script::new("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])");
    for _ in 0..2 {
        let answer: String = link.script(&script, &["b"], &[b"x".to_vec()]).await.unwrap();
        assert_eq!(answer, "x");
        server.cli::<()>(&["SCRIPT", "FLUSH"]);
    }
    let broken = Script::new("return redis.call('INCR', KEYS[1])");
    let failed: Result<i64, Failure> = link.script(&broken, &["b"], &[]).await;
    assert!(matches!(failed, Err(Failure::Wrong(_))), "{failed:?}");
}

#[tokio::test]
async fn answers_of_another_kind() {
    let server = RedisServer::start(&[]);
    let link = to(&server);
    set(&link, "a", "private").await.unwrap();
    let failed: Result<i64, Failure> = link.call(redis::cmd("GET").arg("a")).await;
    let Err(Failure::Wrong(text)) = failed else { panic!("{failed:?}") };
    assert!(text.contains("GET") && !text.contains("private"), "{text}");
    let failed: Result<Value, Failure> = link.call(redis::cmd("HGETALL").arg("a")).await;
    let Err(Failure::Wrong(text)) = failed else { panic!("{failed:?}") };
    assert!(text.starts_with("WRONGTYPE "), "{text}");
}

#[tokio::test]
async fn many_callers_share_one_connection() {
    let server = RedisServer::start(&[]);
    let link = to(&server);
    let connections = || {
        let info: String = server.cli(&["INFO", "clients"]);
        info.lines().find_map(|line| line.strip_prefix("connected_clients:")?.parse::<u32>().ok()).unwrap()
    };
    let results = join_all((0..50).map(|number| {
        let link = link.clone();
        async move { set(&link, &format!("k{number}"), "v").await }
    }));
    assert!(results.await.iter().all(Result::is_ok));
    // The one that asks is the other.
    assert_eq!(connections(), 2);
}

#[tokio::test]
async fn passwords() {
    let server = RedisServer::start(&["requirepass s3cret-word"]);
    let address = server.address().to_string();
    let right = link(&with_password(options(&address), "s3cret-word"));
    set(&right, "a", "1").await.unwrap();

    let wrong = link(&with_password(options(&address), "wr0ng-word"));
    let text = refused(set(&wrong, "a", "2").await);
    assert!(text.contains("redis-password") && !text.contains("wr0ng-word"), "{text}");
    assert!(!format!("{wrong:?}").contains("wr0ng-word"));
    assert!(refused(set(&link(&options(&address)), "a", "2").await).contains("redis-password"));

    let open = RedisServer::start(&[]);
    let needless = link(&with_password(options(&open.address().to_string()), "s3cret-word"));
    assert!(refused(set(&needless, "a", "2").await).contains("drop redis-password"));
}

#[tokio::test]
async fn users() {
    let server = RedisServer::start(&["user reader on >word ~* +get", "user writer on >word2 ~* +@all"]);
    let as_user = |user: &str, password: &str| {
        let mut options = with_password(options(&server.address().to_string()), password);
        options.username = Some(user.to_owned());
        link(&options)
    };
    set(&as_user("writer", "word2"), "a", "1").await.unwrap();
    let reader = as_user("reader", "word");
    assert_eq!(get(&reader, "a").await.unwrap().as_deref(), Some("1"));
    assert!(refused(set(&reader, "a", "2").await).contains("permission"));
    assert_eq!(get(&reader, "a").await.unwrap().as_deref(), Some("1"));
    assert!(refused(get(&as_user("nobody", "word"), "a").await).contains("redis-username"));
}

#[tokio::test]
async fn tls() {
    let certificate = TestCertificate::new();
    let server = RedisServer::start_with_tls(Kind::Server, &certificate, &[]);
    let addressed = |host: &str| options(&format!("rediss://{host}:{}", server.tls_port()));
    for host in ["localhost", "127.0.0.1"] {
        let trusting = link_trusting(&addressed(host), Some(&certificate.ca()));
        set(&trusting, "a", "1").await.unwrap();
    }
    let other = TestCertificate::new();
    for distrusting in [link_trusting(&addressed("localhost"), Some(&other.ca())), link(&addressed("localhost"))] {
        assert!(refused(set(&distrusting, "a", "1").await).contains("ca-bundle"));
    }
    // The name in the certificate is another one.
    let elsewhere = link_trusting(&addressed("localhost.localdomain"), Some(&certificate.ca()));
    let failed = set(&elsewhere, "a", "1").await;
    assert!(matches!(failed, Err(Failure::Refused(_) | Failure::Away { .. })), "{failed:?}");

    let none = Link::new(&addressed("localhost"), Some("/nowhere/ca.pem".as_ref()), Duration::from_secs(1));
    assert!(none.unwrap_err().to_string().contains("/nowhere/ca.pem"));
}

#[tokio::test]
async fn databases() {
    let server = RedisServer::start(&["databases 4"]);
    let mut options = options(&server.address().to_string());
    options.database = 3;
    set(&link(&options), "a", "1").await.unwrap();
    assert!(server.cli::<String>(&["INFO", "keyspace"]).contains("db3:keys=1"));
    options.database = 4;
    assert!(refused(set(&link(&options), "a", "1").await).contains("redis-db"));
}

#[tokio::test]
async fn full_memory() {
    let server = RedisServer::start(&["maxmemory 3mb", "maxmemory-policy noeviction"]);
    let link = to(&server);
    let value = "x".repeat(400_000);
    let mut last = Ok(());
    for number in 0..40 {
        last = set(&link, &format!("k{number}"), &value).await;
        if last.is_err() {
            break;
        }
    }
    assert!(refused(last).contains("maxmemory"));
    let script = Script::new("return redis.call('SET', KEYS[1], ARGV[1])");
    let failed: Result<Value, Failure> = link.script(&script, &["a"], &[value.into_bytes()]).await;
    assert!(refused(failed).contains("maxmemory"));
    assert!(get(&link, "k0").await.unwrap().is_some());
}

#[tokio::test]
async fn too_many_connections() {
    let server = RedisServer::start(&["maxclients 1"]);
    let first = to(&server);
    // The server's own count of the test's connections goes down in its time.
    set_in_time_despite_refusals(&first).await;
    let second = to(&server);
    let text = set(&second, "a", "2").await.unwrap_err().to_string();
    assert!(text.contains("maxclients") || text.contains("away"), "{text}");
    set(&first, "a", "3").await.unwrap();
}

async fn set_in_time_despite_refusals(link: &Link) {
    let since = Instant::now();
    while set(link, "a", "1").await.is_err() {
        assert!(since.elapsed() < BACK_WITHIN);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_replica_takes_no_writes() {
    let master = RedisServer::start(&[]);
    let replica = RedisServer::replica_of(&master, &[]);
    let link = to(&replica);
    assert!(!away(set(&link, "a", "1").await), "a refused write is certain");
    assert_eq!(get(&link, "a").await.unwrap(), None);
    replica.cli::<()>(&["REPLICAOF", "NO", "ONE"]);
    set(&link, "a", "1").await.unwrap();
}

#[tokio::test]
async fn killed_and_restarted() {
    let mut server = RedisServer::start(&[]);
    let link = to(&server);
    let mut waiting = link.blocking().await.unwrap();
    set(&link, "a", "1").await.unwrap();
    server.kill();
    away(set(&link, "a", "2").await);
    assert!(!away(set(&link, "a", "2").await), "nothing was sent");
    server.restart(Data::Kept);
    set_in_time(&link, "b", "3", BACK_WITHIN).await;
    assert_eq!(get(&link, "a").await.unwrap().as_deref(), Some("1"));
    let read: Option<String> = waiting.call(redis::cmd("GET").arg("a"), Duration::from_secs(2)).await.unwrap();
    assert_eq!(read.as_deref(), Some("1"));
    server.restart(Data::Dropped);
    set_in_time(&link, "c", "4", BACK_WITHIN).await;
    assert_eq!(get(&link, "a").await.unwrap(), None);
}

#[tokio::test]
async fn a_dead_server_costs_little() {
    let mut server = RedisServer::start(&[]);
    let link = to(&server);
    server.kill();
    away(set(&link, "a", "1").await);
    away(set(&link, "a", "1").await);
    let since = Instant::now();
    let results = join_all((0..500).map(|_| set(&link, "a", "1"))).await;
    assert!(results.iter().all(|result| matches!(result, Err(Failure::Away { uncertain: false, .. }))));
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

#[tokio::test]
async fn paused_and_resumed() {
    let server = RedisServer::start(&[]);
    let link = to(&server);
    set(&link, "a", "1").await.unwrap();
    server.pause();
    for turn in 0..3 {
        let since = Instant::now();
        let uncertain = away(set(&link, "a", "2").await);
        assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
        assert_eq!(uncertain, turn == 0, "only the first was sent");
    }
    server.resume();
    set_in_time(&link, "a", "3", BACK_WITHIN).await;
    assert_eq!(get(&link, "a").await.unwrap().as_deref(), Some("3"));
}

#[tokio::test]
async fn paused_before_the_first_call() {
    let server = RedisServer::start(&[]);
    let link = to(&server);
    server.pause();
    let since = Instant::now();
    assert!(!away(set(&link, "a", "1").await));
    assert!(since.elapsed() < Duration::from_secs(3));
    server.resume();
    set_in_time(&link, "a", "1", BACK_WITHIN).await;
}

#[tokio::test]
async fn waiting_holds_up_nobody() {
    let server = RedisServer::start(&[]);
    let link = to(&server);
    let mut waiting = link.blocking().await.unwrap();
    let mut command = redis::cmd("XREAD");
    command.arg("BLOCK").arg(10_000).arg("STREAMS").arg("s").arg("$");
    let entry = tokio::spawn(async move { waiting.call::<Value>(&command, Duration::from_secs(12)).await });
    while server.cli::<String>(&["INFO", "clients"]).contains("blocked_clients:0") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _: String = link.call(redis::cmd("XADD").arg("s").arg("*").arg("f").arg("v")).await.unwrap();
    assert!(matches!(entry.await.unwrap().unwrap(), Value::Array(_)));

    let mut waiting = link.blocking().await.unwrap();
    server.pause();
    let since = Instant::now();
    let mut command = redis::cmd("XREAD");
    command.arg("STREAMS").arg("s").arg("0");
    away(waiting.call::<Value>(&command, Duration::from_secs(1)).await);
    assert!(since.elapsed() < Duration::from_secs(2));
    server.resume();
}
