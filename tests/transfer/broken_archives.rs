//! Archives that came as they were sent and are bad all the same: refused
//! whole, and nothing was changed.

use std::collections::BTreeMap;
use std::io::Write as _;

use ff_relay::proto::admin::v1::admin_service_client::AdminServiceClient;
use ff_relay::proto::admin::v1::{ImportOptions, ImportSnapshotRequest};
use ff_relay::proto::snapshot::v1::ExportSnapshotRequest;
use ff_relay::snapshot::archive::{Compression, Contents, write};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tar::EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
use tonic::Code;

use crate::archives::{packed, tree};
use crate::sending::{export, frames, import};
use crate::support::configuration::{ENVIRONMENT, OTHER, OTHER_KEY, boolean, golden, key_hash};
use crate::support::grpc::{channel_to, reason, runtime, with_token};
use crate::support::tar_by_hand::{Entry, gzip, gzipped, plain};
use crate::unchanged::{Fed, takes_a_good_one};

const CORRUPT: (Code, &str) = (Code::DataLoss, "SNAPSHOT_CORRUPT");
const INVALID: (Code, &str) = (Code::InvalidArgument, "SNAPSHOT_INVALID");
const FORMAT: (Code, &str) = (Code::FailedPrecondition, "SNAPSHOT_FORMAT_UNSUPPORTED");
const LIMIT: (Code, &str) = (Code::ResourceExhausted, "LIMIT_EXCEEDED");

const MIB: usize = 1024 * 1024;

