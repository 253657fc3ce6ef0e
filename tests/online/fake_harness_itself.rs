//! The fake does what the other tests take for granted.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake_harness::world::key_hash;
use crate::fake_harness::{ADMIN_TOKEN, FakeHarness, Fault, Route};
use crate::support::client::{Connection, Reply, get, post, request};
use crate::support::configuration::{ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean};

const FLAGS: &str = "/client/env/11111111-1111-4111-8111-111111111111/feature-configs";

fn fake() -> FakeHarness {
    let fake = FakeHarness::start();
    fake.add_environment(ENVIRONMENT, KEY);
    fake.create_flag(ENVIRONMENT, boolean("a", true, 1));
    fake
}

fn token(fake: &FakeHarness, key: &str) -> String {
    let reply = post(fake.address(), "/api/1.0/client/auth", &[], &json!({"apiKey": key}).to_string());
    format!("Bearer {}", reply.ok()["authToken"].as_str().unwrap())
}

fn flags(fake: &FakeHarness, authorization: &str) -> Reply {
    get(fake.address(), FLAGS, &[("Authorization", authorization)])
}

fn stream(fake: &FakeHarness, key: &str, authorization: &str) -> Connection {
    let mut connection = Connection::open(fake.address());
    connection.send("GET", "/stream?cluster=1", &[("API-Key", key), ("Authorization", authorization)], b"");
    assert_eq!(connection.head().status, 200);
    connection
}

fn text(connection: &mut Connection) -> String {
    connection.chunk().map_or_else(|| "end".to_owned(), |chunk| String::from_utf8(chunk).unwrap())
}

