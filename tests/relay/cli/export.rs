//! `export`, `verify` of a relay: whole files only, resumed where they were cut.

use serde_json::json;

use super::fake::{Fake, Script};
use super::{Shell, TOKENS};
use crate::support::configuration::{Configuration, ENVIRONMENT, OTHER, golden, key_hash};
use crate::support::relay::TestRelay;

#[test]
fn an_export_is_what_pack_makes() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let shell = Shell::of(&relay);
    for name in ["flags.tar.gz", "flags.tar.zst"] {
        let packed = format!("packed-{name}");
        shell.run(&["pack", golden().to_str().unwrap(), &packed]).good();
        let said = shell.run(&["export", name]);
        assert!(said.good().starts_with(&format!("{name}: 2 environments, ")), "{said:?}");
        assert!(std::fs::read(shell.path(name)).unwrap() == std::fs::read(shell.path(&packed)).unwrap());
    }
    let left: Vec<_> = std::fs::read_dir(shell.path(".")).unwrap().collect();
    assert_eq!(left.len(), 6, "no partial file is left: {left:?}");
    let value = shell.run(&["export", "x.tgz", "--environment", OTHER, "--part", "flags", "--output", "json"]).json();
    assert_eq!((&value["parts"], &value["environments"][0]["id"]), (&json!(["FLAGS"]), &json!(OTHER)));
    assert_eq!(shell.run(&["export", "x.zip"]).code, 64);
    assert_eq!(shell.run(&["export", "x.tar.gz", "--compression", "zstd"]).code, 64);
    shell.run(&["export", "x.bin", "--compression", "zstd"]).good();
    assert_eq!(shell.run(&["export", "x.tgz", "--environment", "nowhere"]).code, 1);
    let verified = shell.run(&["verify", &shell.address]);
    assert!(
        verified.good().contains(&format!("{}: 2 environments, 12 flags, 0 errors", shell.address)),
        "{verified:?}"
    );
    assert_eq!(shell.run(&["verify", "127.0.0.1:1"]).code, 2);
}

#[test]
fn a_transfer_that_is_cut_goes_on_where_it_ended() {
    let place = Shell::at("127.0.0.1:1".parse().unwrap(), "t");
    let large = Configuration::large();
    place.run(&["pack", large.path().to_str().unwrap(), "whole.tar.gz"]).good();
    let archive = std::fs::read(place.path("whole.tar.gz")).unwrap();
    let cut_after = archive.len() / 6;
    let fake = Fake::start(Script { archive: archive.clone(), cut_after, ..Script::default() });
    let shell = Shell::at(fake.address, "t");
    shell.run(&["export", "flags.tar.gz"]).good();
    assert!(std::fs::read(shell.path("flags.tar.gz")).unwrap() == archive);
    let offsets: Vec<u64> = fake.asked.lock().unwrap().exports.iter().map(|it| it.offset).collect();
    assert!(offsets.len() >= 6, "{offsets:?}");
    assert!(offsets.is_sorted() && offsets[1] == cut_after as u64, "{offsets:?}");
    assert!(!shell.path("flags.tar.gz.partial").exists() && !shell.path("flags.tar.gz.partial.sha256").exists());
}

#[test]
fn a_later_run_goes_on_too_and_another_content_begins_anew() {
    let configuration = Configuration::large();
    let relay = TestRelay::offline(configuration.path(), &TOKENS);
    let shell = Shell::of(&relay);
    shell.run(&["export", "whole.tar.gz"]).good();
    let whole = std::fs::read(shell.path("whole.tar.gz")).unwrap();
    let sha256 = shell.run(&["export", "again.tar.gz", "--output", "json"]).json()["sha256"].clone();
    let begin = |bytes: &[u8], digest: &str| {
        std::fs::write(shell.path("flags.tar.gz.partial"), bytes).unwrap();
        std::fs::write(shell.path("flags.tar.gz.partial.sha256"), digest).unwrap();
    };
    begin(&whole[..400_000], sha256.as_str().unwrap());
    let value = shell.run(&["export", "flags.tar.gz", "--output", "json"]).json();
    assert_eq!(value["resumedFrom"], 400_000);
    assert!(std::fs::read(shell.path("flags.tar.gz")).unwrap() == whole);
    for (bytes, digest) in
        [(&whole[..10], key_hash("another")), (&[b"x", &whole[..]].concat(), sha256.as_str().unwrap().into())]
    {
        begin(bytes, &digest);
        let value = shell.run(&["export", "flags.tar.gz", "--output", "json"]).json();
        assert_eq!(value["resumedFrom"], 0, "{digest}");
        assert!(std::fs::read(shell.path("flags.tar.gz")).unwrap() == whole);
    }
    let other = std::fs::File::create(shell.path("flags.tar.gz.partial")).unwrap();
    other.lock().unwrap();
    let busy = shell.run(&["export", "flags.tar.gz"]);
    assert!(busy.code == 1 && busy.err.contains("another export"), "{busy:?}");
    drop(other);
    // A beginning that was damaged is found out, and not put in place.
    std::fs::remove_file(shell.path("flags.tar.gz")).unwrap();
    begin(&vec![0; 1000], sha256.as_str().unwrap());
    let damaged = shell.run(&["export", "flags.tar.gz"]);
    assert!(damaged.code == 1 && !shell.path("flags.tar.gz").exists(), "{damaged:?}");
    shell.run(&["export", "flags.tar.gz"]).good();
}

#[test]
fn learnt_targets_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let body = json!({"apiKey": "golden-server-key", "target": {"identifier": "jo", "attributes": {}}});
    crate::support::client::post(relay.sdk, "/client/auth", &[], &body.to_string()).ok();
    let shell = Shell::of(&relay);
    let value = shell.run(&["export", "flags.tar.gz", "--include-learnt-targets", "--output", "json"]).json();
    assert_eq!(value["parts"].as_array().unwrap().len(), 5);
    let mode = std::fs::metadata(shell.path("flags.tar.gz")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    shell.run(&["unpack", "flags.tar.gz", "config"]).good();
    let learnt = std::fs::read_to_string(shell.path(&format!("config/env-{ENVIRONMENT}/learnt_targets.json"))).unwrap();
    assert!(learnt.contains("\"jo\""), "{learnt}");
}
