//! Everything a client can make grow is bounded, and silence is not for ever.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::client::{Connection, bearer, get, post, request};
use crate::support::configuration::{ENVIRONMENT, KEY, golden};
use crate::support::relay::TestRelay;

#[test]
fn bodies_above_one_mebibyte_are_refused_as_sent_and_as_inflated() {
    use std::io::Write as _;
    let relay = TestRelay::offline(&golden(), &[]);
    let padded = |size: usize| json!({"apiKey": KEY, "x": "y".repeat(size)}).to_string();
    assert_eq!(post(relay.sdk, "/client/auth", &[], &padded(1_000_000)).status, 200);
    let reply = post(relay.sdk, "/client/auth", &[], &padded(1_100_000));
    assert_eq!((reply.status, reply.json()["code"].as_str()), (413, Some("413")));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(padded(1_100_000).as_bytes()).unwrap();
    let bomb = encoder.finish().unwrap();
    let gzip = [("Content-Encoding", "gzip")];
    assert_eq!(request(relay.sdk, "POST", "/client/auth", &gzip, &bomb).status, 413);
}

#[test]
fn headers_of_320_kib_pass_and_endless_ones_do_not() {
    let relay = TestRelay::offline(&golden(), &[]);
    let authorization = bearer(relay.sdk, KEY);
    let path = format!("/client/env/{ENVIRONMENT}/feature-configs/bool-on");
    let large = "x".repeat(320 * 1024);
    let reply = get(relay.sdk, &path, &[("Authorization", &authorization), ("X-Large", &large)]);
    assert_eq!(reply.status, 200);
    let endless = "x".repeat(2 * 1024 * 1024);
    let mut connection = Connection::open(relay.sdk);
    connection.send("GET", &path, &[("X-Endless", &endless)], b"");
    assert!(connection.is_closed() || connection.head().status == 431);
}

#[test]
fn a_client_that_does_not_finish_its_headers_is_cut() {
    let relay = TestRelay::offline(&golden(), &["--header-timeout=1s", "--idle-timeout=3s"]);
    for (sent, at_least, at_most) in
        [(&b""[..], 0.9, 2.9), (b"GET / HT", 0.9, 2.9), (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 2.9, 6.0)]
    {
        let mut connection = Connection::open(relay.sdk);
        let started = Instant::now();
        connection.raw(sent);
        if sent.ends_with(b"\r\n\r\n") {
            assert_eq!(connection.reply(false).status, 200);
        }
        assert!(connection.is_closed());
        let seconds = started.elapsed().as_secs_f64();
        assert!(seconds > at_least && seconds < at_most, "{seconds} for {sent:?}");
    }
}

#[test]
fn a_reader_that_does_not_read_its_answer_is_cut() {
    let relay = TestRelay::offline(&golden(), &["--write-timeout=1s"]);
    let authorization = bearer(relay.sdk, KEY);
    let mut connection = Connection::open(relay.sdk);
    let request = format!(
        "GET /client/env/{ENVIRONMENT}/feature-configs HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n"
    );
    connection.stream.get_ref().set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let started = Instant::now();
    // Requests until the relay takes no more, answers unread.
    while std::io::Write::write(connection.stream.get_mut(), request.as_bytes()).is_ok() {
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    let open = || get(relay.sdk, "/metrics", &[]).text().contains("ff_relay_connections_open 1\n").then_some(());
    crate::support::wait_for("the connection to be cut", open);
}

#[test]
fn connections_over_the_limit_wait_their_turn() {
    let relay = TestRelay::offline(&golden(), &["--max-connections=2"]);
    let first = Connection::open(relay.sdk);
    let second = Connection::open(relay.sdk);
    let mut third = Connection::open(relay.sdk);
    third.send("GET", "/livez", &[], b"");
    third.stream.get_ref().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut byte = [0];
    assert!(std::io::Read::read(&mut third.stream, &mut byte).is_err(), "it must wait");
    drop((first, second));
    third.stream.get_ref().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(third.reply(false).status, 200);
}
