//! Flags and segments as server-side SDKs get them.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::support::client::{Reply, bearer, get, request};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean, golden};
use crate::support::relay::TestRelay;

struct Asking {
    relay: TestRelay,
    authorization: String,
}

impl Asking {
    fn of(configuration: &Configuration) -> Self {
        let relay = TestRelay::offline(configuration.path(), &[]);
        let authorization = bearer(relay.sdk, KEY);
        Asking { relay, authorization }
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut all = vec![("Authorization", self.authorization.as_str())];
        all.extend(headers);
        get(self.relay.sdk, &format!("/client/env/{ENVIRONMENT}/{path}"), &all)
    }
}

#[test]
fn what_the_source_wrote_survives_and_what_sdks_need_is_added() {
    let odd = json!({
        "feature": "odd", "kind": "string", "state": "on", "defaultServe": {"variation": "a", "distribution": null},
        "offVariation": "a", "prerequisites": null, "variations": [{"identifier": "a", "value": "x"}],
        "variationToTargetMap": [{"variation": "a", "targetSegments": ["s"]}], "rules": null,
        "unknown": {"number": 1.50, "big": 12_345_678_901_234_567_890_u64, "list": [1, {"x": "é"}]},
    });
    let configuration = Configuration::with_flags(&[boolean("b", true, 3)]);
    let mut text = serde_json::to_string(&json!([odd])).unwrap();
    text = text.replace("12345678901234567890", "123456789012345678901234567890").replace("1.5,", "1.50,");
    configuration.write_text(ENVIRONMENT, "feature_config.json", &text);
    let asking = Asking::of(&configuration);
    let reply = asking.get("feature-configs/odd", &[]);
    assert!(reply.text().contains("123456789012345678901234567890"), "{}", reply.text());
    let flag = asking.get("feature-configs", &[]).ok()[0].clone();
    assert_eq!(flag["version"], 1);
    assert_eq!(flag["rules"], json!([]));
    assert_eq!(flag["prerequisites"], json!([]));
    assert_eq!(flag["variationToTargetMap"][0]["targets"], json!([]));
    assert!(flag["defaultServe"].get("distribution").is_none());
    assert_eq!(flag["unknown"]["list"], json!([1, {"x": "é"}]));
    assert_eq!(asking.get("feature-configs/none", &[]).status, 404);
}

#[test]
fn segments_come_with_or_without_serving_rules() {
    let asking = Asking::of(&Configuration::golden());
    let by_name = |list: &Value, name: &str| {
        list.as_array().unwrap().iter().find(|segment| segment["identifier"] == name).unwrap().clone()
    };
    let v2 = asking.get("target-segments?rules=v2&cluster=null", &[]).ok();
    let legacy = asking.get("target-segments?cluster=1", &[]).ok();
    let gold = by_name(&v2, "gold");
    assert_eq!((gold["servingRules"].as_array().unwrap().len(), &gold["rules"]), (2, &json!([])));
    let gold = by_name(&legacy, "gold");
    assert!(gold.get("servingRules").is_none());
    let attributes: Vec<&Value> = gold["rules"].as_array().unwrap().iter().map(|rule| &rule["attribute"]).collect();
    assert_eq!(attributes, ["vip"], "several clauses cannot be said in the old form");
    assert_eq!(by_name(&legacy, "beta"), asking.get("target-segments/beta", &[]).ok());
    assert_eq!(by_name(&v2, "beta"), asking.get("target-segments/beta?rules=v2", &[]).ok());
    assert_eq!(asking.get("target-segments/none", &[]).status, 404);
}

#[test]
fn lists_have_tags_and_gzip_and_304() {
    let flags: Vec<Value> = (0..500).map(|i| boolean(&format!("flag-{i}"), true, i)).collect();
    let configuration = Configuration::with_flags(&flags);
    let asking = Asking::of(&configuration);
    let plain = asking.get("feature-configs", &[]);
    let gzip = asking.get("feature-configs", &[("Accept-Encoding", "gzip, deflate")]);
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut inflated = Vec::new();
    let mut decoder = flate2::bufread::GzDecoder::new(gzip.body.as_slice());
    decoder.read_to_end(&mut inflated).unwrap();
    assert_eq!(inflated, plain.body);
    assert!(decoder.into_inner().is_empty(), "one member");
    assert!(gzip.body.len() < plain.body.len() / 5);
    let tags = [plain.header("etag").unwrap(), gzip.header("etag").unwrap()];
    assert_ne!(tags[0], tags[1]);
    for tag in tags {
        for encoding in ["gzip", "identity"] {
            let headers = [("If-None-Match", tag), ("Accept-Encoding", encoding)];
            let reply = asking.get("feature-configs", &headers);
            assert_eq!((reply.status, reply.body.len()), (304, 0));
            assert_eq!(reply.header("vary"), Some("Accept-Encoding"));
        }
    }
    assert_eq!(asking.get("feature-configs", &[("If-None-Match", "\"x\"")]).status, 200);
    assert_eq!(plain.header("cache-control"), None);
    assert_eq!(plain.header("content-type"), Some("application/json; charset=utf-8"));
}

#[test]
fn a_known_environment_with_nothing_in_it_is_an_empty_list() {
    let relay = TestRelay::offline(&golden(), &[]);
    let authorization = bearer(relay.sdk, OTHER_KEY);
    let path = format!("/client/env/{OTHER}/target-segments");
    let reply = get(relay.sdk, &path, &[("Authorization", &authorization)]);
    assert_eq!(reply.text(), "[]");
    let head = request(relay.sdk, "HEAD", &path, &[("Authorization", &authorization)], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("2")));
}

#[test]
fn every_answer_has_cors_and_a_request_id() {
    let relay = TestRelay::offline(&golden(), &["--cors-allowed-origins=https://a.example,https://b.example"]);
    let ask = |method: &str, path: &str, origin: &str| request(relay.sdk, method, path, &[("Origin", origin)], b"");
    let preflight = ask("OPTIONS", "/client/auth", "https://a.example");
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, Some("https://a.example")));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("*,Authorization"));
    assert_eq!(
        ask("GET", "/nowhere", "https://b.example").header("access-control-allow-origin"),
        Some("https://b.example")
    );
    assert_eq!(ask("GET", "/nowhere", "https://c.example").header("access-control-allow-origin"), None);
    assert_eq!(ask("GET", "/health", "https://a.example").header("vary"), Some("Origin"));
    let given = get(relay.sdk, "/health", &[("X-Request-ID", "my-request-7")]);
    assert_eq!(given.header("x-request-id"), Some("my-request-7"));
    let made = get(relay.sdk, "/nowhere", &[]);
    assert_eq!((made.status, made.header("x-request-id").unwrap().len()), (404, 36));
    let wrong = request(relay.sdk, "DELETE", "/client/auth", &[], b"");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("OPTIONS, POST")));
    assert_eq!(wrong.header("content-type"), Some("application/json; charset=utf-8"));
}
