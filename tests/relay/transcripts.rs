//! The Go proxies' recorded answers: ours are the same, or the difference is
//! named here with its reason.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::client::{Reply, request, token};
use crate::support::configuration::{KEY, OTHER_KEY, golden};
use crate::support::relay::TestRelay;

const SECRET: &str = "bars";

/// Where our status differs from v1's, and why.
const STATUS_DIFFERENCES: &[(&str, u16, &str)] = &[
    ("auth: apiKey is a number", 400, "bad input is the client's fault, not ours"),
    ("auth: invalid JSON", 400, "bad input is the client's fault, not ours"),
    ("auth: JSON array", 400, "bad input is the client's fault, not ours"),
    ("auth: target identifier with a space", 400, "Harness's rule, which v2 applies too"),
    ("auth: target identifier with a slash", 400, "Harness's rule, which v2 applies too"),
    ("auth: target name with a bad character", 400, "Harness's rule, which v2 applies too"),
    ("flags: unknown environment", 401, "another environment than the token's, known or not"),
    ("token: of another environment", 401, "a token is good for its own environment"),
    ("token: alg hs512", 401, "HS256 only"),
    ("token: unknown key", 401, "a revoked key loses its data"),
    ("metrics: empty body", 400, "bad input is the client's fault, not ours"),
    ("metrics: invalid JSON", 400, "bad input is the client's fault, not ours"),
    ("metrics: wrong types", 400, "bad input is the client's fault, not ours"),
    ("metrics: other environment", 401, "a token is good for its own environment"),
    ("health: HEAD", 200, "HEAD is answered where GET is"),
    ("preflight: auth", 204, "a preflight has no body"),
    ("preflight: flags", 204, "a preflight has no body"),
    ("route: unknown, no token", 404, "an unknown route is not a matter of tokens"),
    ("route: root", 404, "an unknown route is not a matter of tokens"),
    ("path: double slash at the front", 200, "double slashes are folded"),
    ("path: double slash in the middle", 200, "double slashes are folded"),
    ("path: slash at the end", 200, "a trailing slash is folded"),
    ("stream: unknown API-Key, good token", 401, "never 501 or 404: Go hot-loops, Java gives up"),
    ("stream: good, straight to the proxy", 200, "the relay streams itself, offline too"),
    ("stream: API-Key of another environment", 401, "the key must belong to the token's environment"),
    ("stream: good, through Pushpin, one flag changed meanwhile", 200, "the relay streams itself, offline too"),
];

/// Where the body differs though the status is the same, and why.
const BODY_DIFFERENCES: &[(&str, &str)] = &[
    ("segments: all", "tags have the identifier that Python needs"),
    ("segments: one", "tags have the identifier that Python needs"),
    ("segments: several clauses", "v1 does not know serving rules; single clauses become rules"),
    ("segments: all, rules=v2", "v1 does not know rules=v2"),
    ("segments: one, rules=v2", "v1 does not know rules=v2"),
    ("segments: several clauses, rules=v2", "v1 does not know rules=v2"),
    ("query: semicolons", "v1 does not know rules=v2"),
    ("evaluations: Harness-Target header", "v1 does not read the header"),
    ("evaluations: Harness-Target header for another identifier than the path", "v1 does not read the header"),
    ("evaluations: rule by Harness-Target attribute", "v1 does not read the header"),
    ("health", "ours lists environments offline too, and says more"),
    ("prometheus", "names and labels are looked at elsewhere"),
];

