//! Redis as a Go proxy fills it.

use std::path::Path;

use ff_relay::model::json::Json;

use crate::redis_server::RedisServer;

pub const EVENTS: &str = "proxy:sse_events";
pub const USAGE: &str = "stream:sdk_metrics";

/// Writes a recording of `tests/fixtures/redis`.
pub fn load(redis: &RedisServer, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/redis").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let Json::Object(members) = Json::parse(&text).unwrap() else { panic!("no object") };
    for (key, member) in members {
        let value = member.get("value").unwrap();
        if let Some(json) = value.get("json") {
            redis.cli::<()>(&["SET", &key, &as_go_writes(json)]);
        } else if let Some(entries) = value.get("entries").and_then(Json::as_array) {
            for entry in entries {
                let event = entry.get("fields").and_then(|fields| fields.get("event")).and_then(Json::as_str);
                redis.cli::<String>(&["XADD", &key, "*", "event", event.unwrap()]);
            }
        }
    }
}

fn as_go_writes(json: &Json<'_>) -> String {
    json.compact().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// As a Go primary, or a Go replica for `USAGE`.
pub fn add(redis: &RedisServer, stream: &str, event: &serde_json::Value) -> String {
    redis.cli(&["XADD", stream, "*", "event", &event.to_string()])
}

/// The events of a stream.
pub fn events(redis: &RedisServer, stream: &str) -> Vec<serde_json::Value> {
    let entries: Vec<(String, Vec<String>)> = redis.cli(&["XRANGE", stream, "-", "+"]);
    entries.iter().map(|(_, fields)| serde_json::from_str(&fields[1]).unwrap()).collect()
}
