//! Keys, tokens, secrets, targets.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::client::{Connection, bearer, get, post, token};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER, OTHER_KEY, golden, key_hash};
use crate::support::events::Events;
use crate::support::relay::TestRelay;

/// A JWT made by hand.
pub fn sign(secret: &str, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes())))
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn flags_path(environment: &str) -> String {
    format!("/client/env/{environment}/feature-configs")
}

#[test]
fn a_token_carries_what_sdks_read_and_no_time_limit() {
    let relay = TestRelay::offline(&golden(), &[]);
    let body =
        json!({"apiKey": KEY, "target": {"identifier": "erin", "name": "Žofie 你好", "attributes": {"q": "a>b?c~"}}});
    let answer = post(relay.sdk, "/client/auth", &[], &body.to_string()).ok();
    assert_eq!(answer.as_object().unwrap().len(), 1, "Android refuses other fields");
    let token = answer["authToken"].as_str().unwrap();
    let claims = claims(token);
    for (claim, value) in [
        ("environment", ENVIRONMENT),
        ("environmentIdentifier", "golden"),
        ("project", "proj1"),
        ("projectIdentifier", "proj1"),
        ("accountID", ""),
        ("clusterIdentifier", "1"),
        ("apiKey", &format!("auth-key-{}", key_hash(KEY))),
    ] {
        assert_eq!(claims[claim], value, "{claim}");
    }
    assert!(claims["exp"].is_null() && claims["nbf"].is_null());
    assert!(claims["iat"].is_i64() && claims["jti"].as_str().unwrap().len() == 32);
    let revision: Vec<&str> = claims["rev"].as_str().unwrap().split(':').collect();
    assert_eq!((revision.len(), revision[2].len()), (3, 12));
    assert_eq!(claims["target"]["attributes"]["q"], "a>b?c~");
    // Android and PHP decode it as plain base64.
    assert!(!token.split('.').nth(1).unwrap().contains(['-', '_']));
    let large = json!({"apiKey": KEY, "target": {"identifier": "big", "attributes": {"x": "y".repeat(3000)}}});
    let answer = post(relay.sdk, "/client/auth", &[], &large.to_string()).ok();
    assert!(self::claims(answer["authToken"].as_str().unwrap())["target"].is_null(), "larger targets are left out");
}

#[test]
fn data_routes_want_a_good_token_of_their_own_environment() {
    let relay = TestRelay::offline(&golden(), &["--auth-secret=new", "--auth-secret-previous=old"]);
    let own = token(relay.sdk, KEY);
    let ask = |environment: &str, authorization: &str| {
        get(relay.sdk, &flags_path(environment), &[("Authorization", authorization)]).status
    };
    assert_eq!(get(relay.sdk, &flags_path(ENVIRONMENT), &[]).status, 401);
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(ask(ENVIRONMENT, &format!("{scheme} {own}")), 200);
    }
    for bad in [own.clone(), "Bearer".into(), "Bearer x".into(), format!("Basic {own}"), format!("Bearer {own}x")] {
        assert_eq!(ask(ENVIRONMENT, &bad), 401, "{bad}");
    }
    assert_eq!(ask(OTHER, &format!("Bearer {own}")), 401);
    assert_eq!(ask("no-such-environment", &format!("Bearer {own}")), 401);
    let hs256 = r#"{"alg":"HS256","typ":"JWT"}"#;
    let legacy = format!(r#"{{"environment":"{ENVIRONMENT}","clusterIdentifier":"1","iat":1}}"#);
    assert_eq!(ask(ENVIRONMENT, &format!("Bearer {}", sign("old", hs256, &legacy))), 200, "rotation, and a v1 token");
    assert_eq!(ask(ENVIRONMENT, &format!("Bearer {}", sign("secret", hs256, &legacy))), 401);
    let expired = legacy.replace("\"iat\":1", "\"exp\":2");
    assert_eq!(ask(ENVIRONMENT, &format!("Bearer {}", sign("new", hs256, &expired))), 401);
    drop(relay);
    let strict = TestRelay::offline(&golden(), &["--auth-secret=new", "--legacy-tokens=false"]);
    let authorization = format!("Bearer {}", sign("new", hs256, &legacy));
    assert_eq!(get(strict.sdk, &flags_path(ENVIRONMENT), &[("Authorization", &authorization)]).status, 401);
}

#[test]
fn one_connection_may_change_its_token() {
    let relay = TestRelay::offline(&golden(), &[]);
    let (own, other) = (bearer(relay.sdk, KEY), bearer(relay.sdk, OTHER_KEY));
    let mut connection = Connection::open(relay.sdk);
    for _ in 0..2 {
        for (authorization, environment, status) in
            [(&own, ENVIRONMENT, 200), (&other, OTHER, 200), (&own, OTHER, 401), (&other, ENVIRONMENT, 401)]
        {
            connection.send("GET", &flags_path(environment), &[("Authorization", authorization)], b"");
            assert_eq!(connection.reply(false).status, status);
        }
    }
}

#[test]
fn bypass_auth_opens_data_routes_and_streams_with_only_a_key() {
    let relay = TestRelay::offline(&golden(), &["--bypass-auth"]);
    assert_eq!(get(relay.sdk, &flags_path(ENVIRONMENT), &[]).status, 200);
    assert_eq!(get(relay.sdk, &flags_path("nope"), &[]).status, 404);
    let mut connection = Connection::open(relay.sdk);
    connection.send("GET", "/stream", &[("API-Key", KEY)], b"");
    assert_eq!(connection.head().status, 200);
}

#[test]
fn an_unknown_key_is_refused_at_once_and_a_stream_refusal_waits() {
    let relay = TestRelay::offline(&golden(), &[]);
    let reply = post(relay.sdk, "/client/auth", &[], r#"{"apiKey":"wrong"}"#);
    assert_eq!(reply.status, 401);
    assert_eq!(reply.json()["code"], "401");
    assert_eq!(reply.json()["error"], reply.json()["message"]);
    let started = std::time::Instant::now();
    let refused = Events::ask(relay.sdk, "wrong", &bearer(relay.sdk, KEY), &[]);
    assert_eq!((refused.reply.status, refused.reply.header("content-length")), (401, Some("0")));
    assert!(started.elapsed() >= Duration::from_secs(5), "Go would hammer");
    let mut no_key = Connection::open(relay.sdk);
    no_key.send("GET", "/stream", &[("Authorization", &bearer(relay.sdk, KEY))], b"");
    let reply = no_key.head();
    assert_eq!((reply.status, reply.header("content-length")), (400, Some("0")));
}

#[test]
fn a_removed_key_loses_data_and_streams() {
    let configuration = Configuration::golden();
    let relay = TestRelay::offline(configuration.path(), &["--config-reload=true", "--config-reload-interval=100ms"]);
    let authorization = bearer(relay.sdk, KEY);
    let client = bearer(relay.sdk, "golden-client-key");
    let mut stream = Events::open(relay.sdk, KEY, &authorization, &[]);
    let mut kept = Events::open(relay.sdk, "golden-client-key", &client, &[]);
    configuration.write(ENVIRONMENT, "auth_config.json", &json!([key_hash("golden-client-key")]));
    assert_eq!(stream.next_short(), "end");
    assert_eq!(get(relay.sdk, &flags_path(ENVIRONMENT), &[("Authorization", &authorization)]).status, 401);
    assert_eq!(post(relay.sdk, "/client/auth", &[], &json!({"apiKey": KEY}).to_string()).status, 401);
    configuration.edit_flag("text", |flag| flag["version"] = json!(2));
    assert_eq!(kept.next_short(), "patch flag text");
}
