//! `ExportSnapshot`: the same bytes everywhere, resumed anywhere.

use ff_relay::proto::snapshot::v1::export_snapshot_response::Frame;
use ff_relay::proto::snapshot::v1::snapshot_service_client::SnapshotServiceClient;
use ff_relay::proto::snapshot::v1::{
    Compression, ExportSnapshotRequest, ExportSnapshotResponse, Part, SnapshotHeader, SnapshotTrailer,
};
use ff_relay::snapshot::archive::{self, Limits, read};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::support::client::post;
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER, golden};
use crate::support::grpc::{channel, reason, stored_targets, wait, with_token};
use crate::support::relay::TestRelay;
use crate::support::wait_for;

const TOKENS: [&str; 2] = ["--grpc-sync-tokens=sync-token", "--grpc-inspect-tokens=inspect-token"];

/// What came of one export.
#[derive(Debug, Default, PartialEq)]
struct Export {
    header: SnapshotHeader,
    chunks: Vec<(u64, Vec<u8>)>,
    trailer: Option<SnapshotTrailer>,
}

impl Export {
    fn bytes(&self) -> Vec<u8> {
        self.chunks.iter().flat_map(|(_, data)| data.clone()).collect()
    }
}

async fn open(relay: &TestRelay, request: ExportSnapshotRequest) -> Result<Streaming<ExportSnapshotResponse>, Status> {
    // A small window: what is not read is not sent either.
    let endpoint = Endpoint::from_shared(format!("http://{}", relay.grpc.unwrap())).unwrap();
    let channel = endpoint.initial_stream_window_size(65_535).connect().await.unwrap();
    let mut client = SnapshotServiceClient::new(channel);
    client.export_snapshot(with_token(request, "sync-token")).await.map(tonic::Response::into_inner)
}

fn export(relay: &TestRelay, request: ExportSnapshotRequest) -> Result<Export, Status> {
    wait(async {
        let mut frames = open(relay, request).await?;
        let mut export = Export::default();
        while let Some(frame) = frames.message().await? {
            assert!(export.trailer.is_none(), "nothing follows the trailer");
            match frame.frame.unwrap() {
                Frame::Header(header) => export.header = header,
                Frame::Chunk(chunk) => export.chunks.push((chunk.offset, chunk.data)),
                Frame::Trailer(trailer) => export.trailer = Some(trailer),
            }
        }
        Ok(export)
    })
}

fn refusal(relay: &TestRelay, request: ExportSnapshotRequest) -> (Code, String) {
    let status = export(relay, request).unwrap_err();
    (status.code(), reason(&status))
}

fn files(export: &Export, compression: archive::Compression) -> archive::RawTree {
    let bytes = export.bytes();
    read("export", bytes.len() as u64, bytes.as_slice(), compression, &Limits::default()).unwrap()
}

#[test]
fn two_relays_with_the_same_content_give_the_same_bytes() {
    let configuration = Configuration::golden();
    // The same in another order, in another layout.
    let mut flags = configuration.read(ENVIRONMENT, "feature_config.json");
    flags.as_array_mut().unwrap().reverse();
    configuration.write(ENVIRONMENT, "feature_config.json", &flags);
    let (first, second) = (TestRelay::offline(&golden(), &TOKENS), TestRelay::offline(configuration.path(), &TOKENS));
    for compression in [Compression::Unspecified, Compression::Zstd] {
        let request = ExportSnapshotRequest { compression: compression.into(), ..Default::default() };
        let (one, other) = (export(&first, request.clone()).unwrap(), export(&second, request).unwrap());
        assert_eq!(one.bytes(), other.bytes());
        let trailer = one.trailer.as_ref().unwrap();
        assert_eq!(trailer.sha256, Sha256::digest(one.bytes()).to_vec());
        assert_eq!((trailer.total_size, &trailer.sha256), (one.header.total_size, &one.header.sha256));
        assert_eq!((one.header.format_version, one.header.parts.len()), (1, 4));
        assert!(one.header.producer.starts_with("ff-relay ") && one.header.created_at.is_some());
        let ids: Vec<&str> = one.header.environments.iter().map(|it| it.environment_id.as_str()).collect();
        assert_eq!(ids, [ENVIRONMENT, OTHER]);
    }
}

