//! What the options of online modes and of Redis mean.

use std::time::Duration;

use super::*;

fn read(args: &[&str], surroundings: &Fixed) -> Result<Config, Errors> {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    match parse(&args, surroundings)? {
        Request::Run(config) => Ok(*config),
        other => panic!("{other:?}"),
    }
}

fn config(args: &[&str]) -> Config {
    read(args, &Fixed::default()).unwrap()
}

fn refusal(args: &[&str]) -> String {
    read(args, &Fixed::default()).unwrap_err().to_string()
}

#[test]
fn every_mode() {
    let keys = config(&["-api-keys", "a, b", "-api-keys=c", "-account-identifier", "acc"]);
    let Mode::ApiKeys(mode) = &keys.mode else { panic!("{:?}", keys.mode) };
    assert_eq!(mode.keys.iter().map(Secret::expose).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(mode.account_identifier.as_deref(), Some("acc"));
    assert!(keys.upstream.forward_targets);
    assert_eq!(keys.http.event_repeat, None);
    assert!(keys.warnings.iter().any(|warning| warning.contains("admin-service-token")));

    let proxy = config(&["-proxy-key", "k"]);
    assert!(matches!(&proxy.mode, Mode::ProxyKey(key) if key.expose() == "k"));
    assert!(!proxy.upstream.forward_targets);
    assert!(config(&["-proxy-key", "k", "-forward-targets"]).upstream.forward_targets);

    let peer = config(&["-peer-address", "a:1,https://b", "-peer-environments=x,y"]);
    let Mode::Peer(mode) = &peer.mode else { panic!("{:?}", peer.mode) };
    assert_eq!(mode.addresses, ["a:1", "https://b"]);
    assert_eq!(mode.environments, ["x", "y"]);
    assert_eq!(peer.http.event_repeat, Some(Duration::from_secs(30)));

    let replica = config(&["-read-replica", "-redis-address", "r:6379"]);
    assert!(matches!(replica.mode, Mode::Replica));
    assert_eq!(replica.http.event_repeat, Some(Duration::from_secs(30)));
}

#[test]
fn upstream_defaults_and_fallbacks() {
    let upstream = config(&["-api-keys=k"]).upstream;
    assert_eq!(upstream.client_service, "https://config.ff.harness.io/api/1.0");
    assert_eq!(upstream.sdk_base_url, upstream.client_service);
    assert_eq!(upstream.admin_service, "https://app.harness.io/gateway/cf");
    assert_eq!(upstream.metric_service, "https://events.ff.harness.io/api/1.0");
    assert_eq!(upstream.flag_poll_interval, Duration::from_mins(1));
    assert_eq!(upstream.target_poll_duration, None);
    assert_eq!(upstream.resync_interval, Duration::from_mins(10));
    assert!(upstream.flag_stream_enabled);

    let other = config(&["-api-keys=k", "-client-service=http://c/", "-sdk-events-url=http://e"]);
    assert_eq!(other.upstream.sdk_base_url, "http://c");
    assert_eq!(other.upstream.metric_service, "http://e");
    let usage = config(&["-api-keys=k", "-metric-post-duration=0"]).usage;
    assert_eq!((usage.metric_post_duration, usage.metrics_max_keys), (None, 200_000));
}

#[test]
fn redis() {
    let source = ["-api-keys=k", "-redis-address"];
    let read = |more: &[&str]| config(&[&source, more].concat()).redis.unwrap();
    let single = read(&["rediss://u:p@r/2"]);
    assert_eq!(single.topology, RedisTopology::Single);
    assert_eq!((single.database, single.username.as_deref()), (2, Some("u")));
    assert_eq!(single.password.as_ref().map(Secret::expose), Some("p"));
    assert_eq!((single.pool_size, single.lease), (None, Duration::from_secs(10)));
    assert_eq!((single.metrics_stream_max_len, single.metrics_stream_read_concurrency), (1000, 10));
    let option_wins = read(&["redis://u:p@r/2", "-redis-db=3", "-redis-password=q"]);
    assert_eq!(option_wins.database, 3);
    assert_eq!(option_wins.password.as_ref().map(Secret::expose), Some("q"));
    assert_eq!(read(&["a:1,b:2"]).topology, RedisTopology::Cluster);
    let sentinel = read(&["a:1,b:2", "-redis-sentinel-master=m", "-redis-db=1"]);
    assert_eq!(sentinel.topology, RedisTopology::Sentinel { master: "m".to_owned() });
    let odd = Fixed::default().with_variable("METRIC_STREAM_READ_CONCURRENCY", "3");
    let odd = super::online_tests::read(&["-api-keys=k", "-redis-address=r:1"], &odd).unwrap();
    assert_eq!(odd.redis.unwrap().metrics_stream_read_concurrency, 3);
}

#[test]
fn offline_with_redis_contacts_it() {
    let both = config(&["-offline", "-offline-redis", "-redis-address=r:1"]);
    assert!(both.redis.is_some());
    assert_eq!(both.http.event_repeat, Some(Duration::from_secs(30)));
    assert!(config(&["-offline", "-redis-address=r:1"]).redis.is_none());
}

#[test]
fn contradictions_say_which_to_drop() {
    for (args, sentence) in [
        (&["-api-keys=a", "-proxy-key=b"][..], "api-keys and proxy-key are two sources: drop one"),
        (&["-peer-address=a:1", "-proxy-key=b"], "peer-address and proxy-key are two sources"),
        (&["-peer-address=a:1", "-api-keys=b"], "peer-address and api-keys are two sources"),
        (&["-read-replica"], "add redis-address, or drop read-replica"),
        (&["-offline-redis", "-api-keys=a"], "drop offline-redis, or add offline"),
        (&["-offline", "-offline-redis"], "add redis-address, or drop offline-redis"),
        (&["-generate-offline-config"], "generate-offline-config needs an online source"),
        (&["-generate-offline-config", "-offline"], "generate-offline-config needs an online source"),
        (&["-api-keys=a", "-redis-address=a:1,b:2", "-redis-db=1"], "drop redis-db"),
        (&["-api-keys=a", "-redis-address=redis://a,rediss://b"], "with and without TLS"),
        (&["-api-keys=a", "-redis-sentinel-master=m"], "add redis-address"),
        (&["-peer-address=a:1", "-peer-tls-cert=c"], "peer-tls-cert and peer-tls-key belong"),
    ] {
        let text = refusal(args);
        assert!(text.contains(sentence), "{args:?}: {text}");
    }
}

#[test]
fn generate_with_a_source_is_a_run() {
    // Together they mean to generate: the Go proxy's rule.
    for offline in ["-offline=false", "-offline"] {
        let both = config(&["-generate-offline-config", "-api-keys=a", offline]);
        assert!(both.generate_offline_config && matches!(both.mode, Mode::ApiKeys(_)));
    }
}

#[test]
fn proxies_in_either_case() {
    let surroundings =
        Fixed::default().with_variable("https_proxy", "http://u:p@proxy:3128").with_variable("NO_PROXY", "a, b");
    let proxies = read(&["-api-keys=k"], &surroundings).unwrap().upstream.proxies;
    assert_eq!(proxies.https.as_ref().map(Secret::expose), Some("http://u:p@proxy:3128"));
    assert_eq!(proxies.exceptions, ["a", "b"]);
}