impl Fed {
    fn refuses_archive(&self, what: &str, bytes: &[u8], expected: (Code, &str)) {
        self.refuses(what, frames(ImportOptions::default(), bytes), expected);
    }
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

#[test]
fn archives_that_were_cut_anywhere_are_refused() {
    let fed = Fed::golden();
    let gzip = packed(&golden());
    let mut zstd = Vec::new();
    write(&Contents::from(&tree(&golden())), Compression::Zstd, &mut zstd).unwrap();
    for (name, bytes) in [("gzip", gzip), ("zstd", zstd)] {
        for cut in (0..bytes.len()).step_by(101).chain(bytes.len() - 9..bytes.len()) {
            fed.refuses_archive(&format!("{name} cut at {cut}"), &bytes[..cut], CORRUPT);
        }
        fed.refuses_archive(&format!("{name} and more"), &[&bytes[..], b"x"].concat(), CORRUPT);
        fed.refuses_archive(&format!("{name} twice"), &[&bytes[..], &bytes].concat(), CORRUPT);
    }
    fed.refuses_archive("text", b"hello", CORRUPT);
    fed.refuses_archive("a plain tar", &plain(&[("env-a/segments.json", Regular, b"[]")]), CORRUPT);
    fed.is_unchanged_and_takes_a_good_one();
}

/// The transfer is as it should be, so that it is the archive's own
/// protection that is tested.
#[test]
fn one_flipped_bit_anywhere_is_refused_or_means_nothing() {
    const FLIPS: usize = 1000;
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let fed = Fed::golden();
    let bytes = packed(&golden());
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    runtime().block_on(async {
        let mut client = AdminServiceClient::new(channel_to(fed.relay.grpc.unwrap()).await);
        for _ in 0..FLIPS {
            let (at, bit) = (random.random_range(0..bytes.len()), random.random_range(0..8));
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let requests = frames(ImportOptions::default(), &flipped)
                .into_iter()
                .map(|it| ImportSnapshotRequest { frame: Some(it) });
            let answer = client.import_snapshot(with_token(tokio_stream::iter(requests), "admin-token")).await;
            let outcome = match answer {
                Err(status) => {
                    let refusal = (status.code(), reason(&status));
                    let known = [CORRUPT, INVALID, FORMAT, LIMIT];
                    assert!(known.iter().any(|it| (it.0, it.1) == (refusal.0, &refusal.1)), "{at}.{bit}: {status:?}");
                    refusal.1
                }
                Ok(answer) => {
                    let environments = answer.into_inner().environments;
                    let same = |items: usize, hashes: u64| items == 0 && hashes == 0;
                    let equal =
                        environments.iter().all(|it| same(it.items.len(), it.key_hashes_added + it.key_hashes_removed));
                    assert!(equal && environments.len() == 2, "{at}.{bit} changes {environments:?}");
                    "equal content".to_owned()
                }
            };
            *outcomes.entry(outcome).or_default() += 1;
        }
    });
    println!("{outcomes:?}");
    assert!(outcomes["SNAPSHOT_CORRUPT"] > FLIPS / 2, "{outcomes:?}");
    assert!(outcomes.get("equal content").copied().unwrap_or_default() < FLIPS / 20, "{outcomes:?}");
    assert!(export(&fed.relay, ExportSnapshotRequest::default()).unwrap() == bytes, "other content");
    // That an import with equal content was taken is remembered.
    fed.is_unchanged_but_for("imports");
    takes_a_good_one(fed.relay.sdk, fed.relay.grpc.unwrap());
}

#[test]
fn paths_that_lead_outside_links_and_duplicates_are_refused() {
    let inside = "env-a/auth_config.json";
    for fed in [Fed::empty(), Fed::golden()] {
        let outside: [Entry; 8] = [
            ("../env-a/auth_config.json", Regular, b"[]"),
            ("/env-a/auth_config.json", Regular, b"[]"),
            ("env-a/../../auth_config.json", Regular, b"[]"),
            ("env-a/../env-b/auth_config.json", Regular, b"[]"),
            ("..", Directory, b""),
            ("/", Directory, b""),
            ("../../tmp/x", Symlink, b""),
            ("/etc/cron.d/x", Regular, b"* * * * * root true"),
        ];
        for entry in outside {
            fed.refuses_archive(entry.0, &gzipped(&[(inside, Regular, b"[]"), entry]), INVALID);
        }
        for kind in [Symlink, Link, Char, Block, Fifo] {
            fed.refuses_archive(&format!("{kind:?}"), &gzipped(&[(inside, kind, b"")]), INVALID);
        }
        for twice in [inside, "./env-a/auth_config.json", "env-a//auth_config.json", "./env-a/./auth_config.json"] {
            let entries = [(inside, Regular, &b"[]"[..]), (twice, Regular, b"[]")];
            fed.refuses_archive(twice, &gzipped(&entries), INVALID);
        }
        let both = [("x/env-a/segments.json", Regular, &b"[]"[..]), ("y/env-b/segments.json", Regular, b"[]")];
        fed.refuses_archive("two directories", &gzipped(&both), INVALID);
        fed.refuses_archive("no environment", &gzipped(&[("readme", Regular, b"hello")]), INVALID);
        fed.refuses_archive("nothing", &gzipped(&[]), INVALID);
        fed.is_unchanged_and_takes_a_good_one();
    }
}

#[test]
fn what_inflates_without_end_is_refused() {
    let fed = Fed::golden();
    let mut promise = tar::Header::new_gnu();
    promise.set_path("env-a/feature_config.json").unwrap();
    promise.set_size(1 << 50);
    promise.set_cksum();
    fed.refuses_archive("a header that promises", &gzip(promise.as_bytes()), LIMIT);
    // Small packed, so that 256 MiB inflated is the limit.
    let blanks = vec![b' '; 10 * MIB];
    let paths: Vec<String> = (0..27).map(|i| format!("env-{i}/feature_config.json")).collect();
    let entries: Vec<Entry> = paths.iter().map(|path| (path.as_str(), Regular, blanks.as_slice())).collect();
    let bomb = zstd(&plain(&entries));
    assert!(bomb.len() < MIB, "{}", bomb.len());
    fed.refuses_archive("many large files", &bomb, LIMIT);
    // Behind the end of the tar it is read on, for the checksum.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(&plain(&[("env-a/segments.json", Regular, b"[]")])).unwrap();
    (0..27).for_each(|_| encoder.write_all(&blanks).unwrap());
    fed.refuses_archive("much behind the end", &encoder.finish().unwrap(), LIMIT);
    let paths: Vec<String> = (0..=100_000).map(|i| format!("env-a/{i}")).collect();
    let entries: Vec<Entry> = paths.iter().map(|path| (path.as_str(), Regular, &b""[..])).collect();
    fed.refuses_archive("many files", &zstd(&plain(&entries)), LIMIT);
    fed.is_unchanged_and_takes_a_good_one();
}

/// Path and content.
type File = (String, Vec<u8>);

/// A good archive's files, to be put together again with one of them changed.
fn unpacked() -> Vec<File> {
    let bytes = packed(&golden());
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let files = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    });
    files.collect()
}