#[test]
fn a_transfer_that_was_cut_anywhere_is_resumed_to_the_same_bytes() {
    let configuration = Configuration::large();
    let relay = TestRelay::offline(configuration.path(), &TOKENS);
    let whole = export(&relay, ExportSnapshotRequest::default()).unwrap();
    assert!(whole.chunks.len() > 3, "{}", whole.chunks.len());
    let bytes = whole.bytes();
    let size = bytes.len() as u64;
    let sha256 = whole.header.sha256.clone();
    let from = |offset| ExportSnapshotRequest { if_archive: Some(sha256.clone()), offset, ..Default::default() };
    let cuts = whole.chunks.iter().map(|(offset, _)| *offset).chain([1, 300_000, size - 1, size]);
    for cut in cuts {
        let rest = export(&relay, from(cut)).unwrap();
        let start = usize::try_from(cut).unwrap();
        assert!([&bytes[..start], &rest.bytes()].concat() == bytes, "cut at {cut}");
        assert_eq!((rest.header.clone(), rest.trailer.clone()), (whole.header.clone(), whole.trailer.clone()));
        assert!(rest.chunks.first().is_none_or(|(offset, _)| *offset == cut));
    }
    assert_eq!(refusal(&relay, from(size + 1)), (Code::InvalidArgument, "INVALID_FIELD".into()));
    let other = ExportSnapshotRequest { if_archive: Some(vec![0; 32]), ..Default::default() };
    assert_eq!(refusal(&relay, other), (Code::OutOfRange, "DIGEST_GONE".into()));
    // Another relay with the same content goes on where this one ended.
    let second = TestRelay::offline(configuration.path(), &TOKENS);
    assert_eq!(export(&second, from(300_000)).unwrap().bytes(), bytes[300_000..]);
}

#[test]
fn a_resume_after_a_change_begins_anew() {
    let configuration = Configuration::golden();
    let watch = ["--config-reload=true", "--config-reload-interval=100ms"];
    let relay = TestRelay::offline(configuration.path(), &[&TOKENS[..], &watch].concat());
    let before = export(&relay, ExportSnapshotRequest::default()).unwrap();
    configuration.edit_flag("text", |flag| flag["version"] = json!(9));
    let request =
        || ExportSnapshotRequest { if_archive: Some(before.header.sha256.clone()), offset: 10, ..Default::default() };
    let status = wait_for("the change", || export(&relay, request()).err());
    assert_eq!((status.code(), reason(&status).as_str()), (Code::OutOfRange, "DIGEST_GONE"));
    assert_ne!(export(&relay, ExportSnapshotRequest::default()).unwrap().bytes(), before.bytes());
}

#[test]
fn environments_and_parts_are_chosen() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let chosen = export(
        &relay,
        ExportSnapshotRequest {
            environment_ids: vec![OTHER.into(), OTHER.into()],
            parts: vec![Part::Flags.into()],
            compression: Compression::Zstd.into(),
            ..Default::default()
        },
    )
    .unwrap();
    let raw = files(&chosen, archive::Compression::Zstd);
    let manifest = raw.manifest.as_ref().unwrap();
    assert_eq!(manifest.parts, ["flags"]);
    assert_eq!(manifest.files.len(), 1);
    assert_eq!(raw.environments.keys().map(ToString::to_string).collect::<Vec<_>>(), [OTHER]);
    raw.parse("export").unwrap();
    let named = |id: &str| ExportSnapshotRequest { environment_ids: vec![id.into()], ..Default::default() };
    let status = export(&relay, named("nowhere")).unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "ENVIRONMENT_NOT_FOUND"));
    assert_eq!(status.get_error_details().resource_info().unwrap().resource_name, "nowhere");
    for bad in [
        ExportSnapshotRequest { parts: vec![99], ..Default::default() },
        ExportSnapshotRequest { compression: 7, ..Default::default() },
        ExportSnapshotRequest { offset: 1, ..Default::default() },
        ExportSnapshotRequest { if_archive: Some(vec![1]), ..Default::default() },
    ] {
        assert_eq!(refusal(&relay, bad), (Code::InvalidArgument, "INVALID_FIELD".into()));
    }
}

