//! Archives and the commands that make them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use ff_relay::model::json::Json;
use ff_relay::snapshot::archive::{Compression, Contents, Limits, Tree, read, write};
use ff_relay::snapshot::content::EnvironmentId;
use ff_relay::snapshot::item::{Item, ItemKind};
use ff_relay::snapshot::report::ProblemKind;
use ff_relay::snapshot::tree::Part;
use ff_relay::source::file::Location;
use ff_relay::source::file::load::read_once;
use serde_json::{Value, json};

use crate::support::client::{bearer, get};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, boolean, golden};
use crate::support::grpc::stored_targets;
use crate::support::relay::TestRelay;
use crate::support::tar_by_hand::gzipped as tar;

fn command(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ff-relay")).args(arguments).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(arguments: &[&str]) -> String {
    let output = command(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn packing_is_deterministic_and_the_relay_serves_what_was_packed() {
    let place = tempfile::tempdir().unwrap();
    for name in ["a.tar.gz", "a.tar.zst"] {
        let first = place.path().join(name);
        let unpacked = place.path().join(format!("unpacked-{name}"));
        let again = place.path().join(format!("again-{name}"));
        run(&["pack", text(&golden()), text(&first)]);
        run(&["unpack", text(&first), text(&unpacked)]);
        run(&["pack", text(&unpacked), text(&again)]);
        assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&again).unwrap(), "{name}");
        let relay = TestRelay::offline(&first, &[]);
        let directory = TestRelay::offline(&golden(), &[]);
        let path = format!("/client/env/{ENVIRONMENT}/target-segments?rules=v2");
        let ask = |relay: &TestRelay| get(relay.sdk, &path, &[("Authorization", &bearer(relay.sdk, KEY))]).ok();
        assert_eq!(sorted(ask(&relay)), sorted(ask(&directory)));
    }
}

/// The archive's own field order is another one.
fn sorted(value: Value) -> Value {
    serde_json::from_str(&value.to_string()).unwrap()
}

#[test]
fn plain_tars_are_taken_whatever_directory_they_begin_with() {
    let place = tempfile::tempdir().unwrap();
    crate::support::configuration::copy(&golden(), &place.path().join("config"));
    for (name, arguments) in [
        ("dot.tar.gz", vec!["-C", "config", "."]),
        ("dir.tar.gz", vec!["config"]),
        ("star.tar.gz", vec!["-C", "config", &format!("env-{ENVIRONMENT}")]),
    ] {
        let archive = place.path().join(name);
        let mut tar = Command::new("tar");
        assert!(tar.current_dir(&place).arg("czf").arg(&archive).args(arguments).status().unwrap().success());
        let relay = TestRelay::start(&[&format!("--file-data-source={}", archive.display())]).unwrap();
        bearer(relay.sdk, KEY);
    }
}

#[test]
fn damaged_archives_are_refused_whole() {
    let place = tempfile::tempdir().unwrap();
    for compression in [Compression::Gzip, Compression::Zstd] {
        let name = if compression == Compression::Gzip { "a.tar.gz" } else { "a.tar.zst" };
        let archive = place.path().join(name);
        run(&["pack", text(&golden()), text(&archive)]);
        let bytes = std::fs::read(&archive).unwrap();
        let try_read = |bytes: &[u8]| read("a", bytes.len() as u64, bytes, compression, &Limits::default());
        let good = try_read(&bytes).unwrap();
        assert_eq!(good.environments.len(), 2);
        for cut in (0..bytes.len()).step_by(7) {
            assert!(try_read(&bytes[..cut]).is_err(), "{name} cut at {cut}");
        }
        for at in (12..bytes.len()).step_by(3) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            if let Ok(tree) = try_read(&flipped) {
                // A bit that carries nothing, as the padding of a block.
                assert_eq!(format!("{:?}", tree.environments), format!("{:?}", good.environments), "{name} at {at}");
            }
        }
        let mut longer = bytes.clone();
        longer.extend_from_slice(b"more");
        assert!(try_read(&longer).is_err());
    }
}

