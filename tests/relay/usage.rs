//! SDK metrics come in; offline they are dropped.

use serde_json::json;

use crate::support::client::{Connection, Reply, bearer, request};
use crate::support::configuration::{ENVIRONMENT, KEY, golden};
use crate::support::relay::TestRelay;

fn post(relay: &TestRelay, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let authorization = bearer(relay.sdk, KEY);
    let mut all = vec![("Authorization", authorization.as_str())];
    all.extend(headers);
    request(relay.sdk, "POST", &format!("/metrics/{ENVIRONMENT}"), &all, body)
}

fn targets(count: usize) -> Vec<u8> {
    let row = |i: usize| json!({"identifier": format!("target-{i}"), "name": "n", "attributes": [{"key": "k", "value": "v"}]});
    json!({"metricsData": [], "targetData": (0..count).map(row).collect::<Vec<_>>()}).to_string().into_bytes()
}

#[test]
fn good_bodies_are_null_and_bad_ones_400() {
    let relay = TestRelay::offline(&golden(), &[]);
    for good in ["{}", r#"{"metricsData":null,"targetData":[]}"#, r#"{"metricsData":[{"count":1,"attributes":[]}]}"#] {
        let reply = post(&relay, &[], good.as_bytes());
        assert_eq!((reply.status, reply.text().trim()), (200, "null"), "{good}");
    }
    for bad in ["", "  ", "{", "[]", "null", r#"{"metricsData":"x"}"#, r#"{"metricsData":[{"count":"x"}]}"#] {
        assert_eq!(post(&relay, &[], bad.as_bytes()).status, 400, "{bad}");
    }
}

#[test]
fn large_bodies_are_read_as_a_stream_up_to_32_mib() {
    let relay = TestRelay::offline(&golden(), &[]);
    let large = targets(100_000);
    assert!(large.len() > 5_000_000);
    assert_eq!(post(&relay, &[], &large).status, 200);
    let mut cut = large.clone();
    cut.truncate(large.len() / 2);
    assert_eq!(post(&relay, &[], &cut).status, 400);
    // Node repeats a 413 for ever.
    assert_eq!(post(&relay, &[], &targets(500_000)).status, 400);
}

#[test]
fn compressed_bodies_count_as_inflated() {
    use std::io::Write as _;
    let relay = TestRelay::offline(&golden(), &[]);
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let encoding = [("Content-Encoding", "gzip")];
    assert_eq!(post(&relay, &encoding, &gzip(&targets(1000))).status, 200);
    let bomb = gzip(&[b"{\"x\":\"".as_slice(), &vec![b'a'; 200_000_000]].concat());
    assert!(bomb.len() < 300_000);
    assert_eq!(post(&relay, &encoding, &bomb).status, 400);
    assert_eq!(post(&relay, &encoding, b"no gzip").status, 400);
    assert_eq!(post(&relay, &[("Content-Encoding", "br")], b"{}").status, 400);
}

#[test]
fn a_body_that_breaks_off_is_not_taken() {
    let relay = TestRelay::offline(&golden(), &[]);
    let authorization = bearer(relay.sdk, KEY);
    let mut connection = Connection::open(relay.sdk);
    let head = format!(
        "POST /metrics/{ENVIRONMENT} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: 1000\r\n\r\n{{}}"
    );
    connection.raw(head.as_bytes());
    connection.stream.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(connection.is_closed() || connection.head().status == 400);
}

#[test]
fn offline_counts_what_it_drops() {
    let relay = TestRelay::offline(&golden(), &[]);
    let attribute = |key: &str, value: &str| json!({"key": key, "value": value});
    let attributes = [attribute("featureName", "f"), attribute("SDK_TYPE", "server"), attribute("JAR_VERSION", "1.9")];
    let row = json!({"timestamp": 1, "count": 5, "metricsType": "FFMETRICS", "attributes": attributes});
    let body = json!({"metricsData": [row, row], "targetData": [{"identifier": "t"}]}).to_string();
    assert_eq!(post(&relay, &[], body.as_bytes()).status, 200);
    // Nothing is taken of a body that is bad at its end.
    assert_eq!(post(&relay, &[], format!("{body}x").as_bytes()).status, 400);
    let text = request(relay.sdk, "GET", "/metrics", &[], b"").text();
    for line in [
        "ff_relay_metrics_dropped_total{reason=\"off\"} 10".to_owned(),
        "ff_relay_metrics_targets_dropped_total{reason=\"off\"} 1".to_owned(),
        format!(
            "ff_proxy_sdk_usage{{envID=\"{ENVIRONMENT}\",sdk_type=\"server\",sdk_version=\"1.9\",sdk_language=\"\"}} 10"
        ),
    ] {
        assert!(text.contains(&line), "{line}\n{text}");
    }
}