#[test]
fn learnt_targets_come_only_when_asked_for() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    for target in ["zoe", "abe"] {
        let body =
            json!({"apiKey": KEY, "target": {"identifier": target, "name": "N", "attributes": {"b": 1, "a": 2}}});
        post(relay.sdk, "/client/auth", &[], &body.to_string()).ok();
    }
    let default = export(&relay, ExportSnapshotRequest::default()).unwrap();
    assert!(files(&default, archive::Compression::Gzip).learnt.is_none());
    let parts = [Part::Flags, Part::Segments, Part::KeyHashes, Part::ConfiguredTargets, Part::LearntTargets];
    let request = ExportSnapshotRequest { parts: parts.map(i32::from).to_vec(), ..Default::default() };
    let with = export(&relay, request.clone()).unwrap();
    assert_eq!(export(&relay, request).unwrap().bytes(), with.bytes(), "sorted, whatever the memory's order");
    let raw = files(&with, archive::Compression::Gzip);
    let tree = raw.parse("export").unwrap();
    let learnt = tree.learnt.unwrap();
    let names: Vec<&str> = learnt[ENVIRONMENT].iter().map(|item| item.identifier()).collect();
    assert_eq!(names, ["abe", "zoe"]);
    assert!(learnt[ENVIRONMENT][0].text.starts_with(r#"{"attributes":{"a":2,"b":1},"identifier":"abe""#));
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.tar.gz");
    std::fs::write(&path, with.bytes()).unwrap();
    let other = TestRelay::offline(&path, &TOKENS);
    assert_eq!(stored_targets(&other, ENVIRONMENT, "inspect-token"), 2);
}

#[test]
fn four_exports_run_at_once_and_a_drain_ends_them() {
    let configuration = Configuration::large();
    let mut relay = TestRelay::offline(configuration.path(), &TOKENS);
    wait(async {
        let mut running = Vec::new();
        for _ in 0..4 {
            let mut frames = open(&relay, ExportSnapshotRequest::default()).await.unwrap();
            frames.message().await.unwrap();
            running.push(frames);
        }
        let fifth = open(&relay, ExportSnapshotRequest::default()).await.unwrap_err();
        assert_eq!((fifth.code(), reason(&fifth).as_str()), (Code::ResourceExhausted, "TOO_MANY_STREAMS"));
        assert!(fifth.get_error_details().retry_info().unwrap().retry_delay.is_some());
        drop(running.pop());
        while open(&relay, ExportSnapshotRequest::default()).await.map(|frames| running.push(frames)).is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        relay.begin_stop();
        let mut frames = running.swap_remove(0);
        let ended = loop {
            match frames.message().await {
                Ok(Some(frame)) => assert!(!matches!(frame.frame, Some(Frame::Trailer(_))), "it was whole"),
                Ok(None) => panic!("an end without an error"),
                Err(status) => break status,
            }
        };
        assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unavailable, "DRAINING"));
    });
}

#[test]
fn nothing_synced_is_told_from_not_synced_yet() {
    let place = tempfile::tempdir().unwrap();
    let data = format!("--data-dir={}", place.path().join("data").display());
    // Without config-dir it starts empty and waits for an import.
    let relay = TestRelay::start(&["--offline", &data, TOKENS[0]]).unwrap();
    assert_eq!(refusal(&relay, ExportSnapshotRequest::default()), (Code::FailedPrecondition, "NEVER_SYNCED".into()));
}

#[test]
fn exports_need_the_role_sync() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    wait(async {
        let mut client = SnapshotServiceClient::new(channel(&relay).await);
        let status =
            client.export_snapshot(with_token(ExportSnapshotRequest::default(), "inspect-token")).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "ROLE_FORBIDDEN"));
    });
}
