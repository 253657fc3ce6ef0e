//! Messages that say nothing clear lead to a resync; ones that come in an odd form are read.

use serde_json::json;

use crate::fake_harness::Route;
use crate::fake_harness::streams::framed;
use crate::setup::{followed, one_environment, turn_off};
use crate::support::configuration::ENVIRONMENT;

#[test]
fn unclear_ones_lead_to_a_resync() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    let messages = [
        "garbage",
        "{",
        "[]",
        "null",
        r#"{"event":"patch","domain":"flag"}"#,
        r#"{"event":"patch","domain":"moon","identifier":"a","version":9}"#,
        r#"{"event":"explode","domain":"flag","identifier":"a","version":9}"#,
        r#"{"event":"patch","domain":"flag","identifier":7,"version":"x"}"#,
    ];
    for message in messages {
        fake.silently(|| fake.patch_flag(ENVIRONMENT, "a", |_| ()));
        fake.send_raw(&framed(message));
        assert_eq!(events.next_short(), "patch flag a", "after {message}");
    }
    assert_eq!(fake.count(Route::Stream), 1, "the stream stays");
}

#[test]
fn split_at_any_byte_they_are_whole_again() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.forget_requests();
    for size in [1, 2, 3, 7, 20] {
        let version = fake.silently(|| fake.patch_flag(ENVIRONMENT, "a", |_| ()));
        let message = json!({"event": "patch", "domain": "flag", "identifier": "a", "version": version, "extra": "ä→"});
        fake.send_in_pieces(&framed(&message.to_string()), size);
        assert_eq!(events.next().unwrap()["version"], version, "in pieces of {size}");
    }
    assert_eq!((fake.count(Route::Flag), fake.count(Route::Flags)), (5, 0));
}

#[test]
fn other_line_ends_and_fields_are_read() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.forget_requests();
    let patch = r#"{"event":"patch","domain":"flag","identifier":"a","version":"#;
    let forms: [&dyn Fn(i64) -> String; 5] = [
        &|v| format!("event: *\r\ndata: {patch}{v}}}\r\n\r\n"),
        &|v| format!("data:{patch}{v}}}\n\n"),
        &|v| format!("id: 7\nevent: *\nretry: 10\ndata: {patch}\ndata: {v}}}\n\n"),
        &|v| format!("data: {patch}{v}}}\nevent: *\n: a comment\n\n"),
        &|v| format!("\n\n:\n\n: text\n\nevent: *\ndata: {patch}{v}}}\n\n\n\n"),
    ];
    for form in forms {
        let version = fake.silently(|| fake.patch_flag(ENVIRONMENT, "a", |_| ()));
        fake.send_raw(form(version).as_bytes());
        assert_eq!(events.next().unwrap()["version"], version, "{:?}", form(version));
    }
    assert_eq!((fake.count(Route::Flag), fake.count(Route::Flags)), (5, 0), "read as they are, without a resync");
}

#[test]
fn two_in_one_write_are_two() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    let (flag, segment) =
        fake.silently(|| (fake.patch_flag(ENVIRONMENT, "a", turn_off), fake.patch_segment(ENVIRONMENT, "s", |_| ())));
    let of = |domain: &str, name: &str, version: i64| {
        framed(&json!({"event": "patch", "domain": domain, "identifier": name, "version": version}).to_string())
    };
    fake.send_raw(&[of("flag", "a", flag), of("target-segment", "s", segment)].concat());
    assert_eq!(events.take_sorted(2), ["patch flag a", "patch target-segment s"]);
}

/// Memory stays bounded, and what the message may have said is fetched.
#[test]
fn an_endless_one_does_no_harm() {
    let fake = one_environment();
    let (_relay, sdk) = followed(&fake, &[]);
    let mut events = sdk.stream();
    fake.silently(|| fake.patch_flag(ENVIRONMENT, "a", turn_off));
    let piece = vec![b'x'; 1024 * 1024];
    fake.send_raw(b"data: ");
    for _ in 0..16 {
        fake.send_raw(&piece);
    }
    fake.send_raw(b"\n\n");
    assert_eq!(events.next_short(), "patch flag a");
    fake.wait_for_streams(1);
    fake.patch_flag(ENVIRONMENT, "a", |_| ());
    assert_eq!(events.next_short(), "patch flag a");
}
