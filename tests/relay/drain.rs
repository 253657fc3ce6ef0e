//! Shutdown: in order, within its time.

use std::time::{Duration, Instant};

use ff_relay::app::Outcome;

use crate::support::client::{Connection, bearer, get};
use crate::support::configuration::{ENVIRONMENT, KEY, golden};
use crate::support::events::Events;
use crate::support::relay::TestRelay;

#[test]
fn streams_end_requests_finish_and_nothing_new_is_taken() {
    let mut relay = TestRelay::offline(&golden(), &["--shutdown-grace=4s"]);
    let authorization = bearer(relay.sdk, KEY);
    let mut streams: Vec<Events> = (0..20).map(|_| Events::open(relay.sdk, KEY, &authorization, &[])).collect();
    let mut slow = Connection::open(relay.sdk);
    slow.raw(b"POST /client/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 31\r\n\r\n{\"apiKey\":");
    let mut idle = Connection::open(relay.sdk);
    idle.send("GET", "/livez", &[], b"");
    assert_eq!(idle.reply(false).status, 200);
    let started = Instant::now();
    relay.begin_stop();
    assert!(idle.is_closed(), "idle connections are closed");
    slow.raw(b"\"golden-server-key\" }");
    assert_eq!(slow.reply(false).status, 200, "what was begun is finished");
    for stream in &mut streams {
        assert_eq!(stream.next(), None);
    }
    assert_eq!(relay.stop(), Outcome::Drained);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn a_client_that_does_not_end_is_cut_at_the_end_of_the_grace() {
    let mut relay = TestRelay::offline(&golden(), &["--shutdown-grace=500ms"]);
    let mut stuck = Connection::open(relay.sdk);
    stuck.raw(b"POST /client/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 31\r\n\r\n{");
    get(relay.sdk, "/livez", &[]);
    let started = Instant::now();
    relay.begin_stop();
    assert_eq!(relay.stop(), Outcome::Cut);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_process_obeys_sigterm_and_says_how_it_ended() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_ff-relay"))
        .args(["--offline", "--port=0", "--grpc-address=off", "--listen-address=127.0.0.1"])
        .arg(format!("--config-dir={}", golden().display()))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"serving\"") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut log, &mut line).unwrap() > 0, "it ended early");
    }
    assert!(line.contains("\"environments\":2") && line.contains("127.0.0.1:"), "{line}");
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut log, &mut rest).unwrap();
    assert!(rest.contains("SIGTERM") && rest.contains("\"stopped\""), "{rest}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let _ = ENVIRONMENT;
}

#[test]
fn what_cannot_be_served_ends_with_64_and_one_line() {
    let run = |path: &str| {
        std::process::Command::new(env!("CARGO_BIN_EXE_ff-relay"))
            .args(["--offline", "--port=0", "--grpc-address=off", "--config-dir", path])
            .output()
            .unwrap()
    };
    let place = tempfile::tempdir().unwrap();
    for (what, text) in [("missing", None), ("holds no environment", Some("")), ("line 3, column 1", Some("[\n{},\n]"))]
    {
        let path = place.path().join(what);
        if let Some(text) = text {
            std::fs::create_dir_all(&path).unwrap();
            if !text.is_empty() {
                std::fs::create_dir_all(path.join("env-a")).unwrap();
                std::fs::write(path.join("env-a/feature_config.json"), text).unwrap();
            }
        }
        let output = run(path.to_str().unwrap());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{said}");
        let errors = said.lines().filter(|line| line.contains("ERROR")).count();
        assert_eq!(errors, 1, "{said}");
        assert!(what == "missing" || said.contains(what), "{said}");
    }
}
