//! Health, readiness, Prometheus.

use serde_json::json;

use crate::support::client::{bearer, get, post};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, golden};
use crate::support::events::Events;
use crate::support::relay::TestRelay;

#[test]
fn health_has_the_fields_of_both_go_proxies() {
    let relay = TestRelay::offline(&golden(), &[]);
    let health = get(relay.sdk, "/health", &[]).ok();
    let ids: Vec<_> = health["environments"].as_array().unwrap().iter().map(|e| e["id"].clone()).collect();
    assert_eq!(ids, [json!(ENVIRONMENT), json!(OTHER)]);
    let status = &health["environments"][0]["streamStatus"];
    assert_eq!(status["state"], "CONNECTED");
    let (seconds, milliseconds) =
        (status["since"].as_i64().unwrap(), health["configStatus"]["since"].as_i64().unwrap());
    assert_eq!(milliseconds / 1000, seconds);
    assert_eq!(health["configStatus"]["state"], "SYNCED");
    assert_eq!(health["cacheStatus"], "healthy");
    assert_eq!((&health["mode"], &health["version"]), (&json!("offline"), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!(get(relay.sdk, "/readyz", &[]).status, 200);
    assert_eq!(get(relay.sdk, "/livez/", &[]).status, 200);
}

#[test]
fn prometheus_has_the_known_names_and_bounded_labels() {
    let relay = TestRelay::offline(&golden(), &["--prometheus-port=0"]);
    let authorization = bearer(relay.sdk, KEY);
    let _stream = Events::open(relay.sdk, KEY, &authorization, &[]);
    for i in 0..50 {
        let path = format!("/client/env/{ENVIRONMENT}/feature-configs/no-such-flag-{i}");
        assert_eq!(get(relay.sdk, &path, &[("Authorization", &authorization)]).status, 404);
        assert_eq!(get(relay.sdk, &format!("/made-up/{i}"), &[]).status, 404);
    }
    post(relay.sdk, &format!("/metrics/{ENVIRONMENT}"), &[("Authorization", &authorization)], "{}").ok();
    let address = relay.prometheus.unwrap_or(relay.sdk);
    let text = get(address, "/metrics", &[]).text();
    for name in [
        "ff_proxy_http_requests_total{",
        "ff_proxy_http_requests_duration_bucket{",
        "ff_http_requests_content_length_histogram_bucket{",
        "ff_proxy_sse_publish",
        "ff_proxy_stream_health",
        "ff_relay_streams_open 1",
        "url=\"/metrics/:environment_uuid\"",
        &format!("envID=\"{ENVIRONMENT}\""),
    ] {
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
    assert!(!text.contains("no-such-flag") && !text.contains("made-up") && !text.contains(KEY));
    assert!(text.lines().count() < 250, "{}", text.lines().count());
    if let Some(own) = relay.prometheus {
        assert_eq!(get(own, "/client/auth", &[]).status, 404, "SDK routes are not on the metrics port");
        assert_eq!(get(relay.sdk, "/metrics", &[]).status, 200);
    }
}