fn repacked(files: &[File]) -> Vec<u8> {
    let entries: Vec<Entry> = files.iter().map(|(path, bytes)| (path.as_str(), Regular, bytes.as_slice())).collect();
    gzipped(&entries)
}

fn with_manifest(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut files = unpacked();
    let manifest = &mut files.iter_mut().find(|(path, _)| path == "manifest.json").unwrap().1;
    let mut value = serde_json::from_slice(manifest).unwrap();
    edit(&mut value);
    *manifest = value.to_string().into_bytes();
    repacked(&files)
}

#[test]
fn what_the_manifest_does_not_vouch_for_is_refused() {
    let fed = Fed::golden();
    let with_file = |edit: &dyn Fn(&mut Vec<File>)| {
        let mut files = unpacked();
        edit(&mut files);
        repacked(&files)
    };
    let flags = format!("env-{ENVIRONMENT}/feature_config.json");
    let place = unpacked().iter().position(|(path, _)| *path == flags).unwrap();
    for (what, bytes, expected) in [
        ("a changed file", with_file(&|files| files[place].1.truncate(5)), CORRUPT),
        ("a missing file", with_file(&|files| drop(files.remove(place))), CORRUPT),
        ("one file more", with_file(&|files| files.push(("env-x/segments.json".into(), b"[]".to_vec()))), INVALID),
        ("another digest", with_manifest(|it| it["environments"][0]["digest"] = json!("0".repeat(64))), CORRUPT),
        ("another count", with_manifest(|it| it["environments"][0]["flags"] = json!(1)), CORRUPT),
        ("another SHA-256", with_manifest(|it| it["files"][0]["sha256"] = json!("0".repeat(64))), CORRUPT),
        ("another size", with_manifest(|it| it["files"][0]["size"] = json!(1)), CORRUPT),
        ("version 2", with_manifest(|it| it["formatVersion"] = json!(2)), FORMAT),
        ("a version beyond all", with_manifest(|it| it["formatVersion"] = json!(u64::MAX)), FORMAT),
        ("version 2 of another shape", with_manifest(|it| *it = json!({"formatVersion": 2, "all": []})), FORMAT),
        ("no version", with_manifest(|it| drop(it.as_object_mut().unwrap().remove("formatVersion"))), INVALID),
        ("an unknown part", with_manifest(|it| it["parts"] = json!(["sauce"])), INVALID),
        ("no manifest's JSON", with_manifest(|it| *it = json!("manifest")), INVALID),
    ] {
        fed.refuses_archive(what, &bytes, expected);
    }
    fed.is_unchanged();
    // Put together again without a change, it is good.
    import(&fed.relay, ImportOptions::default(), &repacked(&unpacked())).unwrap();
}

#[test]
fn content_that_cannot_be_served_is_refused() {
    let fed = Fed::golden();
    let file = |name: &str, text: &str| gzipped(&[(&format!("env-{ENVIRONMENT}/{name}"), Regular, text.as_bytes())]);
    let twice = json!([boolean("a", true, 1), boolean("a", false, 2)]).to_string();
    for (what, bytes) in [
        ("no JSON", file("feature_config.json", "[{")),
        ("no list", file("feature_config.json", "{}")),
        ("no flag", file("feature_config.json", "[7]")),
        ("a flag without a name", file("feature_config.json", "[{\"kind\":\"boolean\"}]")),
        ("a flag twice", file("feature_config.json", &twice)),
        ("a segment without a name", file("segments.json", "[{\"name\":\"x\"}]")),
        ("a target without a name", file("targets.json", "[{}]")),
        ("a key and not its hash", file("auth_config.json", "[\"sdk-key\"]")),
        ("no UTF-8", gzipped(&[("env-a/feature_config.json", Regular, b"[\"\xff\"]")])),
    ] {
        fed.refuses_archive(what, &bytes, INVALID);
    }
    let entries = [ENVIRONMENT, OTHER].map(|id| format!("env-{id}/auth_config.json"));
    let hashes = json!([key_hash("one for both")]).to_string();
    let entries: Vec<Entry> = entries.iter().map(|path| (path.as_str(), Regular, hashes.as_bytes())).collect();
    fed.refuses_archive("a key in two environments", &gzipped(&entries), INVALID);
    // One of them is served already.
    let hashes = json!([key_hash(OTHER_KEY)]).to_string();
    fed.refuses_archive("a key of another environment", &file("auth_config.json", &hashes), INVALID);
    fed.is_unchanged_and_takes_a_good_one();
}