#[test]
fn keys_tokens_lists_and_items() {
    let fake = fake();
    assert_eq!(post(fake.address(), "/client/auth", &[], r#"{"apiKey":"x"}"#).status, 401);
    let authorization = token(&fake, KEY);
    assert_ne!(authorization, token(&fake, KEY));
    assert_eq!(flags(&fake, &authorization).ok()[0]["feature"], "a");
    let one = get(fake.address(), &format!("/sdk/api/1.0{FLAGS}/a"), &[("Authorization", &authorization)]);
    assert_eq!(one.ok()["version"], 1);
    assert_eq!(get(fake.address(), &format!("{FLAGS}/b"), &[("Authorization", &authorization)]).status, 404);
    fake.add_environment(OTHER, OTHER_KEY);
    assert_eq!(flags(&fake, &token(&fake, OTHER_KEY)).status, 403);
    fake.expire_tokens();
    assert_eq!(flags(&fake, &authorization).status, 401);
    assert_eq!((fake.count(Route::Auth), fake.count_in(ENVIRONMENT, Route::Auth)), (4, 2));
    let seen: Vec<_> = fake.requests(Route::Flags).iter().map(|request| request.status.unwrap()).collect();
    assert_eq!(seen, [200, 403, 401]);
}

#[test]
fn the_admin_service_has_pages() {
    let fake = fake();
    fake.add_key(ENVIRONMENT, "second", "Client");
    fake.add_key_row(ENVIRONMENT, json!({"identifier": "without a hash"}));
    fake.set_page_limit(2);
    let page = |kind: &str, number: usize| {
        let query = format!(
            "accountIdentifier=a&orgIdentifier=o&projectIdentifier=p&environmentIdentifier=name-111111111111&pageNumber={number}&pageSize=100"
        );
        get(fake.address(), &format!("/gateway/cf/admin/{kind}?{query}"), &[("x-api-key", ADMIN_TOKEN)]).ok()
    };
    let first = page("apikey", 0);
    assert_eq!(first["apiKeys"][0]["key"], key_hash(KEY));
    assert_eq!((&first["pageCount"], &first["itemCount"], &first["pageSize"]), (&json!(2), &json!(3), &json!(2)));
    assert_eq!(page("apikey", 1)["apiKeys"].as_array().unwrap().len(), 1);
    assert_eq!(page("apikey", 2)["apiKeys"], json!([]));
    fake.set_last_page_repeats(true);
    assert_eq!(page("apikey", 2), page("apikey", 1));
    fake.set_targets(ENVIRONMENT, vec![json!({"identifier": "t"})]);
    assert_eq!(page("targets", 0)["targets"][0]["identifier"], "t");
    assert_eq!(get(fake.address(), "/gateway/cf/admin/apikey", &[]).status, 401);
}

#[test]
fn streams_tell_changes_and_end_in_every_way() {
    let fake = fake();
    fake.set_heartbeat(Duration::from_millis(100));
    let authorization = token(&fake, KEY);
    let mut first = stream(&fake, KEY, &authorization);
    assert_eq!(text(&mut first), ":\n\n");
    fake.set_silent(true);
    assert_eq!(fake.patch_flag(ENVIRONMENT, "a", |flag| flag["state"] = json!("off")), 2);
    fake.silently(|| fake.patch_flag(ENVIRONMENT, "a", |_| ()));
    fake.delete_flag(ENVIRONMENT, "a");
    let mut next = || {
        loop {
            let chunk = text(&mut first);
            if chunk != ":\n\n" {
                return chunk;
            }
        }
    };
    let patch: Value = serde_json::from_str(next().trim().trim_start_matches("event: *\ndata: ")).unwrap();
    assert_eq!(patch, json!({"event": "patch", "domain": "flag", "identifier": "a", "version": 2}));
    assert!(next().contains("delete"));
    fake.send_in_pieces(b"garbage\n\n", 4);
    assert_eq!((next(), next(), next()), ("garb".into(), "age\n".into(), "\n".into()));
    fake.close_streams();
    assert_eq!(next(), "end");
    let mut second = stream(&fake, KEY, &authorization);
    fake.reset_streams();
    let mut byte = [0];
    let error = second.stream.read(&mut byte).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let _third = stream(&fake, KEY, &authorization);
    fake.wait_for_streams(1);
    fake.freeze_streams();
    fake.wait_for_streams(0);
}

#[test]
fn faults_are_met_where_and_as_often_as_told() {
    let fake = fake();
    let authorization = token(&fake, KEY);
    let planted = fake.fail(Route::Flags).within(ENVIRONMENT).times(2).with(Fault::too_many(3));
    assert_eq!(flags(&fake, &authorization).header("retry-after"), Some("3"));
    assert_eq!(flags(&fake, &authorization).status, 429);
    assert_eq!((flags(&fake, &authorization).status, planted.hits()), (200, 2));
    let whole = flags(&fake, &authorization).body.len();
    for (fault, least, most) in
        [(Fault::Truncated, whole, 1000), (Fault::Reset(20), 0, 20), (Fault::Reset(0), 0, 0), (Fault::Lost, 0, 0)]
    {
        let planted = fake.fail(Route::Flags).with(fault);
        let mut connection = Connection::open(fake.address());
        connection.send("GET", FLAGS, &[("Authorization", &authorization)], b"");
        let mut got = Vec::new();
        let _ = connection.stream.read_to_end(&mut got);
        assert!((least..=most).contains(&got.len()), "{}", String::from_utf8_lossy(&got));
        fake.clear(&planted);
    }
    fake.fail_everything().times(1).with(Fault::Delay(Duration::from_millis(50)));
    let started = Instant::now();
    assert_eq!(flags(&fake, &authorization).status, 200);
    assert!(started.elapsed() >= Duration::from_millis(50));
    fake.fail(Route::Flags).when(|request| request.query("cluster") == Some("2")).with(Fault::html());
    assert_eq!(flags(&fake, &authorization).status, 200);
    let other = get(fake.address(), &format!("{FLAGS}?cluster=2"), &[("Authorization", &authorization)]);
    assert!(other.text().starts_with("<!doctype"));
}

#[test]
fn lags_and_tags() {
    let fake = fake();
    let authorization = token(&fake, KEY);
    fake.lag(ENVIRONMENT, Route::Flags, 1);
    fake.patch_flag(ENVIRONMENT, "a", |_| ());
    let versions: Vec<_> = (0..2).map(|_| flags(&fake, &authorization).ok()[0]["version"].clone()).collect();
    assert_eq!(versions, [1, 2]);
    fake.set_etags(true);
    let tag = flags(&fake, &authorization).header("etag").unwrap().to_owned();
    let ask = || get(fake.address(), FLAGS, &[("Authorization", &authorization), ("If-None-Match", &tag)]).status;
    assert_eq!(ask(), 304);
    fake.patch_flag(ENVIRONMENT, "a", |_| ());
    assert_eq!(ask(), 200);
}

#[test]
fn metrics_are_kept_even_when_the_answer_is_lost() {
    let fake = fake();
    let authorization = token(&fake, KEY);
    let body = json!({"metricsData": [{"count": 3, "attributes": [{"key": "featureIdentifier", "value": "a"}]}]});
    let path = format!("/events/api/1.0/metrics/{ENVIRONMENT}");
    let send = || {
        let mut connection = Connection::open(fake.address());
        connection.send("POST", &path, &[("Authorization", &authorization)], body.to_string().as_bytes());
        let mut got = String::new();
        let _ = connection.stream.get_ref().set_read_timeout(Some(Duration::from_millis(200)));
        let _ = connection.stream.read_to_string(&mut got);
        got
    };
    fake.fail(Route::Metrics).times(1).with(Fault::Lost);
    assert_eq!(send(), "");
    assert_eq!(fake.counted(ENVIRONMENT, "a"), 3);
    assert!(send().contains(" 200 "));
    assert_eq!((fake.counted(ENVIRONMENT, "a"), fake.metrics(ENVIRONMENT).len()), (6, 2));
    assert_eq!(post(fake.address(), &path, &[], "{}").status, 401);
}

#[test]
fn a_proxy_key_covers_what_there_was_at_its_authentication() {
    let fake = fake();
    fake.set_proxy_key("proxy");
    let authenticate = || {
        let reply = post(fake.address(), "/proxy/auth", &[], r#"{"proxyKey":"proxy"}"#);
        format!("Bearer {}", reply.ok()["authToken"].as_str().unwrap())
    };
    let config = |authorization: &str, more: &str| {
        let path = format!("/proxy/config?key=proxy&cluster=1&pageNumber=0&pageSize=10{more}");
        get(fake.address(), &path, &[("Authorization", authorization)])
    };
    let authorization = authenticate();
    let mut events = stream(&fake, "proxy", &authorization);
    let page = config(&authorization, "").ok();
    assert_eq!((&page["pageCount"], &page["environments"][0]["id"]), (&json!(1), &json!(ENVIRONMENT)));
    assert_eq!(page["environments"][0]["apiKeys"], json!([key_hash(KEY)]));
    fake.add_environment(OTHER, OTHER_KEY);
    assert!(text(&mut events).contains("environmentsAdded"));
    assert_eq!(config(&authorization, &format!("&environment={OTHER}")).status, 403);
    let fresh = config(&authenticate(), &format!("&environment={OTHER}")).ok();
    assert_eq!(fresh["environments"][0]["featureConfigs"], json!([]));
    fake.create_flag(OTHER, boolean("b", true, 4));
    assert!(text(&mut events).contains(&format!("\"environment\":\"{OTHER}\"")));
    fake.remove_key(OTHER, OTHER_KEY);
    assert!(text(&mut events).contains(&key_hash(OTHER_KEY)));
    fake.delete_proxy_key();
    assert!(text(&mut events).contains("proxyKeyDeleted"));
    assert_eq!(config(&authorization, "").status, 401);
}

#[test]
fn it_goes_away_and_comes_back_on_the_same_port() {
    let fake = fake();
    let authorization = token(&fake, KEY);
    let mut open = stream(&fake, KEY, &authorization);
    fake.fail(Route::Segments).with(Fault::Hang);
    let mut hanging = Connection::open(fake.address());
    hanging.send("GET", &FLAGS.replace("feature-configs", "target-segments"), &[], b"");
    fake.wait_for_count(Route::Segments, 1);
    fake.stop();
    assert_eq!(open.chunk(), None);
    assert_eq!(hanging.stream.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let refused = TcpStream::connect(fake.address()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    fake.restart();
    assert_eq!(
        request(fake.address(), "GET", FLAGS, &[("Authorization", &authorization)], b"").ok()[0]["feature"],
        "a"
    );
}