#[test]
fn hostile_archives_are_refused() {
    use tar::EntryType::{Regular, Symlink};
    let inside = "env-a/auth_config.json";
    let bomb = vec![b' '; 8 * 1024 * 1024];
    let small = Limits { inflated_bytes: 1024 * 1024, ratio_from_bytes: 1024 * 1024, entries: 10, ..Limits::default() };
    let many: Vec<(String, Vec<u8>)> = (0..20).map(|i| (format!("env-a/x{i}"), Vec::new())).collect();
    let many: Vec<_> = many.iter().map(|(path, bytes)| (path.as_str(), Regular, bytes.as_slice())).collect();
    for (what, entries) in [
        ("points outside", vec![("../env-a/auth_config.json", Regular, &b"[]"[..])]),
        ("points outside", vec![("/env-a/auth_config.json", Regular, &b"[]"[..])]),
        ("link or device", vec![(inside, Symlink, &b""[..])]),
        ("stands twice", vec![(inside, Regular, &b"[]"[..]), ("./env-a//auth_config.json", Regular, &b"[]"[..])]),
        ("more than the limit", vec![(inside, Regular, bomb.as_slice())]),
        ("more than 10 entries", many),
        (
            "several directories",
            vec![("x/env-a/segments.json", Regular, &b"[]"[..]), ("y/env-b/segments.json", Regular, &b"[]"[..])],
        ),
        ("format version 2", vec![("manifest.json", Regular, &br#"{"formatVersion":2}"#[..])]),
        (
            "not list",
            vec![
                ("manifest.json", Regular, &br#"{"formatVersion":1,"parts":[],"environments":[],"files":[]}"#[..]),
                (inside, Regular, &b"[]"[..]),
            ],
        ),
    ] {
        let bytes = tar(&entries);
        let error = read("a", bytes.len() as u64, bytes.as_slice(), Compression::Gzip, &small).unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
}

#[test]
fn tricks_of_tar_headers_are_refused_or_change_nothing() {
    use tar::EntryType::{GNULongName, GNUSparse, Regular, XGlobalHeader, XHeader};
    let inside = "env-a/auth_config.json";
    let small = Limits { inflated_bytes: 1024 * 1024, ratio_from_bytes: 1024 * 1024, ..Limits::default() };
    let try_read = |bytes: &[u8]| read("a", bytes.len() as u64, bytes, Compression::Gzip, &small);
    let long = format!("env-{}/auth_config.json\0", "b".repeat(150));
    let huge_name = vec![b'a'; 100 * 1024];
    for (what, entries) in [
        ("more than the limit", vec![("x", GNULongName, huge_name.as_slice()), (inside, Regular, &b"[]"[..])]),
        ("two names", vec![("x", GNULongName, b"a"), ("x", GNULongName, b"b"), (inside, Regular, b"[]")]),
        ("not there", vec![(inside, Regular, b"[]"), ("x", GNULongName, b"env-b/x")]),
        ("points outside", vec![("x", GNULongName, b"../x"), (inside, Regular, b"[]")]),
        ("points outside", vec![("x", XHeader, b"17 path=../../xy\n"), (inside, Regular, b"[]")]),
        ("another size", vec![("x", XHeader, b"10 size=1\n"), (inside, Regular, b"[]")]),
        ("another size", vec![("x", XHeader, b"22 GNU.sparse.major=1\n"), (inside, Regular, b"[]")]),
        ("link or device", vec![(inside, GNUSparse, b"[]")]),
    ] {
        let error = try_read(&tar(&entries)).unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
    // A header that promises more than may come is refused before it comes.
    let mut header = tar::Header::new_gnu();
    header.set_path(inside).unwrap();
    header.set_size(1 << 60);
    header.set_cksum();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, header.as_bytes()).unwrap();
    assert_eq!(try_read(&gzip.finish().unwrap()).unwrap_err().kind(), ProblemKind::Limit);
    let good = tar(&[
        ("x", XGlobalHeader, b"12 comment=a\n"),
        ("x", GNULongName, long.as_bytes()),
        ("short", Regular, b"[]"),
        ("x", XHeader, b"31 path=env-c/auth_config.json\n"),
        ("short", Regular, b"[]"),
    ]);
    let ids: Vec<String> = try_read(&good).unwrap().environments.keys().map(ToString::to_string).collect();
    assert_eq!(ids, ["b".repeat(150), "c".to_owned()]);
}

#[test]
fn problems_tell_programs_what_sort_they_are() {
    let good = packed(&golden_tree());
    let kind = |bytes: &[u8], limits: &Limits| {
        let read = read("a", bytes.len() as u64, bytes, Compression::Gzip, limits);
        read.and_then(|raw| raw.parse("a")).unwrap_err().kind()
    };
    let default = Limits::default();
    assert_eq!(kind(&good[..good.len() / 2], &default), ProblemKind::Corrupt);
    assert_eq!(kind(&[&good[..], b"x"].concat(), &default), ProblemKind::Corrupt);
    assert_eq!(kind(&good, &Limits { archive_bytes: 10, ..default }), ProblemKind::Limit);
    assert_eq!(kind(&good, &Limits { inflated_bytes: 2000, ..default }), ProblemKind::Limit);
    let manifest = |text: &str, file: Option<&str>| {
        let mut entries = vec![("manifest.json", tar::EntryType::Regular, text.as_bytes())];
        entries.extend(file.map(|path| (path, tar::EntryType::Regular, &b"[]"[..])));
        tar(&entries)
    };
    assert_eq!(kind(&manifest(r#"{"formatVersion":2}"#, None), &default), ProblemKind::FormatUnsupported);
    let unknown = r#"{"formatVersion":1,"parts":["sauce"],"environments":[],"files":[]}"#;
    assert_eq!(kind(&manifest(unknown, None), &default), ProblemKind::Invalid);
    let sha256 = crate::support::configuration::key_hash("[]");
    let contradiction = json!({"formatVersion": 1, "parts": ["flags"],
        "environments": [{"id": "a", "digest": "", "flags": 0, "segments": 0, "keyHashes": 0, "targets": 0}],
        "files": [{"path": "env-a/segments.json", "size": 2, "sha256": sha256}]});
    let bytes = manifest(&contradiction.to_string(), Some("env-a/segments.json"));
    let error = read("a", bytes.len() as u64, bytes.as_slice(), Compression::Gzip, &default).unwrap_err();
    assert!(error.to_string().contains("neither its part"), "{error}");
}

fn golden_tree() -> Tree {
    let loaded = read_once(&Location::of(&golden())).unwrap();
    Tree::whole(loaded.environments, loaded.served)
}

fn packed(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&Contents::from(tree), Compression::Gzip, &mut bytes).unwrap();
    bytes
}

#[test]
fn parts_may_be_left_out_and_learnt_targets_added() {
    let whole = golden_tree();
    let target = r#"{"name":"Jo","identifier":"jo","attributes":{"tier":"gold"}}"#;
    let target = Item::from_json(ItemKind::Target, &Json::parse(target).unwrap()).unwrap();
    let learnt = BTreeMap::from([(EnvironmentId::new(ENVIRONMENT), vec![Arc::new(target)])]);
    let some = Tree { parts: [Part::Flags, Part::KeyHashes].into(), learnt: Some(learnt), ..whole.clone() };
    let bytes = packed(&some);
    assert_eq!(bytes, packed(&some));
    let raw = read("a", bytes.len() as u64, bytes.as_slice(), Compression::Gzip, &Limits::default()).unwrap();
    assert_eq!(raw.manifest.as_ref().unwrap().parts, ["keyHashes", "flags", "learntTargets"]);
    let files: Vec<&str> = raw.manifest.as_ref().unwrap().files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(files.len(), 5, "{files:?}");
    let tree = raw.parse("a").unwrap();
    let id = EnvironmentId::new(ENVIRONMENT);
    assert_eq!(tree.environments[&id].flags.len(), whole.environments[&id].flags.len());
    assert!(tree.environments[&id].segments.is_empty() && !whole.environments[&id].segments.is_empty());
    assert_eq!(tree.learnt.unwrap()[&id][0].identifier(), "jo");
    // Offline mode knows the target from then on.
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.tar.gz");
    std::fs::write(&path, packed(&Tree { parts: whole.parts.clone(), ..some })).unwrap();
    let relay = TestRelay::offline(&path, &[]);
    assert_eq!(stored_targets(&relay, ENVIRONMENT, ""), 1);
}

#[test]
fn verify_tells_errors_from_warnings() {
    let configuration = Configuration::golden();
    configuration.edit_flag("bool-prereq", |flag| flag["prerequisites"][0]["feature"] = json!("gone"));
    let path = text(configuration.path()).to_owned();
    let output = command(&["verify", &path]);
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("warning:") && said.contains("gone") && said.contains("0 errors, 1 warnings"), "{said}");
    assert_eq!(command(&["verify", &path, "--strict"]).status.code(), Some(1));
    configuration.write_text(ENVIRONMENT, "segments.json", "[\n  {\"name\": \"x\"}\n]");
    let output = command(&["verify", &path, "--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = report["errors"][0].as_str().unwrap();
    assert!(error.contains("segments.json, line 2, column 3") && error.contains("no 'identifier'"), "{error}");
    assert_eq!(command(&["verify"]).status.code(), Some(64));
    assert_eq!(command(&["verfy", &path]).status.code(), Some(64));
}

#[test]
fn bump_raises_only_what_changed_and_touches_nothing_else() {
    let (old, new) = (Configuration::golden(), Configuration::golden());
    let before = std::fs::read_to_string(golden().join(format!("env-{ENVIRONMENT}/feature_config.json"))).unwrap();
    let changed = before.replace("caf\u{e9}", "tea");
    assert_ne!(before, changed);
    new.write_text(ENVIRONMENT, "feature_config.json", &changed);
    let said = run(&["bump", text(old.path()), text(new.path())]);
    assert!(said.contains("flag 'text': version 1 → 2") && said.contains("1 versions raised"), "{said}");
    let after = std::fs::read_to_string(new.file(ENVIRONMENT, "feature_config.json")).unwrap();
    let differing: Vec<_> = changed.lines().zip(after.lines()).filter(|(a, b)| a != b).collect();
    assert_eq!(differing, [("  \"version\": 1", "  \"version\": 2")]);
    assert!(run(&["bump", text(old.path()), text(new.path())]).contains("0 versions raised"));
    let bare = Configuration::with_flags(&[boolean("a", true, 5)]);
    let edited = Configuration::with_flags(&[boolean("a", false, 5)]);
    edited.edit_flag("a", |flag| drop(flag.as_object_mut().unwrap().remove("version")));
    run(&["bump", text(bare.path()), text(edited.path())]);
    assert_eq!(edited.read(ENVIRONMENT, "feature_config.json")[0]["version"], 6);
}