#[test]
fn every_recorded_request_is_answered_alike_or_better_for_a_reason() {
    let relay = TestRelay::offline(&golden(), &["--auth-secret=bars", "--shutdown-grace=100ms"]);
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/http/transcripts.json");
    let recorded: Vec<Value> = serde_json::from_slice(&std::fs::read(recorded).unwrap()).unwrap();
    let tokens = tokens(&relay);
    let statuses: BTreeMap<&str, u16> = STATUS_DIFFERENCES.iter().map(|(name, status, _)| (*name, *status)).collect();
    let mut wrong = Vec::new();
    let mut used = Vec::new();
    for transcript in &recorded {
        let name = transcript["name"].as_str().unwrap();
        let v1 = &transcript["v1"];
        let recorded_status = u16::try_from(v1["status"].as_u64().unwrap()).unwrap();
        let reply = replay(&relay, &transcript["request"], &tokens, name);
        let expected = statuses.get(name).copied().unwrap_or(recorded_status);
        if statuses.contains_key(name) {
            used.push(name);
            if expected == recorded_status {
                wrong.push(format!("{name}: listed as different, but it is not"));
            }
        }
        if reply.status != expected {
            wrong.push(format!("{name}: {} instead of {expected}: {}", reply.status, reply.text()));
            continue;
        }
        // v1 drops serving rules and encodes json values once; the values
        // themselves are judged by the recorded evaluations.
        let different = BODY_DIFFERENCES.iter().any(|(listed, _)| *listed == name) || name.starts_with("evaluations:");
        if different {
            used.push(name);
        } else if expected == recorded_status
            && let Some(difference) = body_difference(&reply, v1)
        {
            wrong.push(format!("{name}: {difference}"));
        }
        for header in ["access-control-allow-origin", "x-request-id"] {
            if reply.header(header).is_none() {
                wrong.push(format!("{name}: no {header}"));
            }
        }
    }
    for (name, ..) in STATUS_DIFFERENCES {
        assert!(used.contains(name), "{name} is no recorded request");
    }
    assert!(recorded.len() > 100);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn tokens(relay: &TestRelay) -> Vec<(&'static str, String)> {
    let own = |key: &str| token(relay.sdk, key);
    let environment = crate::support::configuration::ENVIRONMENT;
    let sign = |secret: &str, header: &str, claims: &str| crate::authentication::sign(secret, header, claims);
    let hs256 = r#"{"alg":"HS256","typ":"JWT"}"#;
    let claims = |more: &str| format!(r#"{{"environment":"{environment}","clusterIdentifier":"1"{more}}}"#);
    let known = format!(r#","apiKey":"auth-key-{}""#, crate::support::configuration::key_hash(KEY));
    let none = sign(SECRET, r#"{"alg":"none","typ":"JWT"}"#, &claims(&known));
    vec![
        ("{TOKEN}", own(KEY)),
        ("{CLIENT_TOKEN}", own("golden-client-key")),
        ("{OTHER_TOKEN}", own(OTHER_KEY)),
        ("{TOKEN_BAD_SIGNATURE}", sign("other", hs256, &claims(&known))),
        ("{TOKEN_ALG_NONE}", none.rsplit_once('.').unwrap().0.to_owned() + "."),
        ("{TOKEN_ALG_HS512}", sign(SECRET, r#"{"alg":"HS512","typ":"JWT"}"#, &claims(&known))),
        ("{TOKEN_UNKNOWN_KEY}", {
            let unknown = format!(r#","apiKey":"auth-key-{}""#, "0".repeat(64));
            sign(SECRET, hs256, &claims(&unknown))
        }),
        ("{TOKEN_NO_KEY_CLAIM}", sign(SECRET, hs256, &claims(""))),
        ("{TOKEN_EXPIRED}", sign(SECRET, hs256, &claims(&format!(r#"{known},"exp":1000000000"#)))),
    ]
}

fn replay(relay: &TestRelay, recorded: &Value, tokens: &[(&str, String)], name: &str) -> Reply {
    let fill = |text: &str| tokens.iter().fold(text.to_owned(), |text, (mark, token)| text.replace(mark, token));
    let headers: Vec<(String, String)> = recorded["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), fill(value.as_str().unwrap())))
        .collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (method, path) = (recorded["method"].as_str().unwrap(), recorded["path"].as_str().unwrap());
    let body = recorded["body"].as_str().unwrap_or_default();
    if name.starts_with("stream: good") {
        let mut connection = crate::support::client::Connection::open(relay.sdk);
        connection.send(method, path, &headers, b"");
        return connection.head();
    }
    request(relay.sdk, method, path, &headers, body.as_bytes())
}

/// How a body differs; `None` if it says the same. Of errors only that they
/// are JSON objects: their words are ours.
fn body_difference(reply: &Reply, v1: &Value) -> Option<String> {
    let recorded = v1["body"].as_str().filter(|body| !body.is_empty())?;
    let recorded: Value = serde_json::from_str(recorded).ok()?;
    if reply.status >= 400 {
        // Errors of streams have no body.
        let good = reply.body.is_empty() || reply.json()["error"].is_string();
        return (!good).then(|| format!("no error in {}", reply.text()));
    }
    let ours = normalised(reply.json());
    let theirs = normalised(recorded);
    (ours != theirs).then(|| format!("\n  ours   {ours}\n  theirs {theirs}"))
}

/// Without what the contract adds or orders on purpose.
fn normalised(mut value: Value) -> Value {
    let key = |item: &Value| ["feature", "flag", "identifier"].iter().find_map(|k| item[k].as_str().map(str::to_owned));
    if let Value::Array(items) = &mut value {
        items.iter_mut().for_each(add_defaults);
        items.sort_by_key(key);
    }
    if value["authToken"].is_string() {
        value["authToken"] = "{JWT}".into();
    }
    add_defaults(&mut value);
    value
}

/// v1 writes tags and empty optional fields that the source did not have, or
/// leaves them out; ours are the source's.
fn add_defaults(item: &mut Value) {
    let Value::Object(members) = item else { return };
    members.retain(|_, value| !value.is_null() && *value != Value::Array(Vec::new()));
    members.values_mut().for_each(|value| match value {
        Value::Array(items) => items.iter_mut().for_each(add_defaults),
        other => add_defaults(other),
    });
}
